/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profile -> the functions that a report lists, in order, with their labels. It applies sort keys,
 * then each restriction in turn, like pstats.Stats.eval_print_amount.
 *
 * Called by the text report, JSON and the options, in the reader's one thread. Owns struct selected
 * until selected_fini. It must not change the profile or print.
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
	RESTRICT_COUNT,	   /* the first `count`; negative or too large: all */
	RESTRICT_FRACTION, /* the first part of the list, rounded; not in [0, 1): all */
	RESTRICT_PATTERN,  /* functions whose label the pattern is found in (pattern.h) */
};

struct restriction {
	enum restriction_kind kind;
	int64_t count;
	double fraction;
	struct text pattern; /* any bytes, borrowed */
};

struct selection {
	struct sort_keys sort; /* no keys: listed order */
	bool reverse;
	const struct restriction *restriction; /* applied in turn */
	size_t n_restrictions;
	bool qualnames; /* labels have qualified names where known; patterns search in these */
	bool escape;	/* escape control characters in labels: the output is a terminal */
};

/* The result of a selection. */
struct selected {
	size_t *fn; /* indices into the profile's functions */
	size_t n;
	struct text *label; /* of every function of the profile, by index */
	struct shown shown; /* owns some of the labels */
	char *heading;	    /* pstats' lines about order and restrictions */
	size_t n_heading;
};

/*
 * An integer is a count, another number a fraction, any other text a pattern: as in pstats'
 * browser. `text` must outlive `out`.
 */
void restriction_parse(const char *text, struct restriction *out);

/* Checks a pattern: 0, or an error of match_init. Other restrictions are always valid. */
int restriction_check(const struct restriction *r, struct error *e);

/*
 * 0 or -errno; `e` has the reason if the error is that of a pattern. After an error there is
 * nothing to free. A pattern that re rejects is not an error here: it reduces nothing, and the
 * heading has pstats' line about it.
 */
int selection_apply(const struct selection *s, const struct profile *p, struct selected *out,
		    struct error *e);
void selected_fini(struct selected *out);

#endif
