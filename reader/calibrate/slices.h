/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The slices of a calibration's rounds: which of them other work disturbed, the fastest of the
 * rest, and whether the result can be trusted. Pure: it knows nothing of processes, files and
 * clocks.
 */
#ifndef READER_SLICES_H
#define READER_SLICES_H

#include <stdbool.h>
#include <stdint.h>

#include "machine.h"
#include "overhead/calib.h"
#include "solve.h"

#define SLICES_MAX 20 /* of a loop in a round */
#define SLICES_MOST_DISTURBED 0.5
#define SLICES_LATE 3 /* times what a calibration takes on a quiet machine */

/* What calibrate_program prints of a slice, and what the recording has of it. */
struct slice {
	double elapsed_s; /* 0: there is no such slice */
	double cpu_s;	  /* of the process in that time */
	/* A fixed piece of work just before or behind it, whichever took longer. */
	double reference_s;
	uint64_t n_switches; /* involuntary */
	uint64_t
		n_running; /* threads of the whole machine, this one too, just before or behind; 0: not known */
	/* A call; bare, only the first. */
	double total_s, callee_s, cost_s;
};

/* One process: all loops, bare or recorded. */
struct slices_run {
	struct slice at[MAX_LOOPS][SLICES_MAX];
	struct machine_load load;
};

enum slices_side { SLICES_BARE, SLICES_RECORDED, SLICES_SIDES };

struct slices {
	int n_rounds, n_loops;
	int n_processors; /* of this machine */
	struct slices_run run[SOLVE_MAX_ROUNDS][SLICES_SIDES];
};

/* What may have made a slice slower than it is on a quiet machine. */
enum slices_disturbance {
	SLICES_UNDISTURBED,
	SLICES_CROWDED, /* others ran on so many processors that they may have shared parts of this one */
	SLICES_SLOWER, /* the machine was slower than at other times */
	SLICES_WAITED, /* the process did not have its processor all the time */
	SLICES_DISTURBANCES
};

/* Whether crowded slices are slower: the machine's processors share parts, or they do not. */
enum slices_crowding { SLICES_HARMLESS, SLICES_HARMFUL, SLICES_UNKNOWN };

/* `quiet_s`: what reference_s is on a quiet machine. */
enum slices_disturbance slices_judge(const struct slice *s, const struct machine_load *load,
				     int n_processors, double quiet_s);

/*
 * By the loops that have slices of both kinds: unknown where they are too few, for others always
 * run.
 */
enum slices_crowding slices_compare_crowded(const struct slices *s);

/* The fastest of a loop in one process, whatever disturbed it, or NULL. */
const struct slice *slices_fastest(const struct slices_run *run, int loop);

/*
 * The fastest slice that nothing disturbed, of each loop in each round: INFINITY where there is
 * none. Crowded ones count as undisturbed where that is harmless, and are taken where it is
 * unknown. A loop that has fewer than SOLVE_FASTEST times then has those of the fastest of all its
 * slices. `known_s`: the reference of an earlier calibration that is trusted, or 0.
 */
void slices_select(const struct slices *s, double known_s, struct rounds *r,
		   struct calib_quality *quality);

/*
 * Whether so many rounds, at least SOLVE_ROUNDS, have taken SLICES_LATE times as long as those
 * would without other work. `own_s`: processor time that these had.
 */
bool slices_are_late(int n_rounds, double elapsed_s, double own_s);

#endif
