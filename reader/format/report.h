/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text report: profile -> text, byte for byte as the methods of pstats.Stats print the same
 * data, without the lines that name the input files.
 *
 * Called by text.c and by browse/, in the reader's one thread. Owns nothing after the call. It must
 * not change the profile, nor write anywhere except to its stream. LC_NUMERIC must be C.
 *
 * Names are printed as their bytes, also newlines and NUL, unless select.escape is set. Python
 * cannot print a surrogate either: it is printed as \udcXX, as with
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
#include "select/selection.h"

struct report_options {
	struct selection select;	    /* which functions, in which order */
	const struct profile_counts *total; /* the header's sums; NULL: those of the profile */
	/*
	 * Caller edges for report_callees; NULL: those of the profile. This is the profile before
	 * others were added to it (profile_merge), so its functions have the same indices.
	 */
	const struct profile *edges;
	bool exceptions;  /* print a column of exceptions before the names */
	bool sampled;	  /* the counts are samples; the columns say so, as in Python 3.15 */
	size_t max_lines; /* limit of the report; a line counts the rows left out. 0: no limit */
	size_t columns;	  /* width of the terminal, for lines that wrap. 0: none wraps */
};

/* Prints the line of how many calls there were, and in how many seconds. */
void report_put_sums(FILE *to, const struct profile_counts *total);

/*
 * All three: 0 or -errno. `e` has the reason if the error is that of a pattern (match.h). Exhausted
 * memory and unsupported patterns are found before anything is printed.
 */
int report_print(FILE *to, const struct profile *p, const struct report_options *options,
		 struct error *e);
int report_callers(FILE *to, const struct profile *p, const struct report_options *options,
		   struct error *e);
int report_callees(FILE *to, const struct profile *p, const struct report_options *options,
		   struct error *e);

#endif
