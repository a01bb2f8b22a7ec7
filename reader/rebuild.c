/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rebuild.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pyprof/fold.h"
#include "replay.h"

#define SWEEPS 40 /* of rates: call stacks are seldom deeper, and what is deeper matters less */

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
 * its share of what f made, and of what lies within all calls of f.
 */
struct costs {
	double *out;	  /* by slot: of the calls that the function made */
	double *weight;	  /* by slot: the same, in the units of header.cost_weight */
	double *n_frames; /* by slot: its own calls, which share where nothing has a weight */
	double *self;	  /* by slot: own time, of whatever calls */
	double *cost;	  /* by slot: of that, what lies inside of calls, before it is put up */
	double *n_apart; /* by slot: pieces that its own time was cut into by calls and returns, by two */
	double *times; /* by slot: how many times as much its costs are, see calib_sparseness */
	/*
	 * By slot: seconds for each unit of weight of what lies within the function's calls, and of these, what
	 * lies in Python functions' own time. Between calls of the function there is no difference known.
	 */
	struct rate {
		double all, python;
	} * rate;
};

static bool is_c(const struct rebuild *r, const struct pyprof_fold *f, uint32_t slot)
{
	return slot && names_fn(r->names, f->fn[slot].number)->kind == PYPROF_NAME_C;
}

/* By its label, which is cProfile's. */
static bool is_method(const struct rebuild *r, const struct pyprof_fold *f, uint32_t slot)
{
	const struct text *name = &names_fn(r->names, f->fn[slot].number)->name;

	return is_c(r, f, slot) && name->n > 8 && !memcmp(name->bytes, "<method ", 8);
}

static void add_cost(struct calib_cost *to, double n, double in_s, double out_s)
{
	to->in_s += n * in_s;
	to->out_s += n * out_s;
}

static double largeness(const struct rebuild *r, const struct pyprof_fold *f, uint32_t slot)
{
	bool monitoring = r->drain->attach->header.engine == PYPROF_ENGINE_MONITORING;

	return slot ? calib_largeness(monitoring,
				      names_fn(r->names, f->fn[slot].number)->code_bytes)
		    : 0;
}

/*
 * What the sizes of both sides' code add. A return from large code has its cost mostly inside; for a
 * resume it is the other way round. A call site tells of C functions, of their return too; before 3.12
 * not of others.
 */
static void add_largeness(struct calib_cost *to, const struct rebuild *r,
			  const struct pyprof_fold *f, const struct pyprof_fold_edge *e)
{
	const struct calib_cost *large = &r->calib->cost[CALIB_LARGE];
	const struct calib_cost *site = &r->calib->cost[CALIB_LARGE_SITE];
	double callee = largeness(r, f, e->callee), caller = largeness(r, f, e->caller);

	if (is_c(r, f, e->callee)) {
		add_cost(to, (double)e->n_calls * caller, site->in_s, site->out_s);
		return;
	}
	add_cost(to, (double)e->n_calls * callee, large->in_s, large->out_s);
	add_cost(to, (double)e->n_resumes * callee, large->out_s, large->in_s);
	if (r->drain->attach->header.engine == PYPROF_ENGINE_MONITORING)
		add_cost(to, (double)(e->n_calls - e->n_bare) * caller, 0,
			 (site->in_s + site->out_s) / 2);
}

/*
 * 3.12 and later: a generator's call site tells of it when it is made, and nothing else does, until it is
 * resumed for the first time. So both are one call, though no call site has been seen just before.
 */
static bool starts_apart(const struct rebuild *r, const struct pyprof_fold *f, uint32_t slot)
{
	return r->drain->attach->header.engine == PYPROF_ENGINE_MONITORING &&
	       names_fn(r->names, f->fn[slot].number)->flags & PYPROF_NAME_GENERATOR;
}

/* Of what is no function: all of it is outside. */
static double cost_of_others(const struct rebuild *r, const struct pyprof_fold *f, uint32_t slot)
{
	const struct calib_cost *site = &r->calib->cost[CALIB_LARGE_SITE];

	return (double)f->fn[slot].n_others * (r->calib->cost[CALIB_OTHER].out_s +
					       largeness(r, f, slot) * (site->in_s + site->out_s));
}

