/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The slices of a calibration: which of them other work disturbed, the fastest of the others, and
 * whether the result is to be trusted. docs/bench.md, "Disturbed calibrations", has the rules.
 *
 * Called by calibrate.c, in the reader's one thread. Pure: owns nothing. It must not know
 * processes, files or clocks.
 */
#ifndef READER_SLICES_H
#define READER_SLICES_H

#include <stdbool.h>
#include <stdint.h>

#include "machine.h"
#include "overhead/calibration.h"
#include "solve.h"

#define SLICES_MAX 20		  /* of a loop in a round */
#define SLICES_MOST_DISTURBED 0.5 /* part of all slices, in a calibration that is trusted */
#define SLICES_LATE 3		  /* times the duration of SOLVE_ROUNDS rounds on a quiet machine */

/* One slice: a line of program.py, and times from the recording. */
struct slice {
	double elapsed_s;    /* 0: there is no such slice */
	double cpu_s;	     /* processor time of the process, in elapsed_s */
	double reference_s;  /* a fixed piece of work just before or after, the slower one */
	uint64_t n_switches; /* involuntary context switches */
	uint64_t n_running;  /* threads that run on the whole machine, this one too; 0: unknown */
	double total_s;	     /* a call, native or recorded */
	double callee_s;     /* of it, the callee's self time; recorded only */
	double overhead_s;   /* of it, the overhead that the calibration states; recorded only */
};

/* One process: all loops, native or recorded. */
struct slices_run {
	struct slice at[MAX_LOOPS][SLICES_MAX];
	struct machine_load load;
};

/* SLICES_BARE is the native run. */
enum slices_side { SLICES_BARE, SLICES_RECORDED, SLICES_SIDES };

struct slices {
	int n_rounds, n_loops;
	int n_processors; /* of this machine */
	struct slices_run run[SOLVE_MAX_ROUNDS][SLICES_SIDES];
};

/* Possible cause of a slice that is slower than on a quiet machine. */
enum slices_disturbance {
	SLICES_UNDISTURBED,
	SLICES_CROWDED, /* other threads run on so many processors that they may share this core */
	SLICES_SLOWER,	/* the machine was slower than at other times */
	SLICES_WAITED,	/* the process lacked its processor for a part, or steal was high */
	SLICES_DISTURBANCES
};

/* Effect of crowding. It is harmful where the machine's processors share parts. */
enum slices_crowding { SLICES_HARMLESS, SLICES_HARMFUL, SLICES_UNKNOWN };

/* `load`: of the slice's run. `quiet_s`: reference_s on a quiet machine. */
enum slices_disturbance slices_judge(const struct slice *s, const struct machine_load *load,
				     int n_processors, double quiet_s);

/*
 * Compares crowded slices with others, in loops that have enough of both. SLICES_UNKNOWN: too few
 * loops have, because other threads run always or never.
 */
enum slices_crowding slices_compare_crowded(const struct slices *s);

/* The fastest slice of a loop in one process, also a disturbed one. NULL: it has no slices. */
const struct slice *slices_fastest(const struct slices_run *run, int loop);

/*
 * Fills `r` with the fastest undisturbed slice of each loop in each round, or INFINITY, and states
 * the quality. Crowded slices count as undisturbed if that is harmless. If the effect is unknown,
 * they are used but count as disturbed. A loop with times of fewer than SOLVE_FASTEST rounds gets
 * the fastest slice of each round instead, disturbed or not.
 *
 * `known_s`: reference_s of an earlier calibration that is trusted, or 0.
 */
void slices_select(const struct slices *s, double known_s, struct rounds *r,
		   struct calibration_quality *quality);

/*
 * True if these rounds, at least SOLVE_ROUNDS, took more than SLICES_LATE times as long as
 * SOLVE_ROUNDS rounds without other work. `own_s`: processor time of these rounds.
 */
bool slices_are_late(int n_rounds, double elapsed_s, double own_s);

#endif
