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
#include "select/selection.h"

struct report_options {
	struct selection select;	    /* which functions, in which order */
	const struct profile_counts *total; /* the header's sums, or NULL: those of the profile */
	/*
	 * For callees: who called whom, or NULL for what the profile has. It is what the profile
	 * was before others were added to it (profile_merge), so that it has the same indices.
	 */
	const struct profile *edges;
	bool exceptions;  /* a column of them, before the names */
	bool sampled;	  /* the counts are samples, and the columns say so, as in Python 3.15 */
	size_t max_lines; /* of the report; what is left out is told in its last one. 0: no limit */
	size_t columns;	  /* beyond which a line takes several; 0: it does not matter */
};

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
