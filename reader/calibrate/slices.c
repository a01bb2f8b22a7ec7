/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "slices.h"

#include <math.h>
#include <stdlib.h>

/*
 * Limits. docs/bench.md, "Disturbed calibrations", explains them; the measurements are in
 * docs/measured/2026-11-calibration.md.
 */
#define MOST_WAITED 0.02  /* part of a slice in which the process did not run */
#define MOST_SLOWER 1.15  /* factor of the reference's time, from that on a quiet machine */
#define MOST_STEAL 0.1	  /* part of a run's work that the hypervisor let wait for other machines */
#define MOST_CROWD 0.25	  /* part of the processors that others may use without sharing a core */
#define QUIET_PART 10	  /* one in 10 references is faster than that of a quiet machine */
#define MOST_CROWDED 1.03 /* factor by which crowded slices may be slower, and be harmless */
#define LEAST_SLICES 10	  /* crowded and others each, for a loop to be compared */
#define LEAST_LOOPS 20	  /* compared loops, native and recorded ones counted apart */
#define LEFT_OUT 20	  /* one in 20 loops may be disturbed in all rounds: its slices are long */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

enum slices_disturbance slices_judge(const struct slice *s, const struct machine_load *load,
				     int n_processors, double quiet_s)
{
	double others = s->n_running ? (double)s->n_running - 1 : 0;

	/*
	 * A slice that a quota stopped lacks much of its time. The others of its run are as fast as
	 * without a quota, so load->throttled is not judged.
	 */
	if (s->n_switches || s->elapsed_s - s->cpu_s > MOST_WAITED * s->elapsed_s ||
	    load->steal > MOST_STEAL)
		return SLICES_WAITED;
	if (s->reference_s > MOST_SLOWER * quiet_s)
		return SLICES_SLOWER;
	if (others > MOST_CROWD * n_processors)
		return SLICES_CROWDED;
	return SLICES_UNDISTURBED;
}

/* --- crowded slices --------------------------------------------------------------------------- */

/* Times of a loop's slices that did not wait: s[1] of crowded ones, s[0] of the others. */
struct crowd_times {
	double s[2][SOLVE_MAX_ROUNDS * SLICES_MAX];
	int n[2];
};

static void add_run(struct crowd_times *times, const struct slices_run *run, int loop,
		    int n_processors)
{
	for (int i = 0; i < SLICES_MAX; i++) {
		const struct slice *s = &run->at[loop][i];
		enum slices_disturbance d = slices_judge(s, &run->load, n_processors, INFINITY);
		int crowded = d == SLICES_CROWDED;

		if (s->elapsed_s > 0 && d != SLICES_WAITED)
			times->s[crowded][times->n[crowded]++] = s->total_s;
	}
}

/*
 * Ratio of crowded to other slices of a loop: between the lower quartiles of their times. 0: there
 * are too few slices.
 */
static double crowded_ratio(const struct slices *s, int side, int loop)
{
	struct crowd_times times;

	times.n[0] = times.n[1] = 0;
	for (int round = 0; round < s->n_rounds; round++)
		add_run(&times, &s->run[round][side], loop, s->n_processors);
	if (times.n[0] < LEAST_SLICES || times.n[1] < LEAST_SLICES)
		return 0;
	for (int i = 0; i < 2; i++)
		qsort(times.s[i], (size_t)times.n[i], sizeof(*times.s[i]), compare);
	return times.s[1][times.n[1] / 4] / times.s[0][times.n[0] / 4];
}

enum slices_crowding slices_compare_crowded(const struct slices *s)
{
	double ratio[SLICES_SIDES * MAX_LOOPS];
	int n = 0;

	for (int i = 0; i < SLICES_SIDES * s->n_loops; i++) {
		ratio[n] = crowded_ratio(s, i % SLICES_SIDES, i / SLICES_SIDES);
		n += ratio[n] > 0;
	}
	if (n < LEAST_LOOPS)
		return SLICES_UNKNOWN;
	qsort(ratio, (size_t)n, sizeof(*ratio), compare);
	return ratio[n / 2] > MOST_CROWDED ? SLICES_HARMFUL : SLICES_HARMLESS;
}

/* --- references ------------------------------------------------------------------------------- */

/*
 * reference_s of a quiet machine, for one loop on one side: loops leave the processor's caches in
 * different states, and so does recording. 0: the loop has no slices.
 */
static double quiet_reference(const struct slices *s, int side, int loop)
{
	double sorted[SOLVE_MAX_ROUNDS * SLICES_MAX];
	int n = 0;

	for (int round = 0; round < s->n_rounds; round++) {
		const struct slice *slice = s->run[round][side].at[loop];

		for (int i = 0; i < SLICES_MAX; i++) {
			if (slice[i].elapsed_s > 0)
				sorted[n++] = slice[i].reference_s;
		}
	}
	qsort(sorted, (size_t)n, sizeof(*sorted), compare);
	return n ? sorted[n / QUIET_PART] : 0;
}

/* One number of all loops: the median of their native runs. */
static double reference_of(const struct slices *s)
{
	double sorted[MAX_LOOPS];

	for (int loop = 0; loop < s->n_loops; loop++)
		sorted[loop] = quiet_reference(s, SLICES_BARE, loop);
	qsort(sorted, (size_t)s->n_loops, sizeof(*sorted), compare);
	return s->n_loops ? sorted[s->n_loops / 2] : 0;
}

