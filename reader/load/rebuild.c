/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rebuild.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "add_tree.h"
#include "labels.h"
#include "overhead/model.h"
#include "pyprof/fold.h"
#include "recording/replay.h"
#include "recording/ticks.h"

struct rebuild {
	struct profile *profile;
	struct drain *drain;
	struct names *names;
	double seconds_per_tick;
	uint64_t end;			       /* ticks_end() */
	const struct calibration *calibration; /* NULL: none */
	const struct request *request;
	struct replay_request replay;
	struct labels labels;
	struct add_tree tree;  /* how to add the calling contexts */
	struct profile listed; /* index of the summary's threads: the number is a function's line */
	struct rebuild_summary *summary;
	bool any;		 /* first_ticks is set */
	uint64_t blind_from_sum; /* of the n_blind_ends rings, in ticks */
};

static uint64_t less(uint64_t n, uint64_t by)
{
	return n > by ? n - by : 0;
}

/* Adds the state of one thread, or of several in one ring. */
static void add_summary(struct rebuild *r, struct pyprof_fold_state *s)
{
	struct rebuild_summary *sum = r->summary;

	pyprof_fold_settle_losses(s);
	if (s->n_records) {
		if (!r->any || s->first_ticks < sum->first_ticks)
			sum->first_ticks = s->first_ticks;
		if (s->now + s->skipped_ticks > sum->last_ticks)
			sum->last_ticks = s->now + s->skipped_ticks;
		r->any = true;
	}
	sum->n_events += s->n_records;
	sum->n_threads += s->n_threads;
	sum->n_blind_intervals += s->n_blind_intervals;
	sum->blind_interval_ticks += s->blind_interval_ticks;
	sum->n_unmatched += s->n_unmatched;
	sum->n_closed += s->n_closed;
	sum->n_open += s->n_open;
	sum->n_found += s->n_found;
	sum->n_lost_here += s->n_lost;
}

/* --- requested views -------------------------------------------------------------------------- */

static void leave_out_resumes(struct profile_counts *c, uint64_t n_resumes, uint64_t n_recursive)
{
	c->n_calls = less(c->n_calls, n_resumes);
	c->n_primitive = less(c->n_calls, n_recursive);
}

static void leave_out_edge_resumes(const struct rebuild *r, const struct pyprof_fold_edge *e,
				   struct profile_counts *counts)
{
	if (r->request->true_calls && e->n_resumes)
		leave_out_resumes(counts, e->n_resumes, less(e->n_recursive, e->n_resumes));
}

static int leave_out_function_resumes(const struct rebuild *r, const struct pyprof_fold *f,
				      struct profile_counts *sum)
{
	uint64_t *n_resumes;

	if (!r->request->true_calls)
		return 0;
	n_resumes = calloc(f->s.n_fns + 1ull, sizeof(*n_resumes));
	if (!n_resumes)
		return -ENOMEM;
	for (uint32_t i = 1; i <= f->s.n_edges; i++)
		n_resumes[f->edge[i].callee] += f->edge[i].n_resumes;
	for (uint32_t slot = 1; slot <= f->s.n_fns; slot++) {
		const struct pyprof_fold_fn *fn = &f->fn[slot];

		if (n_resumes[slot])
			leave_out_resumes(&sum[slot], n_resumes[slot],
					  less(fn->n_recursive, fn->n_recursive_resumes));
	}
	free(n_resumes);
	return 0;
}

/* --- into the profile ------------------------------------------------------------------------- */

static int add_functions(const struct rebuild *r, const struct model *c, struct profile *p,
			 size_t *place)
{
	const struct pyprof_fold *f = c->fold;
	struct profile_counts *sum = model_functions(c);
	int err = sum ? leave_out_function_resumes(r, f, sum) : -ENOMEM;

	for (uint32_t slot = 1; slot <= f->s.n_fns && !err; slot++) {
		place[slot] = SIZE_MAX;
		if (!sum[slot].n_calls && sum[slot].self_s == 0 && sum[slot].total_s == 0)
			continue;
		place[slot] = labels_add(&r->labels, r->names, p, f->fn[slot].number);
		if (place[slot] == SIZE_MAX)
			err = -ENOMEM;
		else
			profile_counts_add(&p->fn[place[slot]].counts, &sum[slot]);
	}
	free(sum);
	return err;
}

static int add_tables(const struct rebuild *r, const struct pyprof_fold *f, struct profile *p)
{
	size_t *place = malloc((f->s.n_fns + 1ull) * sizeof(*place));
	struct model c = {
		.fold = f,
		.names = r->names,
		.calibration = r->calibration,
		.monitoring = r->drain->attach->header.engine == PYPROF_ENGINE_MONITORING,
		.seconds_per_tick = r->seconds_per_tick,
	};
	int err = model_init(&c);

	if (!err)
		err = place ? add_functions(r, &c, p, place) : -ENOMEM;

	for (uint32_t i = 1; i <= f->s.n_edges && !err; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];
		struct profile_counts counts = model_edge(&c, e);

		leave_out_edge_resumes(r, e, &counts);
		if (!e->caller || place[e->callee] == SIZE_MAX || place[e->caller] == SIZE_MAX)
			continue;
		if (!counts.n_calls && counts.self_s == 0 && counts.total_s == 0)
			continue;
		err = profile_edge_add(p, place[e->caller], place[e->callee], &counts);
	}
	free(place);
	model_fini(&c);
	return err;
}

