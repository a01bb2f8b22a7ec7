/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "slices.h"

#include <math.h>
#include <stdlib.h>

/*
 * docs/bench.md, "Disturbed calibrations", has the measurements. Parts: of a slice, that the
 * process waited; of the reference, by which it may be slower than in its quiet tenth; of the run,
 * that the hypervisor gave to others; of all processors, that others may use before they share a
 * core with us; of the slices, that may be disturbed.
 */
#define MOST_WAITED 0.02
#define MOST_SLOWER 1.15
#define MOST_STEAL 0.1
#define MOST_CROWD 0.25
#define QUIET_PART 10	  /* the fastest tenth of the references is taken for quiet */
#define MOST_CROWDED 1.03 /* by which crowded slices may be slower */
#define LEAST_SLICES 10	  /* of either kind, for a loop to tell whether crowded ones are slower */
#define LEAST_LOOPS 20	  /* that tell, bare or recorded */
#define LEFT_OUT \
	20 /* one of so many loops may be disturbed in any number of rounds: some slices are long */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

enum slices_disturbance slices_judge(const struct slice *s, const struct machine_load *load,
				     int n_processors, double quiet_s)
{
	double others = s->n_running ? (double)s->n_running - 1 : 0;

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

/* Times of a loop's slices that did not wait, with others beside and without. */
struct pair {
	double s[2][SOLVE_MAX_ROUNDS * SLICES_MAX];
	int n[2];
};

static void add_run(struct pair *pair, const struct slices_run *run, int loop, int n_processors)
{
	for (int i = 0; i < SLICES_MAX; i++) {
		const struct slice *s = &run->at[loop][i];
		enum slices_disturbance d = slices_judge(s, &run->load, n_processors, INFINITY);
		int crowded = d == SLICES_CROWDED;

		if (s->elapsed_s > 0 && d != SLICES_WAITED)
			pair->s[crowded][pair->n[crowded]++] = s->total_s;
	}
}

/*
 * By how much the faster quarter of the crowded slices is slower than that of the others; 0: they
 * are too few.
 */
static double crowded_ratio(const struct slices *s, int side, int loop)
{
	struct pair pair;

	pair.n[0] = pair.n[1] = 0;
	for (int round = 0; round < s->n_rounds; round++)
		add_run(&pair, &s->run[round][side], loop, s->n_processors);
	if (pair.n[0] < LEAST_SLICES || pair.n[1] < LEAST_SLICES)
		return 0;
	for (int i = 0; i < 2; i++)
		qsort(pair.s[i], (size_t)pair.n[i], sizeof(*pair.s[i]), compare);
	return pair.s[1][pair.n[1] / 4] / pair.s[0][pair.n[0] / 4];
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

/* Each loop leaves the processor's memories in a state of its own, and recording does. */
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

/* The median of the loops, bare. */
static double reference_of(const struct slices *s)
{
	double sorted[MAX_LOOPS];

	for (int loop = 0; loop < s->n_loops; loop++)
		sorted[loop] = quiet_reference(s, SLICES_BARE, loop);
	qsort(sorted, (size_t)s->n_loops, sizeof(*sorted), compare);
	return s->n_loops ? sorted[s->n_loops / 2] : 0;
}

/* By how much the machine is slower all the time than it was once. */
static double slower_than(double reference_s, double known_s)
{
	return known_s > 0 && reference_s > known_s ? reference_s / known_s : 1;
}

/* --- selection -------------------------------------------------------------------------------- */

struct selection {
	const struct slices *s;
	enum slices_crowding crowding;
	double slower; /* than the machine once was */
	struct calib_quality *quality;
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
		to->bare[loop] = s ? s->total_s : INFINITY;
		return;
	}
	to->total[loop] = s ? s->total_s : INFINITY;
	to->callee[loop] = s ? s->callee_s : 0;
}

static void count(struct calib_quality *q, enum slices_disturbance d)
{
	q->n_slices++;
	q->n_waited += d == SLICES_WAITED;
	q->n_slower += d == SLICES_SLOWER;
	q->n_crowded += d == SLICES_CROWDED;
}

/* The fastest in a run that may be taken, or NULL. `undisturbed`: one is. */
static const struct slice *select_slice(const struct selection *x, const struct slices_run *run,
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

/* How many rounds have an undisturbed slice of this loop. */
static int select_side(const struct selection *x, int side, int loop, struct rounds *r)
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

static void add_up_load(const struct slices *s, struct calib_quality *quality)
{
	int n = s->n_rounds * SLICES_SIDES;

	for (int i = 0; i < n; i++) {
		const struct machine_load *load = &s->run[i / SLICES_SIDES][i % SLICES_SIDES].load;

		quality->others += load->others / n;
		quality->steal += load->steal / n;
	}
}

void slices_select(const struct slices *s, double known_s, struct rounds *r,
		   struct calib_quality *quality)
{
	struct selection x = { .s = s, .quality = quality };
	double n_undisturbed[SLICES_SIDES * MAX_LOOPS];
	int n = SLICES_SIDES * s->n_loops;

	*quality = (struct calib_quality){ .known = true, .reference_s = reference_of(s) };
	x.crowding = slices_compare_crowded(s);
	x.slower = slower_than(quality->reference_s, known_s);
	r->n = s->n_rounds;
	r->n_loops = s->n_loops;
	for (int i = 0; i < n; i++)
		n_undisturbed[i] = select_side(&x, i % SLICES_SIDES, i / SLICES_SIDES, r);
	qsort(n_undisturbed, (size_t)n, sizeof(*n_undisturbed), compare);
	r->n_fewest = n ? (int)n_undisturbed[n / LEFT_OUT] : 0;
	add_up_load(s, quality);
	quality->trusted =
		r->n_fewest >= SOLVE_ENOUGH && calib_disturbed(quality) <= SLICES_MOST_DISTURBED;
}

bool slices_are_late(int n_rounds, double elapsed_s, double own_s)
{
	return n_rounds >= SOLVE_ROUNDS &&
	       elapsed_s > SLICES_LATE * SOLVE_ROUNDS * own_s / n_rounds;
}
