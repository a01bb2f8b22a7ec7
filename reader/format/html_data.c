/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "html_data.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "column.h"
#include "frames.h"
#include "html_timeline.h"
#include "preamble.h"
#include "recording/command.h"

#ifndef PYSHIM_VERSION
#define PYSHIM_VERSION "unknown"
#endif

struct data {
	const struct profile *profile;
	const struct contexts *contexts;
	/*
	 * The functions of the page: those of the profile, and behind them those that only the
	 * contexts have, which are levels, and those that only the timeline has.
	 */
	const struct profile_fn **fn;
	size_t n_fns;
	uint32_t *fn_of;      /* function of the contexts -> of the page */
	uint32_t *fn_of_span; /* function of the timeline -> of the page */
	/* The nodes in preorder, siblings with more time first, and for each node its depth. */
	uint32_t *order, *depth;
	size_t n_order;
	uint64_t *self_ns, *overhead_ns; /* of each node */
	struct html_timeline timeline;
};

static void data_fini(struct data *d)
{
	free(d->fn);
	free(d->fn_of);
	free(d->fn_of_span);
	html_timeline_fini(&d->timeline);
	free(d->order);
	free(d->depth);
	free(d->self_ns);
	free(d->overhead_ns);
}

/* --- sources ---------------------------------------------------------------------------------- */

/* Puts as a text what `print` prints about a source. 0 or -ENOMEM. */
static int put_printed(struct put *j, const char *key, const struct source *s,
		       void (*print)(FILE *to, const struct source *s))
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);

	if (!to)
		return -ENOMEM;
	print(to, s);
	if (fclose(to)) {
		free(text);
		return -ENOMEM;
	}
	put_key(j, key);
	put_text(j, (struct text){ text, n });
	free(text);
	return 0;
}

static void print_command(FILE *to, const struct source *s)
{
	command_print(to, &s->header, 0);
}

static void print_preamble(FILE *to, const struct source *s)
{
	preamble_print(to, s, true, true);
}

static void print_checks(FILE *to, const struct source *s)
{
	preamble_print_checks(to, s);
}

static int put_remarks(struct put *j, const struct source *s)
{
	int err = put_printed(j, "command", s, print_command);

	if (!err)
		err = put_printed(j, "preamble", s, print_preamble);
	if (!err)
		err = put_printed(j, "correction", s, preamble_print_correction);
	if (!err)
		err = put_printed(j, "losses", s, preamble_print_losses);
	if (!err)
		err = put_printed(j, "running", s, preamble_print_running);
	if (!err)
		err = put_printed(j, "checks", s, print_checks);
	return err;
}

static int put_source(struct put *j, const struct source *s)
{
	const struct pyprof_header *h = &s->header;
	struct text python = { h->python, strnlen(h->python, sizeof(h->python)) };
	const char *blank = memchr(python.bytes, ' ', python.n);
	int err;

	if (blank)
		python.n = (size_t)(blank - python.bytes);
	put_begin_line(j, "{");
	put_key_string(j, "name", s->name);
	put_key(j, "python");
	put_text(j, python);
	put_key_string(j, "clock", pyprof_clock_names(h->clock)->title);
	put_key_count(j, "process", h->pid);
	put_key_count(j, "parent", h->parent_pid);
	put_key_bool(j, "forked", h->forked);
	put_key_bool(j, "live", s->live);
	put_key_seconds(j, "started", (double)h->start_realtime_ns * 1e-9);
	put_key_seconds(j, "recorded_s", source_recorded_s(s));
	put_key_count(j, "events", s->summary.n_events);
	put_key_count(j, "n_threads", s->summary.n_threads);
	put_key_bool(j, "is_whole", !source_has_loss(s));
	put_key_bool(j, "is_corrected", s->correction >= CORRECTION_NUMBER);
	put_key_seconds(j, "overhead_s", s->bias.overhead_s);
	err = put_remarks(j, s);
	put_end(j, "}");
	return err;
}

static int put_sources(struct put *j, const struct source *sources, size_t n)
{
	int err = 0;

	put_key(j, "sources");
	put_begin(j, "[");
	for (size_t i = 0; i < n && !err; i++)
		err = put_source(j, &sources[i]);
	put_end(j, "]");
	return err;
}

/* --- functions -------------------------------------------------------------------------------- */

/* Sets fn_of[i] to the index of names->fn[i] on the page, and adds it there if needed. */
static void add_functions(struct data *d, const struct profile *names, uint32_t *fn_of)
{
	for (size_t i = 0; i < names->n_fns; i++) {
		const struct profile_fn *fn = &names->fn[i];
		size_t at = profile_find(d->profile, fn->file, fn->line, fn->name);

		if (at == SIZE_MAX) {
			at = d->n_fns++;
			d->fn[at] = fn;
		}
		fn_of[i] = (uint32_t)at;
	}
}