static struct calib_cost cost_of_calls(const struct rebuild *r, const struct pyprof_fold *f,
				       const struct pyprof_fold_edge *e)
{
	const struct calib_cost *cost = r->calib->cost;
	const struct calib_cost *call =
		&cost[is_c(r, f, e->callee) ? PYPROF_COST_C : PYPROF_COST_PYTHON];
	struct calib_cost sum = { 0 };

	add_cost(&sum, (double)e->n_calls, call->in_s, call->out_s);
	if (!starts_apart(r, f, e->callee))
		add_cost(&sum, (double)(e->n_bare - e->n_resumes), cost[PYPROF_COST_BARE].in_s,
			 cost[PYPROF_COST_BARE].out_s);
	add_cost(&sum, (double)e->n_resumes, cost[CALIB_RESUME].in_s, cost[CALIB_RESUME].out_s);
	add_cost(&sum, (double)e->n_exceptions, cost[PYPROF_COST_EXCEPTION].in_s,
		 cost[PYPROF_COST_EXCEPTION].out_s);
	if (is_method(r, f, e->callee))
		add_cost(&sum, (double)e->n_calls, cost[CALIB_METHOD].in_s,
			 cost[CALIB_METHOD].out_s);
	add_largeness(&sum, r, f, e);
	return sum;
}

/* Puts a function's costs up by how far apart the calls are that it makes and is made by. */
static void scale_costs(struct costs *c, const struct rebuild *r, const struct pyprof_fold *f)
{
	for (uint32_t i = 1; i <= f->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];

		c->self[e->callee] += (double)e->self * r->seconds_per_tick;
		c->cost[e->callee] += cost_of_calls(r, f, e).in_s;
		c->n_apart[e->callee] += (double)e->n_calls / 2;
		c->n_apart[e->caller] += (double)e->n_calls / 2;
	}
	for (uint32_t slot = 0; slot <= f->s.n_fns; slot++) {
		double n = (c->n_apart[slot] + (double)f->fn[slot].n_others) * r->calib->bytecode;

		c->times[slot] = 1;
		if (n > 0 && !is_c(r, f, slot))
			c->times[slot] = calib_sparseness(r->calib, c->self[slot] / n,
							  (c->cost[slot] + c->out[slot]) / n);
		c->out[slot] *= c->times[slot];
	}
}

static double cost_inside(const struct rebuild *r, const struct pyprof_fold *f,
			  const struct costs *c, const struct pyprof_fold_edge *e)
{
	return cost_of_calls(r, f, e).in_s * c->times[e->callee];
}

/* What the calls of one edge have cost, inside and outside of them, and what of that lies in Python. */
static struct rate cost_of_edge(const struct rebuild *r, const struct pyprof_fold *f,
				const struct costs *c, const struct pyprof_fold_edge *e)
{
	double in_s = cost_inside(r, f, c, e);
	double out_s = cost_of_calls(r, f, e).out_s * c->times[e->caller];
	bool c_callee = is_c(r, f, e->callee), c_caller = e->caller && is_c(r, f, e->caller);

	return (struct rate){ in_s + out_s, (c_callee ? 0 : in_s) + (c_caller ? 0 : out_s) };
}

static double weight_of_edge(const struct rebuild *r, const struct pyprof_fold *f,
			     const struct pyprof_fold_edge *e)
{
	const int32_t *weight = f->weight;
	int32_t call = weight[is_c(r, f, e->callee) ? PYPROF_COST_C : PYPROF_COST_PYTHON];

	return (double)e->n_calls * call + (double)e->n_bare * weight[PYPROF_COST_BARE] +
	       (double)e->n_exceptions * weight[PYPROF_COST_EXCEPTION];
}

struct rate_sum {
	struct rate cost;
	double weight;
};

static void add_to_rate(struct rate_sum *sum, const struct rate *cost, double weight)
{
	sum->cost.all += cost->all;
	sum->cost.python += cost->python;
	sum->weight += weight;
}

static void set_rate(struct rate *rate, const struct rate_sum *sum)
{
	if (sum->weight > 0)
		*rate = (struct rate){ sum->cost.all / sum->weight,
				       sum->cost.python / sum->weight };
}

/* What the calls that each function makes cost themselves: `direct`. All of them together: direct[0]. */
static void sum_direct(const struct rebuild *r, const struct pyprof_fold *f, const struct costs *c,
		       struct rate_sum *direct)
{
	for (uint32_t slot = 0; slot <= f->s.n_fns; slot++) {
		double s = cost_of_others(r, f, slot) * c->times[slot];
		double weight = (double)f->fn[slot].n_others * f->weight[PYPROF_COST_C];

		add_to_rate(&direct[slot], &(struct rate){ s, s }, weight);
	}
	for (uint32_t i = 1; i <= f->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];
		struct rate cost = cost_of_edge(r, f, c, e);

