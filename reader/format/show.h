/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options about the appearance of reports, for all formats. Plain data: the command line fills it,
 * and formats must not change it.
 */
#ifndef READER_SHOW_H
#define READER_SHOW_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "load/reading.h"
#include "report.h"
#include "tree.h"

enum listing { LISTING_FUNCTIONS, LISTING_CALLERS, LISTING_CALLEES, LISTING_TREE };

/* A format uses only the fields that apply to it. */
struct show {
	struct report_options report; /* order, restrictions and columns */
	enum listing listing;
	struct tree_options tree; /* for LISTING_TREE */
	bool quiet;		  /* no preamble */
	bool verbose;		  /* a longer preamble */
	bool check;		  /* only losses and failed checks */
};

/* 0 or -errno, perhaps with the reason in `e`. Nothing is printed where a restriction fails. */
typedef int format_writer(FILE *to, const struct reading *r, const struct show *show,
			  struct error *e);

/* The order, restrictions and sums of one report. */
struct report_options show_options(const struct show *show, const struct sum *sum);

#endif
