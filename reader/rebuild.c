/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rebuild.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pyprof/fold.h"
#include "replay.h"

struct rebuild {
	struct profile *profile;
	struct drain *drain;
	struct names *names;
	double seconds_per_tick;
	const struct calib *calib; /* NULL: none */
	const struct rebuild_view *view;
	uint32_t *ordinal; /* by number: among those that share file, line and name; NULL: all 0 */
	size_t n_ordinals;
	struct profile listed; /* the threads in the summary, by number: a function's line here */
	struct rebuild_summary *summary;
	bool any; /* first_ticks is set */
};

static void add_summary(struct rebuild *r, const struct pyprof_fold_state *s)
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
	sum->n_lost_here += s->n_lost;
}

/* --- what recording has cost --------------------------------------------------------------------------- */

/*
 * The model: recording a call of kind k takes in_k between the call's two clock readings, in its own
 * time, and out_k before and behind them, in its caller's. So
 *
 *	cost in self(f)  = sum over calls of f of in_k + sum over calls that f made of out_k
 *	cost in total(f) = sum over outer calls of f of in_k + sum over calls within of in_k + out_k
 *
 * What f made as a callee of each of its callers, and what lies within, is known by weight: it takes
 * its share of the whole.
 */
struct costs {
	double *out;	  /* by slot: of the calls that the function made */
	double *weight;	  /* by slot: the same, in the units of header.cost_weight */
	double *n_frames; /* by slot: its own calls, which share where nothing has a weight */
	double per_weight;
	double python_part; /* of all cost, what lies in Python functions' own time */
};

static bool is_c(const struct rebuild *r, const struct pyprof_fold *f, uint32_t slot)
{
	return names_fn(r->names, f->fn[slot].number)->kind == PYPROF_NAME_C;
}

static struct calib_cost cost_of_calls(const struct rebuild *r, const struct pyprof_fold *f,
				       const struct pyprof_fold_edge *e)
{
	const struct calib_cost *cost = r->calib->cost;
	const struct calib_cost *call =
		&cost[is_c(r, f, e->callee) ? PYPROF_COST_C : PYPROF_COST_PYTHON];
	double n = (double)e->n_calls, bare = (double)e->n_bare, ex = (double)e->n_exceptions;

	return (struct calib_cost){ .in_s = n * call->in_s + bare * cost[PYPROF_COST_BARE].in_s +
					    ex * cost[PYPROF_COST_EXCEPTION].in_s,
				    .out_s = n * call->out_s + bare * cost[PYPROF_COST_BARE].out_s +
					     ex * cost[PYPROF_COST_EXCEPTION].out_s };
}

static int costs_init(struct costs *c, const struct rebuild *r, const struct pyprof_fold *f)
{
	double all = 0, python = 0;

	c->out = calloc(3 * (f->s.n_fns + 1ull), sizeof(*c->out));
	if (!c->out)
		return -ENOMEM;
	c->weight = c->out + f->s.n_fns + 1;
	c->n_frames = c->weight + f->s.n_fns + 1;
	for (uint32_t i = 1; r->calib && i <= f->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];
		struct calib_cost cost = cost_of_calls(r, f, e);

		c->out[e->caller] += cost.out_s;
		c->weight[e->callee] += (double)(int64_t)e->self_cost;
		c->n_frames[e->callee] += (double)e->n_calls;
		all += cost.in_s + cost.out_s;
		python += is_c(r, f, e->callee) ? 0 : cost.in_s;
		python += e->caller && is_c(r, f, e->caller) ? 0 : cost.out_s;
	}
	c->per_weight = f->s.cost ? all / (double)(int64_t)f->s.cost : 0;
	c->python_part = all > 0 ? python / all : 1;
	return 0;
}

/* An edge's share of what the calls that its callee made have cost outside of them. */
static double cost_of_callees(const struct costs *c, const struct pyprof_fold_edge *e)
{
	if (c->weight[e->callee] != 0)
		return c->out[e->callee] * (double)(int64_t)e->self_cost / c->weight[e->callee];
	if (c->n_frames[e->callee] != 0)
		return c->out[e->callee] * (double)e->n_calls / c->n_frames[e->callee];
	return 0;
}

/* Of Python functions' own time, what bytecode takes longer while the hook is set. */
static double cost_of_bytecode(const struct rebuild *r, double python_s)
{
	return python_s > 0 ? python_s * (1 - 1 / r->calib->bytecode) : 0;
}

/*
 * `in_s`: of the calls that were not recursive; `own_s`: what lies in the function's own time, which is
 * Python or not, while of what it calls only the part in all is known.
 */
static double cost_of_total(const struct rebuild *r, const struct costs *c, double in_s,
			    double own_s, bool own_is_c, uint64_t cost, uint64_t python)
{
	double events = in_s + (double)(int64_t)cost * c->per_weight;
	double in_python = (own_is_c ? 0 : own_s) + (events - own_s) * c->python_part;

	return events + cost_of_bytecode(r, (double)python * r->seconds_per_tick - in_python);
}

