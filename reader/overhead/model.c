/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

#define SWEEPS 40 /* of find_rates: few call stacks are deeper, and deeper calls matter less */

/* --- overhead of calls ------------------------------------------------------------------------ */

static const struct name *name_of(const struct model *c, uint32_t slot)
{
	return slot ? names_fn(c->names, c->fold->fn[slot].number) : NULL;
}

static bool is_c(const struct model *c, uint32_t slot)
{
	return slot && name_of(c, slot)->kind == PYPROF_NAME_C;
}

static struct calls calls_of(const struct model *c, const struct pyprof_fold_edge *e)
{
	return (struct calls){ .n = e->n_calls,
			       .n_direct = e->n_direct,
			       .n_resumes = e->n_resumes,
			       .n_exceptions = e->n_exceptions,
			       .n_high = e->n_high,
			       .callee = name_of(c, e->callee),
			       .caller = name_of(c, e->caller),
			       .high_sites = c->high_sites[e->caller] };
}

/*
 * Estimates for each function which part of its call-site events had a high offset: calls.h.
 */
static void find_high_sites(struct model *c)
{
	double *n_high = c->high_sites, *n_all = c->n_frames; /* memory for the counts */

	for (uint32_t i = 1; i <= c->fold->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &c->fold->edge[i];

		if (is_c(c, e->callee)) {
			n_high[e->caller] += (double)e->n_high;
			n_all[e->caller] += (double)e->n_calls;
		}
	}
	for (uint32_t slot = 0; slot <= c->fold->s.n_fns; slot++) {
		n_high[slot] += (double)c->fold->fn[slot].n_high_class_calls;
		n_all[slot] += (double)c->fold->fn[slot].n_class_units / PYPROF_CLASS_UNITS;
		c->high_sites[slot] = calls_high_sites(c->monitoring, name_of(c, slot),
						       n_high[slot], n_all[slot]);
		n_all[slot] = 0;
	}
}

/* Class calls that a function made: all of their overhead is `out`. */
static double overhead_of_class_calls(const struct model *c, uint32_t slot)
{
	return calls_class_overhead(c->calibration, c->fold->fn[slot].n_class_units,
				    c->fold->fn[slot].n_high_class_calls);
}

/* Overhead of cache misses for these reuse distances: all of it is `out`. */
static double overhead_of_distance(const struct model *c, uint64_t distance)
{
	return (double)distance * c->calibration->cold;
}

/* The overhead of all calls of an edge, except class calls and reuse distance. */
static struct overhead overhead_of_calls(const struct model *c, const struct pyprof_fold_edge *e)
{
	struct calls calls = calls_of(c, e);

	return calls_overhead(c->calibration, c->monitoring, &calls);
}

/* The same, `in` and `out` together. `python`: the part that lies in Python self times. */
static struct model_rate overhead_of_edge(const struct model *c, const struct pyprof_fold_edge *e)
{
	struct overhead overhead = overhead_of_calls(c, e);
	bool c_callee = is_c(c, e->callee), c_caller = e->caller && is_c(c, e->caller);

	return (struct model_rate){ overhead.in_s + overhead.out_s,
				    (c_callee ? 0 : overhead.in_s) +
					    (c_caller ? 0 : overhead.out_s) };
}

static double weight_of_edge(const struct model *c, const struct pyprof_fold_edge *e)
{
	const int32_t *weight = c->fold->weight;
	int32_t call = weight[is_c(c, e->callee) ? PYPROF_OVERHEAD_C : PYPROF_OVERHEAD_PYTHON];

	return (double)e->n_calls * call + (double)e->n_direct * weight[PYPROF_OVERHEAD_DIRECT] +
	       (double)e->n_exceptions * weight[PYPROF_OVERHEAD_EXCEPTION];
}

/* --- overhead within calls -------------------------------------------------------------------- */

struct rate_sum {
	struct model_rate overhead;
	double weight;
};

static void add_to_rate(struct rate_sum *sum, const struct model_rate *overhead, double weight)
{
	sum->overhead.all += overhead->all;
	sum->overhead.python += overhead->python;
	sum->weight += weight;
}

static void set_rate(struct model_rate *rate, const struct rate_sum *sum)
{
	if (sum->weight > 0)
		*rate = (struct model_rate){ sum->overhead.all / sum->weight,
					     sum->overhead.python / sum->weight };
}

