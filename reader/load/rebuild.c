/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rebuild.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "add_calls.h"
#include "add_tree.h"
#include "labels.h"
#include "pyprof/fold.h"
#include "recording/replay.h"
#include "recording/ticks.h"

struct rebuild {
	struct profile *profile;
	struct drain *drain;
	struct names *names;
	double seconds_per_tick;
	uint64_t end; /* ticks_end() */
	const struct request *request;
	bool lists_threads;
	struct labels labels;
	struct add_calls calls;	       /* how to add calls to the profile ... */
	struct add_calls thread_calls; /* ... and to that of a thread */
	struct add_tree tree;	       /* how to add the calling contexts */
	struct profile listed; /* index of the summary's threads: the number is a function's line */
	struct rebuild_summary *summary;
	bool any;		 /* first_ticks is set */
	uint64_t blind_from_sum; /* of the n_blind_ends rings, in ticks */
};

static uint64_t less(uint64_t n, uint64_t by)
{
	return n > by ? n - by : 0;
}

/* At the end: a lost call that still runs has no return, so that was not an event. */
static uint64_t settle_losses(struct pyprof_tree_state *s, uint64_t n_lost)
{
	if ((int64_t)s->n_unmatched < 0) {
		n_lost += s->n_unmatched;
		s->n_unmatched = 0;
	}
	return n_lost;
}

/* Adds the state of a ring at its end. */
static void add_summary(struct rebuild *r, const struct pyprof_tree_state *s)
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
	sum->n_blind_intervals += s->n_blind_intervals;
	sum->blind_interval_ticks += s->blind_interval_ticks;
	sum->n_unmatched += s->n_unmatched;
	sum->n_closed += s->n_closed;
	sum->n_open += s->n_open;
	sum->n_found += s->n_found;
}

/*
 * Reads the names again if one is missing. The target writes a name before the records that use it,
 * but here the names were read before the records.
 */
static int refresh_names(struct rebuild *r, const struct replay *ring)
{
	const struct attach *a = r->drain->attach;
	bool missing = false;

	for (uint32_t slot = 1; a->live && slot <= ring->f.s.n_fns; slot++)
		missing |= !names_has(r->names, ring->f.fn[slot].number);
	for (uint32_t n = 1; a->live && n < ring->tree.s.n_nodes && !missing; n++) {
		const struct pyprof_node *x = &ring->tree.node[n];

		missing = !(x->fn & PYPROF_NODE_SPECIAL) &&
			  !names_has(r->names, x->fn & PYPROF_NODE_NUMBER);
	}
	if (missing) {
		names_fini(r->names);
		return names_read(r->names, a);
	}
	return 0;
}

/* True if the program took the profile hook and no event was seen after that. */
static bool ends_blind(uint64_t last_record)
{
	return pyprof_record_kind(last_record) == PYPROF_BLIND &&
	       pyprof_record_fn(last_record) == PYPROF_BLIND_BEGINS;
}

/*
 * Law of time. In a fold table, the self times of all edges add up to the time of the root's calls.
 * In a tree, the self times of all nodes, threads included, add up to the time that has passed.
 */
static bool is_time_broken(const struct replay *ring)
{
	const struct pyprof_tree *t = &ring->tree;
	uint64_t self = 0, root = 0, passed = t->s.outside;

	for (uint32_t i = 1; i <= ring->f.s.n_edges; i++) {
		self += ring->f.edge[i].self;
		if (!ring->f.edge[i].caller)
			root += ring->f.edge[i].total;
	}
	for (uint32_t n = 0; n < t->s.n_nodes; n++)
		passed += t->node[n].self;
	return self != root || passed != t->s.now;
}

/*
 * Law of calls. Each call ends once, and each record begins a call, ends one, is unmatched or is
 * lost, so the number of calls determines that of records.
 */
static bool is_calls_broken(const struct replay *ring)
{
	const struct pyprof_tree_state *s = &ring->tree.s;
	uint64_t frames = s->n_found;

	for (uint32_t i = 1; i <= ring->f.s.n_edges; i++)
		frames += ring->f.edge[i].n_calls;
	for (uint32_t n = 1; n < s->n_nodes; n++) {
		if (!(ring->tree.node[n].fn & PYPROF_NODE_SPECIAL))
			frames += ring->tree.node[n].n_calls;
	}
	return s->n_records != 2 * frames - s->n_closed - s->n_open + s->n_unmatched + ring->n_lost;
}

