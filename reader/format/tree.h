/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The call tree as text: a line for each calling context that has enough time or calls, callees
 * below their callers. text.c calls it, in the reader's one thread. Owns nothing after the call. It
 * must not change the contexts, nor write anywhere except to its stream. LC_NUMERIC must be C.
 *
 * All except names is ASCII. Control characters in names are escaped, so a name is one line.
 */
#ifndef READER_TREE_H
#define READER_TREE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "profile/contexts.h"
#include "report.h"

#define TREE_DEFAULT_PERCENT 1

struct tree_options {
	double min_percent; /* of the time or calls of the whole tree; less is left out */
	uint32_t max_depth; /* calls; 0: no limit */
	struct text root; /* a pattern: only what is below functions that match. bytes NULL: all */
	bool by_calls;	  /* order and per cent by calls instead of time */
};

/*
 * 0 or -errno, with the reason in `e` if the pattern takes too many steps. It uses the total, the
 * columns and qualnames of `report`.
 */
int tree_print(FILE *to, const struct contexts *c, const struct tree_options *o,
	       const struct report_options *report, struct error *e);

/* 1 if a function matches the pattern, 0 if none does, or -errno as above. */
int tree_has_root(const struct contexts *c, const struct tree_options *o,
		  const struct report_options *report, struct error *e);

#endif