static int find_functions(struct data *d)
{
	const struct profile *p = d->profile, *names = &d->contexts->names;
	const struct profile *spans = &d->timeline.names;

	d->fn = calloc(p->n_fns + names->n_fns + spans->n_fns + 1, sizeof(*d->fn));
	d->fn_of = calloc(names->n_fns + 1, sizeof(*d->fn_of));
	d->fn_of_span = calloc(spans->n_fns + 1, sizeof(*d->fn_of_span));
	if (!d->fn || !d->fn_of || !d->fn_of_span)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_fns; i++)
		d->fn[d->n_fns++] = &p->fn[i];
	add_functions(d, names, d->fn_of);
	add_functions(d, spans, d->fn_of_span);
	return 0;
}

static int cmp_file(const void *a, const void *b, void *arg)
{
	const struct data *d = arg;
	const uint32_t *x = a, *y = b;

	return text_cmp(d->fn[*x]->file, d->fn[*y]->file);
}

/* Puts each file name once, and for each function the index of its file's. 0 or -ENOMEM. */
static int put_files(struct put *j, struct data *d)
{
	uint32_t *by_file = calloc(d->n_fns + 1, sizeof(*by_file));
	uint32_t *file = calloc(d->n_fns + 1, sizeof(*file)), n = 0;
	struct column column;

	put_key(j, "files");
	put_begin(j, "[");
	for (uint32_t i = 0; by_file && i < d->n_fns; i++)
		by_file[i] = i;
	if (by_file)
		qsort_r(by_file, d->n_fns, sizeof(*by_file), cmp_file, d);
	for (size_t i = 0; by_file && file && i < d->n_fns; i++) {
		if (!i || cmp_file(&by_file[i - 1], &by_file[i], d)) {
			put_text(j, d->fn[by_file[i]]->file);
			n++;
		}
		file[by_file[i]] = n - 1;
	}
	put_end(j, "]");
	column_begin(&column, j, "file");
	for (size_t i = 0; file && i < d->n_fns; i++)
		column_add(&column, file[i]);
	column_end(&column);
	n = by_file && file;
	free(by_file);
	free(file);
	return n ? 0 : -ENOMEM;
}

static void put_names(struct put *j, const struct data *d)
{
	put_key(j, "line");
	put_begin(j, "[");
	for (size_t i = 0; i < d->n_fns; i++)
		put_int(j, d->fn[i]->line);
	put_end(j, "]");
	put_key(j, "name");
	put_begin(j, "[");
	for (size_t i = 0; i < d->n_fns; i++)
		put_text(j, d->fn[i]->name);
	put_end(j, "]");
	put_key(j, "qualname");
	put_begin(j, "[");
	for (size_t i = 0; i < d->n_fns; i++)
		put_text(j, d->fn[i]->qualname);
	put_end(j, "]");
}

enum number { CALLS, PRIMITIVE, EXCEPTIONS, SELF, TOTAL, SELF_OVERHEAD, TOTAL_OVERHEAD, NUMBERS };

static const char *const number_names[NUMBERS] = {
	"calls", "primitive", "exceptions", "self", "total", "self_overhead", "total_overhead",
};

static uint64_t number_of(const struct profile_counts *c, enum number number)
{
	switch (number) {
	case CALLS:
		return c->n_calls;
	case PRIMITIVE:
		return c->n_primitive;
	case EXCEPTIONS:
		return c->n_exceptions;
	case SELF:
		return frames_ns(c->self_s);
	case TOTAL:
		return frames_ns(c->total_s);
	case SELF_OVERHEAD:
		return frames_ns(c->self_overhead_s);
	default:
		return frames_ns(c->total_overhead_s);
	}
}

static int put_functions(struct put *j, struct data *d)
{
	struct column column;
	int err;

	put_key(j, "functions");
	put_begin_line(j, "{");
	err = put_files(j, d);
	put_names(j, d);
	for (enum number k = 0; k < NUMBERS; k++) {
		column_begin(&column, j, number_names[k]);
		for (size_t i = 0; i < d->n_fns; i++)
			column_add(&column, number_of(&d->fn[i]->counts, k));
		column_end(&column);
	}
	put_end(j, "}");
	return err;
}

