/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From how long the loops of a calibration took, bare and recorded, to what a call of each kind
 * costs. Knows nothing of processes and recordings.
 */
#ifndef READER_SOLVE_H
#define READER_SOLVE_H

#include <stdbool.h>

#include "fit.h"
#include "overhead/calib.h"

#define SOLVE_ROUNDS 15
#define SOLVE_MAX_ROUNDS 45 /* on a machine that does other things as well */
#define SOLVE_FASTEST 5	    /* rounds that count, with the one that is faster still */
#define SOLVE_ENOUGH 10	    /* rounds in which each loop has been undisturbed */
#define SOLVE_UNREST 0.01   /* from there on they are too far apart */

/* What calibrate_program runs, in this order. */
#define LOOP(id, name, callee, n_outside, n_inside) id,
enum loop {
#include "loops.def"
	LOOP_MIXED, /* the first of them; how many there are depends on what the interpreter comes with */
	MAX_LOOPS = LOOP_MIXED + FIT_MAX_PROGRAMS
};
#undef LOOP

/*
 * What is known of each. The callee's own time tells what lies between the clock readings; without
 * one it is not asked for. Bytecodes of each call: how many are slowed down in the loop and in the
 * callee.
 */
struct loop_facts {
	const char *name, *callee;
	int n_outside, n_inside;
};

extern const struct loop_facts loop_facts[LOOP_MIXED];

/* Seconds a call, of the fastest slice; INFINITY where the loop was disturbed. */
struct round {
	double bare[MAX_LOOPS];
	double total[MAX_LOOPS];  /* as recorded */
	double callee[MAX_LOOPS]; /* of that, the callee's own time */
	double cost[MAX_LOOPS];	  /* of that, what the calibration says that recording has cost */
};

struct rounds {
	int n; /* SOLVE_ROUNDS to SOLVE_MAX_ROUNDS */
	int n_loops;
	int n_fewest; /* rounds in which a loop was undisturbed: of the loops, but for a few that were more often */
	struct round at[SOLVE_MAX_ROUNDS];
};

/*
 * How long a call of this loop takes on a machine that does nothing else: the mean of the
 * SOLVE_FASTEST rounds without the fastest of all.
 */
double solve_bare(const struct rounds *r, int loop);
double solve_total(const struct rounds *r, int loop);

/*
 * How far the rounds that count are apart, as a part of what they take, at the median of the loops
 * and the bare and recorded ones: more of them make it less.
 */
double solve_unrest(const struct rounds *r);

/*
 * How many rounds there are to be, by those so far: SOLVE_ROUNDS, and SOLVE_FASTEST more while they
 * are restless or too few of them are undisturbed, up to `most`.
 */
int solve_rounds(const struct rounds *r, int most);

/* The costs, and their spread. `monitoring`: the engine of 3.12+. */
void solve(struct calib *c, const struct rounds *r, bool monitoring);

#endif