/*
 * Overhead and weight of the calls that each function makes itself, in direct[slot]. The sum of all
 * functions is direct[0].
 */
static void sum_direct(const struct model *c, struct rate_sum *direct)
{
	for (uint32_t slot = 0; slot <= c->fold->s.n_fns; slot++) {
		double s = overhead_of_class_calls(c, slot);
		double weight = (double)c->fold->fn[slot].n_class_units / PYPROF_CLASS_UNITS *
				c->fold->weight[PYPROF_OVERHEAD_C];

		add_to_rate(&direct[slot], &(struct model_rate){ s, s }, weight);
	}
	for (uint32_t i = 1; i <= c->fold->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &c->fold->edge[i];
		struct model_rate overhead = overhead_of_edge(c, e);

		add_to_rate(&direct[e->caller], &overhead, weight_of_edge(c, e));
	}
	for (uint32_t slot = 1; slot <= c->fold->s.n_fns; slot++)
		add_to_rate(&direct[0], &direct[slot].overhead, direct[slot].weight);
}

/*
 * Sets the rate of each function, r(f) of docs/overhead.md: the overhead of the calls that it makes
 * and of the calls within these, by their weight. Overhead within a call is taken at the callee's
 * rate of the sweep before. So the rates of leaves are exact after one sweep, those of their
 * callers after two. Rates of recursive functions converge.
 */
static void sweep_rates(struct model *c, const struct rate_sum *direct, struct rate_sum *sum)
{
	memcpy(sum, direct, (c->fold->s.n_fns + 1ull) * sizeof(*sum));
	for (uint32_t i = 1; i <= c->fold->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &c->fold->edge[i];
		const struct model_rate *rate = &c->rate[e->callee];
		double within = (double)(int64_t)e->cost;

		add_to_rate(&sum[e->caller],
			    &(struct model_rate){ within * rate->all, within * rate->python },
			    within);
	}
	for (uint32_t slot = 1; slot <= c->fold->s.n_fns; slot++)
		set_rate(&c->rate[slot], &sum[slot]);
}

static int find_rates(struct model *c)
{
	size_t n = c->fold->s.n_fns + 1ull;
	struct rate_sum *direct = calloc(2 * n, sizeof(*direct));

	if (!direct)
		return -ENOMEM;
	sum_direct(c, direct);
	for (uint32_t slot = 0; slot <= c->fold->s.n_fns; slot++)
		set_rate(&c->rate[slot], &direct[0]);
	for (int i = 0; i < SWEEPS; i++)
		sweep_rates(c, direct, direct + n);
	free(direct);
	return 0;
}

int model_init(struct model *c)
{
	size_t n = c->fold->s.n_fns + 1ull;

	c->out = calloc(4 * n, sizeof(*c->out));
	c->rate = calloc(n, sizeof(*c->rate));
	if (!c->out || !c->rate)
		return -ENOMEM;
	c->weight = c->out + n;
	c->n_frames = c->weight + n;
	c->high_sites = c->n_frames + n;
	if (!c->calibration)
		return 0;
	find_high_sites(c);
	for (uint32_t i = 1; i <= c->fold->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &c->fold->edge[i];

		c->out[e->caller] +=
			overhead_of_calls(c, e).out_s + overhead_of_distance(c, e->distance);
		c->weight[e->callee] += (double)(int64_t)e->self_cost;
		c->n_frames[e->callee] += (double)e->n_calls;
	}
	for (uint32_t slot = 0; slot <= c->fold->s.n_fns; slot++)
		c->out[slot] += overhead_of_class_calls(c, slot);
	return find_rates(c);
}

void model_fini(struct model *c)
{
	free(c->out);
	free(c->rate);
}

/* An edge's share of the `out` overhead of the calls that its callee made. */
static double overhead_of_callees(const struct model *c, const struct pyprof_fold_edge *e)
{
	if (c->weight[e->callee] != 0)
		return c->out[e->callee] * (double)(int64_t)e->self_cost / c->weight[e->callee];
	if (c->n_frames[e->callee] != 0)
		return c->out[e->callee] * (double)e->n_calls / c->n_frames[e->callee];
	return 0;
}

/* The part of a Python self time, without other overhead, by which slow bytecode lengthens it. */
static double overhead_of_bytecode(const struct model *c, double python_s)
{
	return python_s > 0 ? python_s * (1 - 1 / c->calibration->bytecode) : 0;
}

