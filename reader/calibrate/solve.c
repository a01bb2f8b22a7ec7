/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "solve.h"

#include <math.h>
#include <stdlib.h>

#include "pyprof/format.h"

#define LARGE_BYTES 2000 /* of callee_large and loop_site, about */
#define SLOWED 1.1	 /* below that, it is noise that bytecode takes longer */

#define LOOP(id, name, callee, n_outside, n_inside) [id] = { name, callee, n_outside, n_inside },
const struct loop_facts loop_facts[LOOP_MIXED] = {
#include "loops.def"
};
#undef LOOP

/* --- rounds ----------------------------------------------------------------------------------- */

/* A loop's time in a round, by which rounds are sorted, and another of the same round. */
struct timed {
	double s, with;
};

static int compare(const void *a, const void *b)
{
	double x = ((const struct timed *)a)->s, y = ((const struct timed *)b)->s;

	return (x > y) - (x < y);
}

/*
 * A machine that does other things as well has rounds that take half as long again, at times most
 * of them; and the fastest of all is an exception too, for it is often some per cent before the
 * next.
 */
static struct timed typical(const struct timed *sorted)
{
	struct timed sum = { 0 };
	int n = 0;

	for (; n + 1 < SOLVE_FASTEST; n++) {
		sum.s += sorted[n + 1].s;
		sum.with += sorted[n + 1].with;
	}
	return (struct timed){ sum.s / n, sum.with / n };
}

static double half_iqr(const struct timed *sorted, int n)
{
	return (sorted[n * 3 / 4].s - sorted[n / 4].s) / 2;
}

/* How many rounds have a time. */
static int sort_bare(const struct rounds *r, int loop, struct timed *sorted)
{
	int n = 0;

	for (int i = 0; i < r->n; i++) {
		if (!isinf(r->at[i].bare[loop]))
			sorted[n++] = (struct timed){ r->at[i].bare[loop], 0 };
	}
	qsort(sorted, (size_t)n, sizeof(*sorted), compare);
	return n;
}

/* Of the recorded rounds, with the callee's own time in the same ones. */
static int sort_total(const struct rounds *r, int loop, struct timed *sorted)
{
	int n = 0;

	for (int i = 0; i < r->n; i++) {
		if (!isinf(r->at[i].total[loop]))
			sorted[n++] = (struct timed){ r->at[i].total[loop], r->at[i].callee[loop] };
	}
	qsort(sorted, (size_t)n, sizeof(*sorted), compare);
	return n;
}

double solve_bare(const struct rounds *r, int loop)
{
	struct timed sorted[SOLVE_MAX_ROUNDS];

	sort_bare(r, loop, sorted);
	return typical(sorted).s;
}

double solve_total(const struct rounds *r, int loop)
{
	struct timed sorted[SOLVE_MAX_ROUNDS];

	sort_total(r, loop, sorted);
	return typical(sorted).s;
}

static double unrest_of(const struct timed *sorted)
{
	return sorted[SOLVE_FASTEST - 1].s / sorted[1].s - 1;
}

double solve_unrest(const struct rounds *r)
{
	struct timed sorted[SOLVE_MAX_ROUNDS], of[2 * MAX_LOOPS] = { 0 };
	int n = 0;

	for (int loop = 0; loop < r->n_loops; loop++) {
		sort_bare(r, loop, sorted);
		of[n++].s = unrest_of(sorted);
		sort_total(r, loop, sorted);
		of[n++].s = unrest_of(sorted);
	}
	qsort(of, (size_t)n, sizeof(*of), compare);
	return of[n / 2].s;
}

int solve_rounds(const struct rounds *r, int most)
{
	int whole = (r->n + SOLVE_FASTEST - 1) / SOLVE_FASTEST * SOLVE_FASTEST;

	if (r->n < SOLVE_ROUNDS)
		return SOLVE_ROUNDS;
	if (r->n < whole || r->n >= most ||
	    (r->n_fewest >= SOLVE_ENOUGH && solve_unrest(r) <= SOLVE_UNREST))
		return whole;
	return whole + SOLVE_FASTEST;
}

/* --- costs ------------------------------------------------------------------------------------ */

/*
 * What one of the quickest bytecodes takes longer while the hook is set; 0 where that is noise: all
 * but 3.10 and 3.11.
 */
