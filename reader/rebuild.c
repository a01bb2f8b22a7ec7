/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rebuild.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pyprof/fold.h"

/* --- tables in private memory --------------------------------------------------------------------- */

static bool grow_fns(struct pyprof_fold *f)
{
	uint32_t cap = f->cap_fns ? f->cap_fns * 2 : 512;
	struct pyprof_fold_fn *fn = realloc(f->fn, (cap + 1ull) * sizeof(*fn));
	uint32_t *index = calloc(cap * 2ull, sizeof(*index));

	if (fn)
		f->fn = fn;
	if (!fn || !index) {
		free(index);
		return false;
	}
	if (!f->cap_fns)
		f->fn[0] = (struct pyprof_fold_fn){ 0 };
	free(f->fn_index);
	f->fn_index = index;
	f->fn_mask = cap * 2 - 1;
	f->cap_fns = cap;
	for (uint32_t slot = 1; slot <= f->n_fns; slot++) {
		uint32_t i = pyprof_fold_hash(0, f->fn[slot].number);

		while (index[i & f->fn_mask])
			i++;
		index[i & f->fn_mask] = slot;
	}
	return true;
}

static bool grow_edges(struct pyprof_fold *f)
{
	uint32_t cap = f->cap_edges ? f->cap_edges * 2 : 1024;
	struct pyprof_fold_edge *edge = realloc(f->edge, (cap + 1ull) * sizeof(*edge));
	uint32_t *index = calloc(cap * 2ull, sizeof(*index));

	if (edge)
		f->edge = edge;
	if (!edge || !index) {
		free(index);
		return false;
	}
	if (!f->cap_edges)
		f->edge[0] = (struct pyprof_fold_edge){ 0 };
	free(f->edge_index);
	f->edge_index = index;
	f->edge_mask = cap * 2 - 1;
	f->cap_edges = cap;
	for (uint32_t e = 1; e <= f->n_edges; e++) {
		uint32_t i = pyprof_fold_hash(f->edge[e].caller, f->edge[e].number);

		while (index[i & f->edge_mask])
			i++;
		index[i & f->edge_mask] = e;
	}
	return true;
}

static bool grow_stack(struct pyprof_fold *f)
{
	uint32_t cap = f->cap_depth ? f->cap_depth * 2 : 1024;
	struct pyprof_fold_frame *stack = realloc(f->stack, (size_t)cap * sizeof(*stack));

	if (!stack)
		return false;
	f->stack = stack;
	f->cap_depth = cap;
	return true;
}

static bool grow(struct pyprof_fold *f)
{
	if (f->n_fns == f->cap_fns && !grow_fns(f))
		return false;
	if (f->n_edges == f->cap_edges && !grow_edges(f))
		return false;
	return f->depth < f->cap_depth || grow_stack(f);
}

static void fold_free(struct pyprof_fold *f)
{
	free(f->fn);
	free(f->edge);
	free(f->fn_index);
	free(f->edge_index);
	free(f->stack);
}

/* --- rings into one profile ------------------------------------------------------------------------- */

struct rebuild {
	struct profile *profile;
	const struct names *names;
	double seconds_per_tick;
	struct rebuild_summary *summary;
	bool any; /* first_ticks is set */
};

static void feed_ring(struct rebuild *r, struct drain *d, struct pyprof_fold *f)
{
	struct rebuild_summary *s = r->summary;
	struct drain_batch batch;
	uint32_t thread = 0;

	while (drain_next(d, &batch)) {
		f->base = batch.base_ticks;
		for (size_t i = 0; i < batch.n; i++) {
			uint64_t record = batch.record[i];

			pyprof_fold_record(f, record);
			if (pyprof_record_kind(record) == PYPROF_THREAD) {
				s->n_threads += pyprof_record_fn(record) != thread;
				thread = pyprof_record_fn(record);
			}
		}
		if (!r->any || batch.base_ticks + batch.skipped_ticks < s->first_ticks)
			s->first_ticks = batch.base_ticks + batch.skipped_ticks;
		if (f->now + batch.skipped_ticks > s->last_ticks)
			s->last_ticks = f->now + batch.skipped_ticks;
		r->any = true;
	}
	pyprof_fold_close(f);
	s->n_events += f->n_records;
	s->n_unmatched += f->n_unmatched;
	s->n_closed += f->n_closed;
	s->n_open += f->n_open;
	s->n_lost_here += f->n_lost;
}