/*
 * Reads the names again if one is missing. The target writes a name before the records that use it,
 * but here the names were read before the records.
 */
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

/*
 * Checks two laws. The self times of all edges add up to the time of the root's calls. Each frame
 * ends once, and each record begins a frame, ends one, is unmatched or is lost, so the calls of all
 * edges determine the number of records.
 */
static void check_tables(const struct pyprof_fold *f, bool *time_broken, bool *calls_broken)
{
	const struct pyprof_fold_state *s = &f->s;
	uint64_t self = 0, root = 0, frames = s->n_found;

	for (uint32_t i = 1; i <= s->n_edges; i++) {
		frames += f->edge[i].n_calls;
		self += f->edge[i].self;
		if (!f->edge[i].caller)
			root += f->edge[i].total;
	}
	*time_broken |= self != root;
	*calls_broken |=
		s->n_records != 2 * frames - s->n_closed - s->n_open + s->n_unmatched + s->n_lost;
}

static void check_laws(struct rebuild_summary *sum, const struct replay *ring)
{
	bool time_broken = false, calls_broken = false;

	check_tables(&ring->f, &time_broken, &calls_broken);
	for (size_t i = 0; i < ring->n_before; i++)
		check_tables(&ring->before[i].f, &time_broken, &calls_broken);
	sum->n_rings++;
	sum->n_time_broken += time_broken;
	sum->n_calls_broken += calls_broken;
}

/* --- threads ---------------------------------------------------------------------------------- */

/* Returns the index of the thread in the summary, where it is added. SIZE_MAX without memory. */
static size_t list_thread(struct rebuild *r, uint32_t number)
{
	const struct text none = { "", 0 };
	struct rebuild_summary *sum = r->summary;
	const struct name *n = names_thread(r->names, number);
	struct rebuild_thread *more;
	size_t at = profile_caller_add(&r->listed, none, number, none);

	if (at < sum->n_listed || at == SIZE_MAX)
		return at;
	more = reallocarray(sum->thread, at + 1, sizeof(*more));
	if (!more)
		return SIZE_MAX;
	sum->thread = more;
	more += at;
	*more = (struct rebuild_thread){ .number = number, .native_id = n ? n->line : 0 };
	more->name = n && n->name.n ? strndup(n->name.bytes, n->name.n) : strdup("");
	if (!more->name)
		return SIZE_MAX;
	profile_init(&more->profile);
	sum->n_listed++;
	return at;
}

/* Adds tables to the profile of their thread, if the request splits threads. */
static int add_to_thread(struct rebuild *r, const struct pyprof_fold *f, uint32_t number)
{
	size_t at;

	if (!r->replay.by_thread)
		return 0;
	at = list_thread(r, number);
	if (at == SIZE_MAX)
		return -ENOMEM;
	if (!request_splits_threads(r->request) || !f->fn) /* an empty ring has no tables */
		return 0;
	return add_tables(r, f, &r->summary->thread[at].profile);
}

void rebuild_summary_fini(struct rebuild_summary *summary)
{
	while (summary->n_listed) {
		struct rebuild_thread *t = &summary->thread[--summary->n_listed];

		free(t->name);
		profile_fini(&t->profile);
	}
	free(summary->thread);
	summary->thread = NULL;
}

bool rebuild_is_thread(const struct rebuild_thread *t, const char *id)
{
	char number[16], native[16];

	snprintf(number, sizeof(number), "#%" PRIu32, t->number);
	snprintf(native, sizeof(native), "%" PRId32, t->native_id);
	return !strcmp(id, number) || (t->native_id && !strcmp(id, native)) ||
	       (*id && !strcmp(id, t->name));
}

static bool wants_thread(void *arg, uint32_t number)
{
	struct rebuild *r = arg;
	size_t at = list_thread(r, number);

	return at == SIZE_MAX || rebuild_is_thread(&r->summary->thread[at], r->request->thread);
}

/* --- rings ------------------------------------------------------------------------------------ */

static void count_unnamed(struct rebuild *r, const struct pyprof_fold *f)
{
	for (uint32_t slot = 1; slot <= f->s.n_fns; slot++)
		r->summary->n_unnamed += !names_has(r->names, f->fn[slot].number);
}