static void state_cost(const struct rebuild *r, const struct pyprof_fold *f, const struct costs *c,
		       const struct pyprof_fold_edge *e, struct profile_counts *counts)
{
	double in_s = cost_of_calls(r, f, e).in_s;
	double self = in_s + cost_of_callees(c, e);
	bool c_callee = is_c(r, f, e->callee);

	counts->self_cost_s = self;
	if (!c_callee)
		counts->self_cost_s += cost_of_bytecode(r, counts->self_s - self);
	if (e->n_calls)
		in_s *= (double)(e->n_calls - e->n_recursive) / (double)e->n_calls;
	counts->total_cost_s = cost_of_total(r, c, in_s, self, c_callee, e->cost, e->python);
}

/* --- functions and edges ------------------------------------------------------------------------------- */

static struct profile_counts edge_counts(const struct rebuild *r, const struct pyprof_fold *f,
					 const struct costs *c, const struct pyprof_fold_edge *e)
{
	struct profile_counts counts = {
		.n_calls = e->n_calls,
		.n_primitive = e->n_calls - e->n_recursive,
		.n_exceptions = e->n_exceptions,
		.self_s = (double)e->self * r->seconds_per_tick,
		.total_s = (double)e->total * r->seconds_per_tick,
	};

	if (r->calib)
		state_cost(r, f, c, e, &counts);
	return counts;
}

/* What the edges that lead to each slot add up to; `in_s`: of what lies inside of the calls. */
static void sum_edges(const struct rebuild *r, const struct pyprof_fold *f, const struct costs *c,
		      struct profile_counts *sum, uint64_t *self, double *in_s)
{
	for (uint32_t i = 1; i <= f->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];

		sum[e->callee].n_calls += e->n_calls;
		sum[e->callee].n_exceptions += e->n_exceptions;
		self[e->callee] += e->self;
		if (r->calib) {
			sum[e->callee].self_cost_s += edge_counts(r, f, c, e).self_cost_s;
			in_s[e->callee] += cost_of_calls(r, f, e).in_s;
		}
	}
}

/* What a function's slot and the edges that lead to it add up to. */
static struct profile_counts *sum_by_slot(const struct rebuild *r, const struct pyprof_fold *f,
					  const struct costs *c)
{
	struct profile_counts *sum = calloc(f->s.n_fns + 1ull, sizeof(*sum));
	uint64_t *self = calloc(f->s.n_fns + 1ull, sizeof(*self));
	double *in_s = calloc(f->s.n_fns + 1ull, sizeof(*in_s));

	if (!sum || !self || !in_s) {
		free(sum);
		sum = NULL;
		goto out;
	}
	sum_edges(r, f, c, sum, self, in_s);
	for (uint32_t slot = 1; slot <= f->s.n_fns; slot++) {
		const struct pyprof_fold_fn *fn = &f->fn[slot];
		uint64_t n_recursive =
			fn->n_recursive < sum[slot].n_calls ? fn->n_recursive : sum[slot].n_calls;
		double n = (double)sum[slot].n_calls, outer = n - (double)n_recursive;

		sum[slot].n_primitive = sum[slot].n_calls - n_recursive;
		sum[slot].self_s = (double)self[slot] * r->seconds_per_tick;
		sum[slot].total_s = (double)fn->total * r->seconds_per_tick;
		if (r->calib)
			sum[slot].total_cost_s =
				cost_of_total(r, c, n > 0 ? in_s[slot] * outer / n : 0,
					      in_s[slot] + c->out[slot], is_c(r, f, slot), fn->cost,
					      fn->python);
	}
out:
	free(self);
	free(in_s);
	return sum;
}

/* --- what the view makes of it -------------------------------------------------------------------------- */

static uint64_t less(uint64_t n, uint64_t by)
{
	return n > by ? n - by : 0;
}

static void leave_out_resumes(struct profile_counts *c, uint64_t n_resumes, uint64_t n_recursive)
{
	c->n_calls = less(c->n_calls, n_resumes);
	c->n_primitive = less(c->n_calls, n_recursive);
}

static void true_edge(const struct rebuild *r, const struct pyprof_fold_edge *e,
		      struct profile_counts *counts)
{
	if (r->view->true_calls && e->n_resumes)
		leave_out_resumes(counts, e->n_resumes, less(e->n_recursive, e->n_resumes));
}

static int true_functions(const struct rebuild *r, const struct pyprof_fold *f,
			  struct profile_counts *sum)
{
	uint64_t *n_resumes;