static double slowdown(const struct rounds *r, bool monitoring)
{
	double bare = solve_bare(r, LOOP_PLAIN), total = solve_total(r, LOOP_PLAIN);

	return monitoring || total < SLOWED * bare
		       ? 0
		       : (total - bare) / loop_facts[LOOP_PLAIN].n_outside;
}

/* Of bytecodes that take their time: by the others, programs would become shorter than they are. */
static double bytecode_of(const struct rounds *r)
{
	double times = (solve_total(r, LOOP_WORK) / solve_bare(r, LOOP_WORK) +
			solve_total(r, LOOP_TEXT) / solve_bare(r, LOOP_TEXT)) /
		       2;

	return times > 1 ? times : 1;
}

/*
 * What a call in this loop costs. Of the loop's time when it is not recorded, a part is the
 * callee's.
 */
static struct calib_cost cost_of(const struct rounds *r, enum loop loop, double slow)
{
	const struct loop_facts *facts = &loop_facts[loop];
	struct timed bare[SOLVE_MAX_ROUNDS], total[SOLVE_MAX_ROUNDS];
	double body = solve_bare(r, LOOP_PLAIN) / loop_facts[LOOP_PLAIN].n_outside *
		      (facts->n_inside ? facts->n_inside : 1);
	int n_bare = sort_bare(r, loop, bare), n_total = sort_total(r, loop, total);
	double callee = typical(total).with;

	return (struct calib_cost){ .in_s = callee - body - facts->n_inside * slow,
				    .out_s = typical(total).s - callee - (typical(bare).s - body) -
					     facts->n_outside * slow,
				    .spread_s = half_iqr(bare, n_bare) + half_iqr(total, n_total) };
}

static struct calib_cost minus(struct calib_cost a, struct calib_cost b)
{
	return (struct calib_cost){ .in_s = a.in_s - b.in_s,
				    .out_s = a.out_s - b.out_s,
				    .spread_s = a.spread_s + b.spread_s };
}

/* The time of calls whose functions' own is not asked for is all outside. */
static struct calib_cost all_outside(struct calib_cost a)
{
	return (struct calib_cost){ .out_s = a.in_s + a.out_s, .spread_s = a.spread_s };
}

static struct calib_cost all_inside(struct calib_cost a)
{
	return (struct calib_cost){ .in_s = a.in_s + a.out_s, .spread_s = a.spread_s };
}

/* What code of the size that was measured costs more -> what code of largeness 1 does. */
static struct calib_cost part(struct calib_cost a, double large)
{
	return (struct calib_cost){ .in_s = a.in_s / large,
				    .out_s = a.out_s / large,
				    .spread_s = a.spread_s / large };
}

/* What overhead/kinds.def has of each kind for the estimate. */
struct estimate {
	enum loop loop;
	unsigned less; /* set of kinds */
	enum { AS_MEASURED, INSIDE, OUTSIDE, BY_SIZE } attributed;
	bool monitoring_only;
};

#define LESS(kind) (1u << (kind))
#define ANY false
#define MONITORING true
#define KIND(id, name, title, loop, less, attributed, engines, prior, payer, count) \
	[CALIB_##id] = { loop, less, attributed, engines },
static const struct estimate estimates[CALIB_KINDS] = {
#include "overhead/kinds.def"
};
#undef KIND

/* The kinds that are subtracted have been estimated before. */
static struct calib_cost estimate(const struct estimate *from, const struct calib *c,
				  const struct rounds *r, double slow, double large)
{
	struct calib_cost cost = cost_of(r, from->loop, slow);

	for (int k = 0; k < CALIB_KINDS; k++) {
		if (from->less >> k & 1)
			cost = minus(cost, c->cost[k]);
	}
	switch (from->attributed) {
	case INSIDE:
		return all_inside(cost);
	case OUTSIDE:
		return all_outside(cost);
	case BY_SIZE:
		return part(cost, large);
	case AS_MEASURED:
		break;
	}
	return cost;
}

void solve(struct calib *c, const struct rounds *r, bool monitoring)
{
	double large = monitoring ? 1 : calib_largeness(monitoring, LARGE_BYTES);
	double slow = slowdown(r, monitoring);

	c->bytecode = slow > 0 ? bytecode_of(r) : 1;
	for (int k = 0; k < CALIB_KINDS; k++) {
		if (monitoring || !estimates[k].monitoring_only)
			c->cost[k] = estimate(&estimates[k], c, r, slow, large);
	}
}