/* Adds tables without open frames. */
static int add_piece(struct rebuild *r, struct pyprof_fold *f, uint32_t thread)
{
	int err = refresh_names(r, f);

	count_unnamed(r, f);
	if (!err)
		err = labels_update(&r->labels, r->names);
	if (!err && f->fn)
		err = add_tables(r, f, r->profile);
	if (!err)
		err = add_to_thread(r, f, thread);
	add_summary(r, &f->s);
	return err;
}

/* Closes the calls that run at the end of the ring. */
static void close_ring(const struct rebuild *r, struct replay *ring, bool blind)
{
	struct pyprof_fold_state *s = &ring->f.s;

	if (!ring->ended && !blind)
		r->summary->n_running += s->depth;
	s->now = replay_end(ring, r->end);
	pyprof_fold_close(&ring->f);
}

/* Adds the time for which the threads of a ring were recorded. */
static void add_span(struct rebuild_summary *sum, const struct replay *ring)
{
	const struct pyprof_fold_state *last = &ring->f.s;
	const struct pyprof_fold_state *first = ring->n_before ? &ring->before[0].f.s : last;

	if (!first->n_records)
		return;
	sum->span_ticks += last->now + last->skipped_ticks - first->first_ticks;
	sum->skipped_ticks += last->skipped_ticks;
}

/* Splits lost events into those lost by the target's tables and those lost by the reader's. */
static void add_lost(struct rebuild *r, const struct replay *ring, uint64_t n_lost)
{
	uint64_t there = ring->n_lost_there < n_lost ? ring->n_lost_there : n_lost;

	r->summary->n_lost_here -= there;
	r->drain->n_lost[PYPROF_LOST_STORAGE] += there;
}

static void add_blind_end(struct rebuild *r, const struct pyprof_fold_state *s)
{
	struct rebuild_summary *sum = r->summary;
	uint64_t from = s->now + s->skipped_ticks;

	if (!sum->n_blind_ends++ || from < sum->blind_from_ticks)
		sum->blind_from_ticks = from;
	r->blind_from_sum += from;
}

/* Call it after all rings, because the end of the recording is known only then. */
static void measure_blind_ends(struct rebuild *r)
{
	struct rebuild_summary *sum = r->summary;
	uint64_t end = r->end ? r->end : r->drain->attach->header.end_ticks;

	if (end < sum->last_ticks)
		end = sum->last_ticks;
	sum->blind_ticks = less(sum->n_blind_ends * end, r->blind_from_sum);
}

static int add_ring(void *arg, struct replay *ring)
{
	struct rebuild *r = arg;
	struct rebuild_summary *sum = r->summary;
	uint64_t n_lost = sum->n_lost_here;
	bool blind = replay_ends_blind(ring);
	int err = refresh_names(r, &ring->f);

	if (err)
		return err;
	if (blind)
		add_blind_end(r, &ring->f.s);
	close_ring(r, ring, blind);
	check_laws(sum, ring);
	add_span(sum, ring);
	for (size_t i = 0; i < ring->n_before && !err; i++)
		err = add_piece(r, &ring->before[i].f, ring->before[i].thread);
	if (!err)
		err = add_piece(r, &ring->f, ring->thread);
	add_lost(r, ring, sum->n_lost_here - n_lost);
	if (!err)
		err = add_tree(&r->tree, &ring->tree, ring->f.s.now, !ring->ended && !blind);
	return err;
}

/* Prepares the contexts for the trees of a recording. */
static int begin_contexts(struct rebuild *r, struct contexts *c)
{
	const struct request *q = r->request;

	if (!c)
		return 0;
	r->tree = (struct add_tree){ .contexts = c,
				     .names = r->names,
				     .labels = &r->labels,
				     .seconds_per_tick = r->seconds_per_tick,
				     .true_calls = q->true_calls,
				     .process = add_tree_process(c, &r->drain->attach->header),
				     .wants_thread = q->thread ? wants_thread : NULL,
				     .arg = r };
	r->replay.contexts = true;
	return r->tree.process ? 0 : -ENOMEM;
}

int rebuild(struct profile *p, struct contexts *contexts, struct drain *d, struct names *names,
	    double seconds_per_tick, const struct calibration *calibration, const struct request *q,
	    struct rebuild_summary *summary)
{
	int err;
	struct rebuild r = { .profile = p,
			     .drain = d,
			     .names = names,
			     .seconds_per_tick = seconds_per_tick,
			     .end = ticks_end(d),
			     .calibration = calibration,
			     .request = q,
			     .labels = { .by_code = q->by_code, .cprofile = q->cprofile_labels },
			     .replay = { .by_thread = request_splits_threads(q) || q->lists_threads,
					 .through_c = q->no_builtins },
			     .summary = summary };

	memset(summary, 0, sizeof(*summary));
	profile_init(&r.listed);
	err = begin_contexts(&r, contexts);
	if (!err)
		err = replay_rings(d, &r.replay, add_ring, &r);
	measure_blind_ends(&r);
	labels_fini(&r.labels);
	profile_fini(&r.listed);
	return err;
}