		add_to_rate(&direct[e->caller], &cost, weight_of_edge(r, f, e));
	}
	for (uint32_t slot = 1; slot <= f->s.n_fns; slot++)
		add_to_rate(&direct[0], &direct[slot].cost, direct[slot].weight);
}

/*
 * A function's rate is that of the calls that it makes and of what lies within these, which is their
 * functions' rate. Those of the leaves are right after one sweep, their callers' after another, and
 * recursion gets nearer to it with each.
 */
static void sweep_rates(const struct pyprof_fold *f, struct costs *c, const struct rate_sum *direct,
			struct rate_sum *sum)
{
	memcpy(sum, direct, (f->s.n_fns + 1ull) * sizeof(*sum));
	for (uint32_t i = 1; i <= f->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];
		const struct rate *rate = &c->rate[e->callee];
		double within = (double)(int64_t)e->cost;

		add_to_rate(&sum[e->caller],
			    &(struct rate){ within * rate->all, within * rate->python }, within);
	}
	for (uint32_t slot = 1; slot <= f->s.n_fns; slot++)
		set_rate(&c->rate[slot], &sum[slot]);
}

static int find_rates(const struct rebuild *r, const struct pyprof_fold *f, struct costs *c)
{
	size_t n = f->s.n_fns + 1ull;
	struct rate_sum *direct = calloc(2 * n, sizeof(*direct));

	if (!direct)
		return -ENOMEM;
	sum_direct(r, f, c, direct);
	for (uint32_t slot = 0; slot <= f->s.n_fns; slot++)
		set_rate(&c->rate[slot], &direct[0]);
	for (int i = 0; i < SWEEPS; i++)
		sweep_rates(f, c, direct, direct + n);
	free(direct);
	return 0;
}

static int costs_init(struct costs *c, const struct rebuild *r, const struct pyprof_fold *f)
{
	size_t n = f->s.n_fns + 1ull;

	c->out = calloc(7 * n, sizeof(*c->out));
	c->rate = calloc(n, sizeof(*c->rate));
	if (!c->out || !c->rate)
		return -ENOMEM;
	c->weight = c->out + n;
	c->n_frames = c->weight + n;
	c->self = c->n_frames + n;
	c->cost = c->self + n;
	c->n_apart = c->cost + n;
	c->times = c->n_apart + n;
	if (!r->calib)
		return 0;
	for (uint32_t i = 1; i <= f->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];

		c->out[e->caller] += cost_of_calls(r, f, e).out_s;
		c->weight[e->callee] += (double)(int64_t)e->self_cost;
		c->n_frames[e->callee] += (double)e->n_calls;
	}
	for (uint32_t slot = 0; slot <= f->s.n_fns; slot++)
		c->out[slot] += cost_of_others(r, f, slot);
	scale_costs(c, r, f);
	return find_rates(r, f, c);
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

/* `in_s`: of the calls that were not recursive. */
static double cost_of_total(const struct rebuild *r, const struct rate *rate, double in_s,
			    bool own_is_c, uint64_t cost, uint64_t python)
{
	double within = (double)(int64_t)cost;
	double events = in_s + within * rate->all;
	double in_python = (own_is_c ? 0 : in_s) + within * rate->python;

	return events + cost_of_bytecode(r, (double)python * r->seconds_per_tick - in_python);
}

static void state_cost(const struct rebuild *r, const struct pyprof_fold *f, const struct costs *c,
		       const struct pyprof_fold_edge *e, struct profile_counts *counts)
{
	double in_s = cost_inside(r, f, c, e);
	double self = in_s + cost_of_callees(c, e);
	bool c_callee = is_c(r, f, e->callee);

	counts->self_cost_s = self;
	if (!c_callee)
		counts->self_cost_s += cost_of_bytecode(r, counts->self_s - self);
	if (e->n_calls)
		in_s *= (double)(e->n_calls - e->n_recursive) / (double)e->n_calls;
	counts->total_cost_s =
		cost_of_total(r, &c->rate[e->callee], in_s, c_callee, e->cost, e->python);
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
			in_s[e->callee] += cost_inside(r, f, c, e);
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
				cost_of_total(r, &c->rate[slot], n > 0 ? in_s[slot] * outer / n : 0,
					      is_c(r, f, slot), fn->cost, fn->python);
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
	free(c.rate);
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
