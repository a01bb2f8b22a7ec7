/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sources -> reports: one in which they are added up, or one for each source or thread. Prints
 * nothing.
 */
#ifndef READER_READING_H
#define READER_READING_H

#include "base/error.h"
#include "sources.h"

/* What one report is on. */
struct reading_report {
	struct sum sum;
	size_t source;			     /* the only one that is in it; SIZE_MAX: all */
	const struct rebuild_thread *thread; /* the only one of it; NULL: all */
};

struct reading {
	const struct request *request;
	struct source *source; /* in the order in which they were named */
	size_t n_sources;
	struct reading_report *report;
	size_t n_reports;
};

/*
 * Reads the files. 0 or -errno with what is wrong in `error`,. To be closed in any
 * case. `q` must outlive it.
 */
int reading_init(struct reading *r, const struct request *q, const struct names_list *l,
		 struct error *error);
void reading_fini(struct reading *r);

/* Whether a report has this source in it. */
bool reading_has_source(const struct reading_report *report, size_t source);

#endif