/* For each function, its callers: their number, and in columns of all edges who they are. */
static void put_edges(struct put *j, const struct data *d)
{
	struct column column;

	put_key(j, "edges");
	put_begin_line(j, "{");
	column_begin(&column, j, "n_callers");
	for (size_t i = 0; i < d->n_fns; i++)
		column_add(&column, i < d->profile->n_fns ? d->fn[i]->n_callers : 0);
	column_end(&column);
	column_begin(&column, j, "caller");
	for (size_t i = 0; i < d->profile->n_fns; i++) {
		for (size_t k = 0; k < d->fn[i]->n_callers; k++)
			column_add(&column, d->fn[i]->caller[k].caller);
	}
	column_end(&column);
	for (enum number n = 0; n < NUMBERS; n++) {
		column_begin(&column, j, number_names[n]);
		for (size_t i = 0; i < d->profile->n_fns; i++) {
			for (size_t k = 0; k < d->fn[i]->n_callers; k++)
				column_add(&column, number_of(&d->fn[i]->caller[k].counts, n));
		}
		column_end(&column);
	}
	put_end(j, "}");
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* More time first; equal ones in the order of their first calls. */
static int cmp_time(const void *a, const void *b, void *arg)
{
	const struct context *node = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	if (node[x].total_s != node[y].total_s)
		return node[x].total_s < node[y].total_s ? 1 : -1;
	return (x > y) - (x < y);
}

/*
 * The nodes that are shown, in preorder. The root's depth is 0; those that are not shown have their
 * parent's.
 */
static int find_order(struct data *d)
{
	const struct contexts *c = d->contexts;
	uint32_t *left = calloc(c->n_nodes + 1ull, sizeof(*left)); /* a stack */
	size_t n_left = 1;

	d->order = calloc(c->n_nodes + 1ull, sizeof(*d->order));
	d->depth = calloc(c->n_nodes + 1ull, sizeof(*d->depth));
	while (left && d->order && d->depth && n_left) {
		uint32_t at = left[--n_left], first = (uint32_t)n_left;

		d->depth[at] = d->depth[c->node[at].parent] + contexts_shows(c, at);
		if (contexts_shows(c, at))
			d->order[d->n_order++] = at;
		for (uint32_t n = c->node[at].first; n; n = c->node[n].next)
			left[n_left++] = n;
		qsort_r(left + first, n_left - first, sizeof(*left), cmp_time, c->node);
		for (size_t i = first, k = n_left; i + 1 < k; i++) {
			uint32_t swapped = left[--k];

			left[k] = left[i];
			left[i] = swapped;
		}
	}
	free(left);
	return left && d->order && d->depth ? 0 : -ENOMEM;
}

static int find_times(struct data *d)
{
	d->self_ns = frames_own_ns(d->contexts);
	d->overhead_ns = frames_overhead_ns(d->contexts);
	return d->self_ns && d->overhead_ns ? 0 : -ENOMEM;
}

enum field { DEPTH, FN, NODE_CALLS, NODE_SELF, OVERHEAD, FLAGS, FIELDS };

static const char *const field_names[FIELDS] = {
	"depth", "fn", "calls", "self", "overhead", "flags"
};

static uint64_t field_of(const struct data *d, uint32_t n, enum field field)
{
	const struct context *x = &d->contexts->node[n];

	switch (field) {
	case DEPTH:
		return d->depth[n];
	case FN:
		return d->fn_of[x->fn];
	case NODE_CALLS:
		return x->n_calls;
	case NODE_SELF:
		return d->self_ns[n];
	case OVERHEAD:
		return d->overhead_ns[n];
	default:
		return (x->flags & CONTEXT_OPEN ? 1 : 0) | (x->flags & CONTEXT_LEVELS ? 2 : 0);
	}
}

static void put_nodes(struct put *j, const struct data *d)
{
	struct column column;

	put_key(j, "nodes");
	put_begin_line(j, "{");
	for (enum field field = 0; field < FIELDS; field++) {
		column_begin(&column, j, field_names[field]);
		for (size_t i = 0; i < d->n_order; i++)
			column_add(&column, field_of(d, d->order[i], field));
		column_end(&column);
	}
	put_end(j, "}");
}

/* --- the object ------------------------------------------------------------------------------- */

int html_data_put(struct put *j, const struct reading *r, const struct show *o)
{
	const struct sum *sum = &r->report[0].sum;
	struct data d = { .profile = &sum->profile, .contexts = &sum->contexts };
	int err = html_timeline_init(&d.timeline, &r->timeline);

	if (!err)
		err = find_functions(&d);
	if (!err)
		err = find_order(&d);
	if (!err)
		err = find_times(&d);
	if (err)
		goto out;
	put_begin(j, "{");
	put_key_string(j, "format", "pyshim-html");
	put_key_count(j, "version", HTML_DATA_VERSION);
	put_key_string(j, "generator", "pyshim-read " PYSHIM_VERSION);
	put_key_bool(j, "qualnames", o->report.select.qualnames);
	put_key_count(j, "total_calls", sum->total.n_calls);
	put_key_count(j, "primitive_calls", sum->total.n_primitive);
	put_key_seconds(j, "total_tt", sum->total.self_s);
	err = put_sources(j, r->source, r->n_sources);
	if (!err)
		err = put_functions(j, &d);
	put_edges(j, &d);
	put_nodes(j, &d);
	html_timeline_put(&d.timeline, j, d.fn_of_span);
	put_end(j, "}");
out:
	data_fini(&d);
	return err;
}
