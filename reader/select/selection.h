/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profile -> the functions that a report lists, in order, with their labels: sort keys, then
 * restrictions in turn, as pstats.Stats.eval_print_amount applies them. Every format uses it. Pure.
 */
#ifndef READER_SELECTION_H
#define READER_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "profile/profile.h"
#include "profile/sort.h"
#include "shown.h"

enum restriction_kind {
	RESTRICT_COUNT,	   /* the first `count`; negative or too many: all */
	RESTRICT_FRACTION, /* the first `fraction` of them; not in [0, 1): all */
	RESTRICT_PATTERN,  /* those whose label it is found in: one of re, see pattern.h */
};

struct restriction {
	enum restriction_kind kind;
	int64_t count;
	double fraction;
	struct text pattern; /* as it was typed: any bytes */
};

struct selection {
	struct sort_keys sort; /* no keys: listed order */
	bool reverse;
	const struct restriction *restriction; /* applied in turn */
	size_t n_restrictions;
	bool qualnames; /* qualified names, where they are known; patterns look for them, too */
	bool escape;	/* control characters in labels: the output is a terminal */
};

/* The result. */
struct selected {
	size_t *fn; /* indices into the profile's functions */
	size_t n;
	struct text *label; /* of every function of the profile */
	struct shown shown; /* owns some of the labels */
	char *heading;	    /* how it was ordered and reduced, in pstats' lines */
	size_t n_heading;
};

/*
 * An integer is a count, another number a fraction, anything else a pattern, as in pstats' browser.
 * `text` must outlive `out`.
 */
void restriction_parse(const char *text, struct restriction *out);

/* Whether it can be used: 0, or -errno with what is wrong with the pattern in `e`. */
int restriction_check(const struct restriction *r, struct error *e);

/* 0 or -errno, with the reason in `e` where a pattern is wrong; then there is nothing to free. */
int selection_apply(const struct selection *s, const struct profile *p, struct selected *out,
		    struct error *e);
void selected_fini(struct selected *out);

#endif