/* Factor by which this whole calibration is slower than the trusted one, at least 1. */
static double slower_than(double reference_s, double known_s)
{
	return known_s > 0 && reference_s > known_s ? reference_s / known_s : 1;
}

/* --- selection -------------------------------------------------------------------------------- */

struct criteria {
	const struct slices *s;
	enum slices_crowding crowding;
	double slower;			     /* factor from the trusted calibration, at least 1 */
	struct calibration_quality *quality; /* counts all slices */
};

static const struct slice *faster(const struct slice *a, const struct slice *b)
{
	return !a || b->total_s < a->total_s ? b : a;
}

const struct slice *slices_fastest(const struct slices_run *run, int loop)
{
	const struct slice *fastest = NULL;

	for (int i = 0; i < SLICES_MAX; i++) {
		if (run->at[loop][i].elapsed_s > 0)
			fastest = faster(fastest, &run->at[loop][i]);
	}
	return fastest;
}

static void put(struct round *to, int side, int loop, const struct slice *s)
{
	if (side == SLICES_BARE) {
		to->native[loop] = s ? s->total_s : INFINITY;
		return;
	}
	to->total[loop] = s ? s->total_s : INFINITY;
	to->callee[loop] = s ? s->callee_s : 0;
}

static void count(struct calibration_quality *q, enum slices_disturbance d)
{
	q->n_slices++;
	q->n_waited += d == SLICES_WAITED;
	q->n_slower += d == SLICES_SLOWER;
	q->n_crowded += d == SLICES_CROWDED;
}

/* The fastest slice of a run that may be used, or NULL. `undisturbed`: the run has one. */
static const struct slice *select_slice(const struct criteria *x, const struct slices_run *run,
					int loop, double quiet_s, bool *undisturbed)
{
	const struct slice *fastest = NULL;

	*undisturbed = false;
	for (int i = 0; i < SLICES_MAX; i++) {
		const struct slice *s = &run->at[loop][i];
		enum slices_disturbance d =
			slices_judge(s, &run->load, x->s->n_processors, quiet_s);

		if (!(s->elapsed_s > 0))
			continue;
		if (d == SLICES_CROWDED && x->crowding == SLICES_HARMLESS)
			d = SLICES_UNDISTURBED;
		count(x->quality, d);
		*undisturbed |= d == SLICES_UNDISTURBED;
		if (d == SLICES_UNDISTURBED ||
		    (d == SLICES_CROWDED && x->crowding == SLICES_UNKNOWN))
			fastest = faster(fastest, s);
	}
	return fastest;
}

/* Selects for a loop and side. Returns the number of rounds with an undisturbed slice. */
static int select_side(const struct criteria *x, int side, int loop, struct rounds *r)
{
	double quiet_s = quiet_reference(x->s, side, loop) / x->slower;
	int n_undisturbed = 0, n = 0;
	bool undisturbed;

	for (int round = 0; round < r->n; round++) {
		const struct slices_run *run = &x->s->run[round][side];
		const struct slice *s = select_slice(x, run, loop, quiet_s, &undisturbed);

		put(&r->at[round], side, loop, s);
		n += s != NULL;
		n_undisturbed += undisturbed;
	}
	for (int round = 0; round < r->n && n < SOLVE_FASTEST; round++)
		put(&r->at[round], side, loop, slices_fastest(&x->s->run[round][side], loop));
	return n_undisturbed;
}

static void add_up_load(const struct slices *s, struct calibration_quality *quality)
{
	int n = s->n_rounds * SLICES_SIDES;

	for (int i = 0; i < n; i++) {
		const struct machine_load *load = &s->run[i / SLICES_SIDES][i % SLICES_SIDES].load;

		quality->others += load->others / n;
		quality->steal += load->steal / n;
		quality->throttled += load->throttled / n;
	}
}

void slices_select(const struct slices *s, double known_s, struct rounds *r,
		   struct calibration_quality *quality)
{
	struct criteria x = { .s = s, .quality = quality };
	double n_undisturbed[SLICES_SIDES * MAX_LOOPS];
	int n = SLICES_SIDES * s->n_loops;

	*quality = (struct calibration_quality){ .known = true, .reference_s = reference_of(s) };
	x.crowding = slices_compare_crowded(s);
	x.slower = slower_than(quality->reference_s, known_s);
	r->n = s->n_rounds;
	r->n_loops = s->n_loops;
	for (int i = 0; i < n; i++)
		n_undisturbed[i] = select_side(&x, i % SLICES_SIDES, i / SLICES_SIDES, r);
	qsort(n_undisturbed, (size_t)n, sizeof(*n_undisturbed), compare);
	r->n_fewest = n ? (int)n_undisturbed[n / LEFT_OUT] : 0;
	add_up_load(s, quality);
	quality->trusted = r->n_fewest >= SOLVE_ENOUGH &&
			   calibration_disturbed(quality) <= SLICES_MOST_DISTURBED;
}

bool slices_are_late(int n_rounds, double elapsed_s, double own_s)
{
	return n_rounds >= SOLVE_ROUNDS &&
	       elapsed_s > SLICES_LATE * SOLVE_ROUNDS * own_s / n_rounds;
}