static void check_laws(struct rebuild_summary *sum, const struct replay *ring)
{
	sum->n_rings++;
	sum->n_time_broken += is_time_broken(ring);
	sum->n_calls_broken += is_calls_broken(ring);
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

/* Returns the profile of a thread, or NULL if the request does not split threads. */
static int find_thread(struct rebuild *r, uint32_t number, struct profile **p)
{
	size_t at = r->lists_threads ? list_thread(r, number) : 0;

	*p = NULL;
	if (at == SIZE_MAX)
		return -ENOMEM;
	if (request_splits_threads(r->request))
		*p = &r->summary->thread[at].profile;
	return 0;
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

static int add_table(struct rebuild *r, const struct replay *ring)
{
	struct profile *of_thread;
	int err;

	if (!ring->f.fn)
		return 0;
	err = find_thread(r, ring->thread, &of_thread);
	if (!err)
		err = add_calls_of_table(&r->calls, &ring->f, r->profile);
	if (!err && of_thread)
		err = add_calls_of_table(&r->thread_calls, &ring->f, of_thread);
	return err;
}

static int add_threads(struct rebuild *r, const struct pyprof_tree *t, const double *overhead_s)
{
	int err = 0;

	for (uint32_t n = 1; n < t->s.n_nodes && !err; n++) {
		struct profile *p;

		if (!(t->node[n].fn & PYPROF_NODE_THREAD))
			continue;
		err = find_thread(r, t->node[n].fn & PYPROF_NODE_NUMBER, &p);
		if (!err && p)
			err = add_calls_of_tree(&r->thread_calls, t, overhead_s, n, p);
	}
	return err;
}

static int add_nodes(struct rebuild *r, const struct pyprof_tree *t)
{
	int err = 0;
	double *overhead_s = add_calls_overhead(&r->calls, t, &err);

	if (!err && t->node)
		err = add_calls_of_tree(&r->calls, t, overhead_s, 0, r->profile);
	if (!err && r->lists_threads)
		err = add_threads(r, t, overhead_s);
	free(overhead_s);
	return err;
}

/*
 * Closes the calls that run at the end of the ring. If the end of the recording is known and no
 * events are missing, they end with the thread or, if it still ran, with the recording. Else they
 * end at the last event of the ring.
 */
static void close_ring(const struct rebuild *r, struct replay *ring, bool blind)
{
	struct pyprof_tree_state *s = &ring->tree.s;
	uint64_t end = (ring->ended ? ring->ended_ticks : r->end) - s->skipped_ticks;
	uint32_t depth = pyprof_tree_depth(&ring->tree);

	if (!ring->ended && !blind)
		r->summary->n_running += depth;
	if (!depth || !r->end || blind || ring->lost)
		end = s->now;
	pyprof_tree_close(&ring->tree, end);
}

/* Adds the time for which the threads of a ring were recorded. */
static void add_span(struct rebuild_summary *sum, const struct pyprof_tree_state *s)
{
	if (!s->n_records)
		return;
	sum->span_ticks += s->now + s->skipped_ticks - s->first_ticks;
	sum->skipped_ticks += s->skipped_ticks;
}

/* Splits lost events into those lost by the target's tables and those lost by the reader's. */
static void add_lost(struct rebuild *r, struct replay *ring)
{
	uint64_t n_lost = settle_losses(&ring->tree.s, ring->f.s.n_lost);
	uint64_t there = ring->n_lost < n_lost ? ring->n_lost : n_lost;

	r->summary->n_lost_here += n_lost - there;
	r->drain->n_lost[PYPROF_LOST_STORAGE] += there;
}

static void add_blind_end(struct rebuild *r, const struct pyprof_tree_state *s)
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
	struct pyprof_tree *t = &ring->tree;
	bool blind = ends_blind(ring->last_record);
	uint32_t running = ring->ended || blind ? 0 : t->s.current;
	int err;

	if (!t->node) { /* no thread has written to it */
		sum->n_rings++;
		return 0;
	}
	err = refresh_names(r, ring);
	if (!err)
		err = labels_update(&r->labels, r->names);
	if (err)
		return err;
	if (blind)
		add_blind_end(r, &t->s);
	close_ring(r, ring, blind);
	check_laws(sum, ring);
	add_span(sum, &t->s);
	add_lost(r, ring);
	add_summary(r, &t->s);
	err = add_table(r, ring);
	if (!err)
		err = add_nodes(r, t);
	return err ? err : add_tree(&r->tree, t, &ring->f, running);
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
			     .request = q,
			     .labels = { .by_code = q->by_code, .cprofile = q->cprofile_labels },
			     .lists_threads = request_splits_threads(q) || q->lists_threads,
			     .summary = summary };

	memset(summary, 0, sizeof(*summary));
	profile_init(&r.listed);
	r.calls = (struct add_calls){ .names = names,
				      .labels = &r.labels,
				      .calibration = calibration,
				      .request = q,
				      .monitoring =
					      d->attach->header.engine == PYPROF_ENGINE_MONITORING,
				      .seconds_per_tick = seconds_per_tick,
				      .n_unnamed = &summary->n_unnamed };
	r.thread_calls = r.calls;
	r.thread_calls.n_unnamed = NULL;
	err = begin_contexts(&r, contexts);
	if (!err)
		err = replay_rings(d, add_ring, &r);
	measure_blind_ends(&r);
	labels_fini(&r.labels);
	profile_fini(&r.listed);
	return err;
}
