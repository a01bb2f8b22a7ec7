/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "solve.h"

#include <math.h>
#include <stdlib.h>

#include "pyprof/format.h"

#define LARGE_BYTES 2000 /* size of the code of callee_large and loop_site, about */
#define LEAST_SLOWER 1.1 /* a smaller factor of plain bytecode is noise */

#define LOOP(id, name, callee, n_outside, n_inside) [id] = { name, callee, n_outside, n_inside },
const struct loop_facts loop_facts[LOOP_MIXED] = {
#include "loops.def"
};
#undef LOOP

/* --- rounds ----------------------------------------------------------------------------------- */

/* Times of a loop in one round, in seconds a call. */
struct timed {
	double s;	 /* the loop's time, by which rounds are sorted */
	double callee_s; /* the callee's self time in the same round; 0 in native runs */
};

static int compare(const void *a, const void *b)
{
	double x = ((const struct timed *)a)->s, y = ((const struct timed *)b)->s;

	return (x > y) - (x < y);
}

/*
 * Mean of the second to the fifth fastest round. On a busy machine many rounds take 1.5 times as
 * long, sometimes most of them. The fastest is left out, because it is often some per cent faster
 * than the next: an outlier too.
 */
static struct timed mean_of_fastest(const struct timed *sorted)
{
	struct timed sum = { 0 };
	int n = 0;

	for (; n + 1 < SOLVE_FASTEST; n++) {
		sum.s += sorted[n + 1].s;
		sum.callee_s += sorted[n + 1].callee_s;
	}
	return (struct timed){ sum.s / n, sum.callee_s / n };
}

/* Half the interquartile range. */
static double half_iqr(const struct timed *sorted, int n)
{
	return (sorted[n * 3 / 4].s - sorted[n / 4].s) / 2;
}

/* Native times by speed. Returns the number of rounds with a time. */
static int sort_native(const struct rounds *r, int loop, struct timed *sorted)
{
	int n = 0;

	for (int i = 0; i < r->n; i++) {
		if (!isinf(r->at[i].native[loop]))
			sorted[n++] = (struct timed){ r->at[i].native[loop], 0 };
	}
	qsort(sorted, (size_t)n, sizeof(*sorted), compare);
	return n;
}

/* The same of recorded times. */
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

double solve_native(const struct rounds *r, int loop)
{
	struct timed sorted[SOLVE_MAX_ROUNDS];

	sort_native(r, loop, sorted);
	return mean_of_fastest(sorted).s;
}

double solve_total(const struct rounds *r, int loop)
{
	struct timed sorted[SOLVE_MAX_ROUNDS];

	sort_total(r, loop, sorted);
	return mean_of_fastest(sorted).s;
}

static double distance_of_fastest(const struct timed *sorted)
{
	return sorted[SOLVE_FASTEST - 1].s / sorted[1].s - 1;
}