	if (!r->view->true_calls)
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

/* Numbers those that share file, line and name. */
static int find_ordinals(struct rebuild *r)
{
	const struct names *names = r->names;
	struct profile seen;
	uint32_t *n_seen = calloc(names->n_fns + 1, sizeof(*n_seen));
	int err = 0;

	profile_init(&seen);
	free(r->ordinal);
	r->ordinal = calloc(names->n_fns + 1, sizeof(*r->ordinal));
	r->n_ordinals = names->n_fns;
	if (!n_seen || !r->ordinal)
		err = -ENOMEM;
	for (size_t i = 0; i < names->n_fns && !err; i++) {
		const struct name *n = &names->fn[i];
		size_t at;

		if (n->kind != PYPROF_NAME_CODE)
			continue;
		at = profile_caller_add(&seen, n->file, n->line, n->name);
		if (at == SIZE_MAX)
			err = -ENOMEM;
		else
			r->ordinal[i] = n_seen[at]++;
	}
	profile_fini(&seen);
	free(n_seen);
	return err;
}

static size_t add_function(const struct rebuild *r, struct profile *p, uint32_t number)
{
	const struct name *n = names_fn(r->names, number);
	struct text name = n->name;
	char *apart = NULL;
	size_t place;
	int bytes;

	if (number < r->n_ordinals && r->ordinal[number]) {
		apart = malloc(name.n + sizeof("#4294967296"));
		if (!apart)
			return SIZE_MAX;
		memcpy(apart, name.bytes, name.n);
		bytes = sprintf(apart + name.n, "#%u", r->ordinal[number] + 1);
		name = (struct text){ apart, name.n + (size_t)bytes };
	}
	place = profile_fn_add(p, n->file, n->line, name, n->qualname);
	free(apart);
	return place;
}

/* --- into the profile ----------------------------------------------------------------------------------- */

static int add_functions(const struct rebuild *r, const struct pyprof_fold *f,
			 const struct costs *c, struct profile *p, size_t *place)
{
	struct profile_counts *sum = sum_by_slot(r, f, c);
	int err = sum ? true_functions(r, f, sum) : -ENOMEM;

	for (uint32_t slot = 1; slot <= f->s.n_fns && !err; slot++) {
		place[slot] = SIZE_MAX;
		if (!sum[slot].n_calls && sum[slot].self_s == 0 && sum[slot].total_s == 0)
			continue;
		place[slot] = add_function(r, p, f->fn[slot].number);
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
	struct costs c = { 0 };
	int err = place ? costs_init(&c, r, f) : -ENOMEM;

	if (!err)
		err = add_functions(r, f, &c, p, place);

	for (uint32_t i = 1; i <= f->s.n_edges && !err; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];
		struct profile_counts counts = edge_counts(r, f, &c, e);

		true_edge(r, e, &counts);
		if (!e->caller || place[e->callee] == SIZE_MAX || place[e->caller] == SIZE_MAX)
			continue;
		if (!counts.n_calls && counts.self_s == 0 && counts.total_s == 0)
			continue;
		err = profile_edge_add(p, place[e->caller], place[e->callee], &counts);
	}
	free(place);
	free(c.out);
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

/* --- threads --------------------------------------------------------------------------------------------- */

/* Where the thread stands in the summary, or SIZE_MAX without memory. */
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

/* To what the thread did. */
static int add_to_thread(struct rebuild *r, const struct pyprof_fold *f, uint32_t number)
{
	size_t at;

	if (!r->view->replay.by_thread)
		return 0;
	at = list_thread(r, number);
	if (at == SIZE_MAX)
		return -ENOMEM;
	return r->view->apart ? add_tables(r, f, &r->summary->thread[at].profile) : 0;
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

/* --- rings ----------------------------------------------------------------------------------------------- */

/* Tables that are closed. */
static int add_piece(struct rebuild *r, const struct pyprof_fold *f, uint32_t thread)
{
	int err = refresh_names(r, f);

	if (!err && r->view->by_code && r->n_ordinals < r->names->n_fns)
		err = find_ordinals(r);
	if (!err)
		err = add_tables(r, f, r->profile);
	if (!err)
		err = add_to_thread(r, f, thread);
	add_summary(r, &f->s);
	return err;
}

static int add_ring(void *arg, struct replay *ring)
{
	struct rebuild *r = arg;
	struct rebuild_summary *sum = r->summary;
	int err = refresh_names(r, &ring->f);

	if (err)
		return err;
	sum->n_blind_ends += ends_blind(r, &ring->f);
	pyprof_fold_close(&ring->f);
	check_laws(sum, ring);
	for (size_t i = 0; i < ring->n_before && !err; i++)
		err = add_piece(r, &ring->before[i].f, ring->before[i].thread);
	if (!err)
		err = add_piece(r, &ring->f, ring->thread);
	sum->n_lost_here -= ring->n_lost_there;
	r->drain->n_lost[PYPROF_LOST_STORAGE] += ring->n_lost_there;
	return err;
}

int rebuild(struct profile *p, struct drain *d, struct names *names, double seconds_per_tick,
	    const struct calib *calib, const struct rebuild_view *view,
	    struct rebuild_summary *summary)
{
	int err;
	struct rebuild r = { .profile = p,
			     .drain = d,
			     .names = names,
			     .seconds_per_tick = seconds_per_tick,
			     .calib = calib,
			     .view = view,
			     .summary = summary };

	memset(summary, 0, sizeof(*summary));
	profile_init(&r.listed);
	err = replay_rings(d, &r.view->replay, add_ring, &r);
	free(r.ordinal);
	profile_fini(&r.listed);
	return err;
}
