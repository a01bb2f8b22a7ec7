/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rebuild.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pyprof/fold.h"
#include "replay.h"

struct rebuild {
	struct profile *profile;
	struct drain *drain;
	struct names *names;
	double seconds_per_tick;
	struct rebuild_summary *summary;
	bool any; /* first_ticks is set */
};

static void add_summary(struct rebuild *r, const struct pyprof_fold_state *s, uint64_t n_lost_there)
{
	struct rebuild_summary *sum = r->summary;

	if (s->n_records) {
		if (!r->any || s->first_ticks < sum->first_ticks)
			sum->first_ticks = s->first_ticks;
		if (s->now + s->skipped_ticks > sum->last_ticks)
			sum->last_ticks = s->now + s->skipped_ticks;
		r->any = true;
	}
	sum->n_events += s->n_records;
	sum->n_threads += s->n_threads;
	sum->n_gaps += s->n_gaps;
	sum->gap_ticks += s->gap_ticks;
	sum->n_unmatched += s->n_unmatched;
	sum->n_closed += s->n_closed;
	sum->n_open += s->n_open;
	sum->n_lost_here += s->n_lost - n_lost_there;
	r->drain->n_lost[PYPROF_LOST_STORAGE] += n_lost_there;
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
	struct profile_counts *sum = calloc(f->s.n_fns + 1ull, sizeof(*sum));
	uint64_t *self = calloc(f->s.n_fns + 1ull, sizeof(*self));

	if (!sum || !self) {
		free(sum);
		free(self);
		return NULL;
	}
	for (uint32_t i = 1; i <= f->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];

		sum[e->callee].n_calls += e->n_calls;
		sum[e->callee].n_exceptions += e->n_exceptions;
		self[e->callee] += e->self;
	}
	for (uint32_t slot = 1; slot <= f->s.n_fns; slot++) {
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

	for (uint32_t slot = 1; slot <= f->s.n_fns && !err; slot++) {
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
	size_t *place = malloc((f->s.n_fns + 1ull) * sizeof(*place));
	int err = place ? add_functions(r, f, place) : -ENOMEM;

	for (uint32_t i = 1; i <= f->s.n_edges && !err; i++) {
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

/* Names come before the records that use them, but these were read after those. */
static int refresh_names(struct rebuild *r, const struct pyprof_fold *f)
{
	const struct attach *a = r->drain->attach;

	for (uint32_t slot = 1; a->live && slot <= f->s.n_fns; slot++) {
		if (!names_has(r->names, f->fn[slot].number)) {
			names_fini(r->names);
			return names_read(r->names, a);
		}
	}
	return 0;
}

/* 3.8 to 3.11: the last that was seen is a call that may have taken the profile hook for good. */
static bool ends_blind(const struct rebuild *r, const struct pyprof_fold *f)
{
	uint32_t top;

	if (!f->s.depth || r->drain->attach->header.engine != PYPROF_ENGINE_TRACEFUNC)
		return false;
	top = f->fn[f->edge[f->stack[f->s.depth - 1].edge].callee].number;
	return names_fn(r->names, top)->flags & PYPROF_NAME_TAKES_HOOK;
}

/*
 * Every frame ends once, and every record begins one, ends one or is unmatched; what the edges say
 * they were called must be what the records were.
 */
static void check_laws(struct rebuild_summary *sum, const struct pyprof_fold *f)
{
	const struct pyprof_fold_state *s = &f->s;
	uint64_t self = 0, root = 0, frames = s->n_found;

	for (uint32_t i = 1; i <= s->n_edges; i++) {
		frames += f->edge[i].n_calls;
		self += f->edge[i].self;
		if (!f->edge[i].caller)
			root += f->edge[i].total;
	}
	sum->n_rings++;
	sum->n_time_broken += self != root;
	sum->n_calls_broken +=
		s->n_records != 2 * frames - s->n_closed - s->n_open + s->n_unmatched + s->n_lost;
}

static int add_ring(void *arg, struct replay *ring)
{
	struct rebuild *r = arg;
	struct pyprof_fold *f = &ring->f;
	int err = refresh_names(r, f);

	if (err)
		return err;
	r->summary->n_blind_ends += ends_blind(r, f);
	pyprof_fold_close(f);
	check_laws(r->summary, f);
	err = add_tables(r, f);
	add_summary(r, &f->s, ring->n_lost_there);
	return err;
}

int rebuild(struct profile *p, struct drain *d, struct names *names, double seconds_per_tick,
	    struct rebuild_summary *summary)
{
	struct rebuild r = { .profile = p,
			     .drain = d,
			     .names = names,
			     .seconds_per_tick = seconds_per_tick,
			     .summary = summary };

	memset(summary, 0, sizeof(*summary));
	return replay_rings(d, add_ring, &r);
}
