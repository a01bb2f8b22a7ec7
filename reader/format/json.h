/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The JSON report: sources and profiles -> one document. It has the numbers of pstats'
 * Stats.get_stats_profile() for every function by file, line and name, and all facts about the
 * sources. docs/json.md is the contract.
 *
 * Called by registry.c, in the reader's one thread. Owns nothing after the call. It must not write
 * anywhere except to its stream. LC_NUMERIC must be C.
 *
 * The bytes are UTF-8, and all numbers are finite. A surrogate in a name is printed as an escape
 * like \udcXX, which Python's json.loads reads back as the same str.
 */
#ifndef READER_JSON_H
#define READER_JSON_H

#include <stddef.h>
#include <stdio.h>

#include "preamble.h"
#include "profile/profile.h"
#include "report.h"

#define JSON_VERSION 1 /* increases when a field is removed or changes its meaning */

/* One table of functions. */
struct json_report {
	const struct profile *profile;
	const struct report_options *options; /* order, restrictions and sums */
	size_t source;			      /* index of its only source, or SIZE_MAX: all */
	const struct rebuild_thread *thread;  /* its only thread, or NULL: all */
	const struct request *request;
};

/*
 * 0 or -errno, as in report.h. Nothing is printed before the functions of the first report are
 * selected. An error in a later report leaves a document that is cut off.
 */
int json_write(FILE *to, const struct source *sources, size_t n_sources,
	       const struct json_report *reports, size_t n_reports, struct error *e);

#endif
