/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sources to reports: one report of all sources together, or one for each source or thread. Owns
 * the loaded sources and the profiles of the reports. main calls it once, from one thread. It must
 * not print.
 */
#ifndef READER_READING_H
#define READER_READING_H

#include "base/error.h"
#include "sources.h"
#include "timeline.h"

/* The contents of one report. */
struct reading_report {
	struct sum sum;
	size_t source;			     /* index of its only source; SIZE_MAX: all sources */
	const struct rebuild_thread *thread; /* its only thread; NULL: all threads */
};

struct reading {
	const struct request *request;
	struct source *source; /* in the order of the command line */
	size_t n_sources;
	struct reading_report *report;
	size_t n_reports;
	struct timeline timeline; /* if the request wants one */
};

/*
 * Reads the files of `l`. 0, or -errno with `error` set. Call reading_fini in either case. `q` must
 * outlive `r`.
 */
int reading_init(struct reading *r, const struct request *q, const struct names_list *l,
		 struct error *error);
void reading_fini(struct reading *r);

/* True if the report includes the source with this index. */
bool reading_has_source(const struct reading_report *report, size_t source);

#endif
