/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profiles -> JSON: what Stats.get_stats_profile() of pstats has, for every function by its file,
 * line and name, and what else is known. docs/json.md is the contract. Pure but for the stream.
 * LC_NUMERIC must be C.
 *
 * The bytes are UTF-8 and hold no number but finite ones. A surrogate in a name is \udcXX and the
 * like, which Python's json.loads reads back as the same str.
 */
#ifndef READER_JSON_H
#define READER_JSON_H

#include <stddef.h>
#include <stdio.h>

#include "preamble.h"
#include "profile/profile.h"
#include "report.h"

#define JSON_VERSION 1 /* goes up where something is taken away or changes its meaning */

/* One table of functions. */
struct json_report {
	const struct profile *profile;
	const struct report_options *options; /* order, restrictions and sums */
	size_t source;			      /* the only one that is in it, or SIZE_MAX: all */
	const struct rebuild_thread *thread;  /* the only one that is in it, or NULL */
};

/*
 * 0 or -errno, as those of report.h. Nothing is printed before memory or a restriction could fail
 * in the first report.
 */
int json_write(FILE *to, const struct source *sources, size_t n_sources,
	       const struct json_report *reports, size_t n_reports, struct error *e);

#endif