static struct profile_counts edge_counts(const struct rebuild *r, const struct pyprof_fold_edge *e)
{
	return (struct profile_counts){
		.n_calls = e->n_calls,
		.n_primitive = e->n_calls - e->n_recursive,
		.n_exceptions = e->n_exceptions,
		.self_s = (double)e->self * r->seconds_per_tick,
		.total_s = (double)e->total * r->seconds_per_tick,
	};
}

/* What a function's slot and the edges that lead to it add up to. */
static struct profile_counts *sum_by_slot(const struct rebuild *r, const struct pyprof_fold *f)
{
	struct profile_counts *sum = calloc(f->n_fns + 1ull, sizeof(*sum));
	uint64_t *self = calloc(f->n_fns + 1ull, sizeof(*self));

	if (!sum || !self) {
		free(sum);
		free(self);
		return NULL;
	}
	for (uint32_t i = 1; i <= f->n_edges; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];

		sum[e->callee].n_calls += e->n_calls;
		sum[e->callee].n_exceptions += e->n_exceptions;
		self[e->callee] += e->self;
	}
	for (uint32_t slot = 1; slot <= f->n_fns; slot++) {
		sum[slot].n_primitive = sum[slot].n_calls - f->fn[slot].n_recursive;
		sum[slot].self_s = (double)self[slot] * r->seconds_per_tick;
		sum[slot].total_s = (double)f->fn[slot].total * r->seconds_per_tick;
	}
	free(self);
	return sum;
}

static int add_functions(const struct rebuild *r, const struct pyprof_fold *f, size_t *place)
{
	struct profile_counts *sum = sum_by_slot(r, f);
	int err = sum ? 0 : -ENOMEM;

	for (uint32_t slot = 1; slot <= f->n_fns && !err; slot++) {
		const struct name *n = names_fn(r->names, f->fn[slot].number);

		place[slot] = SIZE_MAX;
		if (!sum[slot].n_calls && sum[slot].self_s == 0 && sum[slot].total_s == 0)
			continue;
		place[slot] = profile_fn_add(r->profile, n->file, n->line, n->name, n->qualname);
		if (place[slot] == SIZE_MAX)
			err = -ENOMEM;
		else
			profile_counts_add(&r->profile->fn[place[slot]].counts, &sum[slot]);
	}
	free(sum);
	return err;
}

static int add_tables(const struct rebuild *r, const struct pyprof_fold *f)
{
	size_t *place = malloc((f->n_fns + 1ull) * sizeof(*place));
	int err = place ? add_functions(r, f, place) : -ENOMEM;

	for (uint32_t i = 1; i <= f->n_edges && !err; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];
		struct profile_counts counts = edge_counts(r, e);

		if (!e->caller || place[e->callee] == SIZE_MAX || place[e->caller] == SIZE_MAX)
			continue;
		if (!counts.n_calls && counts.self_s == 0 && counts.total_s == 0)
			continue;
		err = profile_edge_add(r->profile, place[e->caller], place[e->callee], &counts);
	}
	free(place);
	return err;
}

int rebuild(struct profile *p, struct drain *d, const struct names *names, double seconds_per_tick,
	    struct rebuild_summary *summary)
{
	struct rebuild r = { .profile = p,
			     .names = names,
			     .seconds_per_tick = seconds_per_tick,
			     .summary = summary };
	int err = 0;

	memset(summary, 0, sizeof(*summary));
	for (size_t ring = 0; ring < d->n_rings && !err; ring++) {
		struct pyprof_fold f = { .grow = grow };

		if (!grow(&f)) {
			err = -ENOMEM;
		} else {
			drain_ring(d, ring);
			feed_ring(&r, d, &f);
			err = add_tables(&r, &f);
		}
		fold_free(&f);
	}
	return err;
}
