/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profile -> text, byte for byte what the methods of pstats.Stats print for the same data, without
 * the lines that name the input files. Pure but for the stream. LC_NUMERIC must be C.
 *
 * Names are printed as their bytes, newlines and NUL too, unless options.escape is set; a
 * surrogate, which Python could not print either, as \udcXX, as with
 * PYTHONIOENCODING=utf-8:backslashreplace.
 */
#ifndef READER_REPORT_H
#define READER_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "profile/profile.h"
#include "profile/sort.h"

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

struct report_options {
	struct sort_keys sort; /* no keys: listed order */
	bool reverse;
	const struct restriction *restriction; /* applied in turn */
	size_t n_restrictions;
	const struct profile_counts *total; /* the header's sums, or NULL: those of the profile */
	/*
	 * For callees: who called whom, or NULL for what the profile has. It is what the profile
	 * was before others were added to it (profile_merge), so that it has the same indices.
	 */
	const struct profile *edges;
	bool exceptions;  /* a column of them, before the names */
	bool sampled;	  /* the counts are samples, and the columns say so, as in Python 3.15 */
	bool qualnames;	  /* qualified names, where they are known; patterns look for them, too */
	bool escape;	  /* control characters in names: it is for a terminal */
	size_t max_lines; /* of the report; what is left out is told in its last one. 0: no limit */
	size_t columns;	  /* beyond which a line takes several; 0: it does not matter */
};

/*
 * An integer is a count, another number a fraction, anything else a pattern, as in pstats' browser.
 * `text` must outlive `out`.
 */
void restriction_parse(const char *text, struct restriction *out);

/* Whether it can be used: 0, or -errno with what is wrong with the pattern in `e`. */
int restriction_check(const struct restriction *r, struct error *e);

/*
 * The functions that a report would list, in order: `fn` is for free(). Errors are those of
 * report_print.
 */
int report_choose(const struct profile *p, const struct report_options *options, size_t **fn,
		  size_t *n, struct error *e);

/*
 * All: 0 or -errno, with the reason in `e` where that is a pattern. Nothing is printed before
 * memory or a restriction could fail.
 */
int report_print(FILE *to, const struct profile *p, const struct report_options *options,
		 struct error *e);
int report_callers(FILE *to, const struct profile *p, const struct report_options *options,
		   struct error *e);
int report_callees(FILE *to, const struct profile *p, const struct report_options *options,
		   struct error *e);

#endif
