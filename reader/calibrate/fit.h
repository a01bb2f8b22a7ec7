/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fit of a calibration: ridge regression of the overhead that loops show (solve.h) to small
 * programs. It minimises the sum of the squared residuals of the programs and of the squared
 * changes of the overhead, each scaled: docs/overhead.md, "How calibration estimates", point 3.
 *
 * Called by calibrate.c, in the reader's one thread. Pure: owns nothing. It must not know processes
 * or recordings.
 */
#ifndef READER_FIT_H
#define READER_FIT_H

#include "overhead/calibration.h"

#define FIT_MAX_PROGRAMS 96

/*
 * Unknowns: the change of each kind, OVERHEAD_PYTHON and so on, and the change of calibration.cold.
 */
enum { FIT_COLD = OVERHEAD_KINDS, FIT_UNKNOWNS };

/* A program, in seconds for one call of the loops: its time divided by their number of calls. */
struct fit_program {
	double native_s;	 /* time of a native run */
	double added_s;		 /* time that recording adds to it */
	double known_s;		 /* the part of added_s that the model explains so far */
	double by[FIT_UNKNOWNS]; /* change of known_s by a second more of each unknown */
};

/* Adds `s` seconds to an unknown: to `in_s` or `out_s` of a kind, as kinds.def says, or to cold. */
void fit_add(struct calibration *c, int unknown, double s);

/*
 * Changes the overhead of each kind and `cold`. `n` programs: 1 to FIT_MAX_PROGRAMS. `monitoring`:
 * the engine is that of 3.12 and later. Returns the median residual of the programs, each as a part
 * of the time that recording adds.
 */
double fit(struct calibration *c, bool monitoring, const struct fit_program *p, int n);

#endif
