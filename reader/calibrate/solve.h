/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Times of loops, native and recorded -> overhead of a call of each kind: docs/overhead.md, "How
 * calibration estimates", points 1 and 2.
 *
 * Called by calibrate.c and slices.c, in the reader's one thread. Pure: owns only the facts about
 * loops. It must not know processes or recordings.
 */
#ifndef READER_SOLVE_H
#define READER_SOLVE_H

#include <stdbool.h>

#include "fit.h"
#include "overhead/calibration.h"

#define SOLVE_ROUNDS 15
#define SOLVE_MAX_ROUNDS 45 /* on a machine with other work */
#define SOLVE_FASTEST 5	    /* rounds 2 to 5 by speed are averaged; also the rounds in a step */
#define SOLVE_ENOUGH 10	    /* rounds with an undisturbed slice that a loop should have */
#define SOLVE_UNREST 0.01   /* part by which averaged rounds may differ without more rounds */

/* The loops of program.py, in its order. */
#define LOOP(id, name, callee, n_outside, n_inside) id,
enum loop {
#include "loops.def"
	LOOP_MIXED, /* the first small program; their number depends on the interpreter's library */
	MAX_LOOPS = LOOP_MIXED + FIT_MAX_PROGRAMS
};
#undef LOOP

/* A row of loops.def. */
struct loop_facts {
	const char *name;
	const char *callee; /* its self time is measured; NULL: it is not needed */
	int n_outside;	    /* bytecodes of the loop a call, which slow bytecode applies to */
	int n_inside;	    /* the same of the callee */
};

extern const struct loop_facts loop_facts[LOOP_MIXED];

/* Seconds a call, of the fastest slice that counts. INFINITY: all slices were disturbed. */
struct round {
	double native[MAX_LOOPS]; /* native */
	double total[MAX_LOOPS];  /* recorded */
	double callee[MAX_LOOPS]; /* of total, the callee's self time */
};

struct rounds {
	int n; /* SOLVE_ROUNDS to SOLVE_MAX_ROUNDS when it is complete */
	int n_loops;
	int n_fewest; /* undisturbed rounds that 19 in 20 loops have at least, native and recorded */
	struct round at[SOLVE_MAX_ROUNDS];
};

/*
 * Seconds a call of this loop on a quiet machine, native and recorded: the mean of the second to
 * the fifth fastest round. At least SOLVE_FASTEST rounds must have a time.
 */
double solve_native(const struct rounds *r, int loop);
double solve_total(const struct rounds *r, int loop);

/*
 * Distance of the second to the fifth fastest round, as a part of the second: the median of all
 * loops, native and recorded. More rounds make it less.
 */
double solve_unrest(const struct rounds *r);

/*
 * Number of rounds to run, judging by those so far: SOLVE_ROUNDS, and SOLVE_FASTEST more while they
 * differ by more than SOLVE_UNREST or too few of them are undisturbed. The result is a multiple of
 * SOLVE_FASTEST, and at most `most` if that is one.
 */
int solve_rounds(const struct rounds *r, int most);

/*
 * Sets the overhead of each kind with its spread, and the factor of slow bytecode. `monitoring`:
 * the engine is that of 3.12 and later.
 */
void solve(struct calibration *c, const struct rounds *r, bool monitoring);

#endif
