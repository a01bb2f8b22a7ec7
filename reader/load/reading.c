/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reading.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int no_memory(struct error *error)
{
	return error_set(error, -ENOMEM, "read sources: out of memory");
}

/* Adds a report. NULL without memory. Pointers to earlier reports become invalid. */
static struct reading_report *add_report(struct reading *r, size_t source,
					 const struct rebuild_thread *thread, struct error *error)
{
	struct reading_report *more = reallocarray(r->report, r->n_reports + 1, sizeof(*more));

	if (!more) {
		no_memory(error);
		return NULL;
	}
	r->report = more;
	more += r->n_reports++;
	*more = (struct reading_report){ .sum = { .request = r->request },
					 .source = source,
					 .thread = thread };
	profile_init(&more->sum.profile);
	return more;
}

/*
 * Adds the first source and then the others, from the last back. pstats.Stats(a, b, c) adds in this
 * order, which decides the order of functions with equal sort keys.
 */
static int read_together(struct reading *r, const struct names_list *l, struct error *error)
{
	struct reading_report *all = add_report(r, SIZE_MAX, NULL, error);
	int err = all ? 0 : -ENOMEM;

	for (size_t i = 0; i < l->n && !err; i++) {
		size_t at = i ? l->n - i : 0;

		err = sources_read(&r->source[at], l->name[at], &all->sum, error);
	}
	return err;
}

/* Replaces the report of a source by one for each of its threads, if it has any. */
static int split_by_thread(struct reading *r, size_t at, struct error *error)
{
	struct source *s = &r->source[at];
	struct sum whole;
	int err = 0;

	if (!s->summary.n_listed)
		return 0;
	whole = r->report[--r->n_reports].sum;
	for (size_t i = 0; i < s->summary.n_listed && !err; i++) {
		struct rebuild_thread *t = &s->summary.thread[i];
		struct reading_report *one = add_report(r, at, t, error);

		err = one ? sources_add_thread(&one->sum, t, s->name, error) : -ENOMEM;
		if (!err && s->summary.n_listed == 1) { /* the contexts are those of the thread */
			one->sum.contexts = whole.contexts;
			whole.contexts = (struct contexts){ .n_nodes = 0 };
		}
	}
	sources_sum_fini(&whole);
	return err;
}

static int read_apart(struct reading *r, const struct names_list *l, struct error *error)
{
	int err = 0;

	for (size_t i = 0; i < l->n && !err; i++) {
		struct reading_report *one = add_report(r, i, NULL, error);

		err = one ? sources_read(&r->source[i], l->name[i], &one->sum, error) : -ENOMEM;
		if (!err && r->request->threads)
			err = split_by_thread(r, i, error);
	}
	return err;
}

static int shape(struct reading *r, struct error *error)
{
	size_t n_threads = 0;
	int err = 0;

	for (size_t i = 0; i < r->n_reports && !err; i++) {
		n_threads += r->report[i].sum.n_threads;
		err = sources_shape(&r->report[i].sum, error);
	}
	if (!err && r->request->thread && !n_threads)
		err = sources_no_thread(r->request, error);
	return err;
}

int reading_init(struct reading *r, const struct request *q, const struct names_list *l,
		 struct error *error)
{
	int err;

	*r = (struct reading){ .request = q, .source = calloc(l->n, sizeof(*r->source)) };
	if (!r->source)
		return no_memory(error);
	r->n_sources = l->n;
	err = q->threads || q->each ? read_apart(r, l, error) : read_together(r, l, error);
	if (!err)
		err = shape(r, error);
	if (!err && q->timeline)
		err = timeline_init(&r->timeline, q, r->source, l->name, l->n, error);
	return err;
}

void reading_fini(struct reading *r)
{
	timeline_fini(&r->timeline);
	for (size_t i = 0; i < r->n_reports; i++)
		sources_sum_fini(&r->report[i].sum);
	for (size_t i = 0; i < r->n_sources; i++)
		sources_fini(&r->source[i]);
	free(r->report);
	free(r->source);
}

bool reading_has_source(const struct reading_report *report, size_t source)
{
	return report->source == SIZE_MAX || report->source == source;
}