double solve_unrest(const struct rounds *r)
{
	struct timed sorted[SOLVE_MAX_ROUNDS], distance[2 * MAX_LOOPS] = { 0 };
	int n = 0;

	for (int loop = 0; loop < r->n_loops; loop++) {
		sort_native(r, loop, sorted);
		distance[n++].s = distance_of_fastest(sorted);
		sort_total(r, loop, sorted);
		distance[n++].s = distance_of_fastest(sorted);
	}
	qsort(distance, (size_t)n, sizeof(*distance), compare);
	return distance[n / 2].s;
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

/* --- overhead --------------------------------------------------------------------------------- */

/*
 * Seconds by which one of the quickest bytecodes is slower while the hook is set. 0: the difference
 * is noise. Only 3.10 and 3.11 have it, since their quick path is off under a profile function.
 */
static double slow_bytecode_s(const struct rounds *r, bool monitoring)
{
	double native = solve_native(r, LOOP_PLAIN), total = solve_total(r, LOOP_PLAIN);

	return monitoring || total < LEAST_SLOWER * native
		       ? 0
		       : (total - native) / loop_facts[LOOP_PLAIN].n_outside;
}

/*
 * Factor by which bytecode is slower while the hook is set, at least 1: the mean of a loop of
 * numbers and one of text. The quickest bytecodes have a larger factor, with which corrected times
 * of programs would be too short.
 */
static double bytecode_factor(const struct rounds *r)
{
	double times = (solve_total(r, LOOP_WORK) / solve_native(r, LOOP_WORK) +
			solve_total(r, LOOP_TEXT) / solve_native(r, LOOP_TEXT)) /
		       2;

	return times > 1 ? times : 1;
}

/*
 * Overhead of a call in this loop: in = C - y, out = (R - C) - (B - y) of docs/overhead.md, without
 * the bytecodes that are slower by `slow_s`. `body` is y, the native time of the callee; that of a
 * C function counts as one plain bytecode.
 */
static struct overhead overhead_of(const struct rounds *r, enum loop loop, double slow_s)
{
	const struct loop_facts *facts = &loop_facts[loop];
	struct timed native[SOLVE_MAX_ROUNDS], total[SOLVE_MAX_ROUNDS];
	double body = solve_native(r, LOOP_PLAIN) / loop_facts[LOOP_PLAIN].n_outside *
		      (facts->n_inside ? facts->n_inside : 1);
	int n_native = sort_native(r, loop, native), n_total = sort_total(r, loop, total);
	double callee = mean_of_fastest(total).callee_s;

	return (struct overhead){ .in_s = callee - body - facts->n_inside * slow_s,
				  .out_s = mean_of_fastest(total).s - callee -
					   (mean_of_fastest(native).s - body) -
					   facts->n_outside * slow_s,
				  .spread_s =
					  half_iqr(native, n_native) + half_iqr(total, n_total) };
}

static struct overhead minus(struct overhead a, struct overhead b)
{
	return (struct overhead){ .in_s = a.in_s - b.in_s,
				  .out_s = a.out_s - b.out_s,
				  .spread_s = a.spread_s + b.spread_s };
}

/* For class calls: they have no self time, so all of their overhead is `out`. */
static struct overhead all_outside(struct overhead a)
{
	return (struct overhead){ .out_s = a.in_s + a.out_s, .spread_s = a.spread_s };
}

static struct overhead all_inside(struct overhead a)
{
	return (struct overhead){ .in_s = a.in_s + a.out_s, .spread_s = a.spread_s };
}

/* Surcharge of the measured code, of largeness `large` -> that of code of largeness 1. */
static struct overhead divided_by(struct overhead a, double large)
{
	return (struct overhead){ .in_s = a.in_s / large,
				  .out_s = a.out_s / large,
				  .spread_s = a.spread_s / large };
}

/* Columns of overhead/kinds.def for the estimate; overhead/calibration.c has the others. */
struct estimate {
	enum loop loop;
	unsigned less; /* set of kinds, a bit each */
	enum { AS_MEASURED, INSIDE, OUTSIDE, BY_SIZE } attributed;
	bool monitoring_only;
};

#define LESS(kind) (1u << (kind))
#define ANY false
#define MONITORING true
#define KIND(id, name, title, loop, less, attributed, engines, prior, payer, count) \
	[OVERHEAD_##id] = { loop, less, attributed, engines },
static const struct estimate estimates[OVERHEAD_KINDS] = {
#include "overhead/kinds.def"
};
#undef KIND

/* Kinds that are subtracted have earlier rows, so `c` has them already. */
static struct overhead estimate(const struct estimate *from, const struct calibration *c,
				const struct rounds *r, double slow_s, double large)
{
	struct overhead overhead = overhead_of(r, from->loop, slow_s);

	for (int k = 0; k < OVERHEAD_KINDS; k++) {
		if (from->less >> k & 1)
			overhead = minus(overhead, c->overhead[k]);
	}
	switch (from->attributed) {
	case INSIDE:
		return all_inside(overhead);
	case OUTSIDE:
		return all_outside(overhead);
	case BY_SIZE:
		return divided_by(overhead, large);
	case AS_MEASURED:
		break;
	}
	return overhead;
}

void solve(struct calibration *c, const struct rounds *r, bool monitoring)
{
	double large = monitoring ? 1 : calibration_largeness(monitoring, LARGE_BYTES);
	double slow_s = slow_bytecode_s(r, monitoring);

	c->bytecode = slow_s > 0 ? bytecode_factor(r) : 1;
	for (int k = 0; k < OVERHEAD_KINDS; k++) {
		if (monitoring || !estimates[k].monitoring_only)
			c->overhead[k] = estimate(&estimates[k], c, r, slow_s, large);
	}
}