/*
 * T(f) of docs/overhead.md, and the slow bytecode within. `in_s`: of the calls that are not
 * recursive. `cost`, `python`, `distance`: weight, Python ticks and reuse distances within. All
 * overhead of distance is counted for Python functions, because nearly all of it lies there.
 */
static double overhead_of_total(const struct model *c, const struct model_rate *rate, double in_s,
				bool own_is_c, uint64_t cost, uint64_t python, uint64_t distance)
{
	double within = (double)(int64_t)cost, cold = overhead_of_distance(c, distance);
	double events = in_s + within * rate->all + cold;
	double in_python = (own_is_c ? 0 : in_s) + within * rate->python + cold;

	return events + overhead_of_bytecode(c, (double)python * c->seconds_per_tick - in_python);
}

static void state_overhead(const struct model *c, const struct pyprof_fold_edge *e,
			   struct profile_counts *counts)
{
	double in_s = overhead_of_calls(c, e).in_s;
	double self = in_s + overhead_of_callees(c, e);
	bool c_callee = is_c(c, e->callee);

	counts->self_overhead_s = self;
	if (!c_callee)
		counts->self_overhead_s += overhead_of_bytecode(c, counts->self_s - self);
	if (e->n_calls)
		in_s *= (double)(e->n_calls - e->n_recursive) / (double)e->n_calls;
	counts->total_overhead_s = overhead_of_total(c, &c->rate[e->callee], in_s, c_callee,
						     e->cost, e->python, e->distance_within);
}

/* --- functions and edges ---------------------------------------------------------------------- */

struct profile_counts model_edge(const struct model *c, const struct pyprof_fold_edge *e)
{
	struct profile_counts counts = {
		.n_calls = e->n_calls,
		.n_primitive = e->n_calls - e->n_recursive,
		.n_exceptions = e->n_exceptions,
		.self_s = (double)e->self * c->seconds_per_tick,
		.total_s = (double)e->total * c->seconds_per_tick,
	};

	if (c->calibration)
		state_overhead(c, e, &counts);
	return counts;
}

/* Sums the edges into each slot. `self` is in ticks; `in_s` is the `in` overhead of the calls. */
static void sum_edges(const struct model *c, struct profile_counts *sum, uint64_t *self,
		      double *in_s)
{
	for (uint32_t i = 1; i <= c->fold->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &c->fold->edge[i];

		sum[e->callee].n_calls += e->n_calls;
		sum[e->callee].n_exceptions += e->n_exceptions;
		self[e->callee] += e->self;
		if (c->calibration) {
			sum[e->callee].self_overhead_s += model_edge(c, e).self_overhead_s;
			in_s[e->callee] += overhead_of_calls(c, e).in_s;
		}
	}
}

struct profile_counts *model_functions(const struct model *c)
{
	struct profile_counts *sum = calloc(c->fold->s.n_fns + 1ull, sizeof(*sum));
	uint64_t *self = calloc(c->fold->s.n_fns + 1ull, sizeof(*self));
	double *in_s = calloc(c->fold->s.n_fns + 1ull, sizeof(*in_s));

	if (!sum || !self || !in_s) {
		free(sum);
		sum = NULL;
		goto out;
	}
	sum_edges(c, sum, self, in_s);
	for (uint32_t slot = 1; slot <= c->fold->s.n_fns; slot++) {
		const struct pyprof_fold_fn *fn = &c->fold->fn[slot];
		uint64_t n_recursive =
			fn->n_recursive < sum[slot].n_calls ? fn->n_recursive : sum[slot].n_calls;
		double n = (double)sum[slot].n_calls, outer = n - (double)n_recursive;

		sum[slot].n_primitive = sum[slot].n_calls - n_recursive;
		sum[slot].self_s = (double)self[slot] * c->seconds_per_tick;
		sum[slot].total_s = (double)fn->total * c->seconds_per_tick;
		if (c->calibration)
			sum[slot].total_overhead_s =
				overhead_of_total(c, &c->rate[slot],
						  n > 0 ? in_s[slot] * outer / n : 0, is_c(c, slot),
						  fn->cost, fn->python, fn->distance_within);
	}
out:
	free(self);
	free(in_s);
	return sum;
}
