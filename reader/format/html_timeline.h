/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The timeline in the data of the HTML report: single calls of each thread, as columns. Owns the
 * names of their functions. html_data.c calls it, from one thread. It must not change the timeline.
 */
#ifndef READER_HTML_TIMELINE_H
#define READER_HTML_TIMELINE_H

#include "load/timeline.h"
#include "put.h"

struct html_timeline {
	const struct timeline *timeline;
	struct profile names; /* the functions of the calls, as reports call them */
	uint32_t *fn;	      /* of each span: its function's index in `names` */
	uint32_t *depth;      /* of each span: 0 for one without caller */
};

/* 0 or -ENOMEM. html_timeline_fini must follow in both cases. */
int html_timeline_init(struct html_timeline *h, const struct timeline *t);
void html_timeline_fini(struct html_timeline *h);

/* Puts the object. `page_fn`: for each function of `names` its index on the page. */
void html_timeline_put(const struct html_timeline *h, struct put *j, const uint32_t *page_fn);

#endif
