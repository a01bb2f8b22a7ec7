/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The costs of calls, as loops of each kind have them, brought nearer to what programs say: least
 * squares, of what the model leaves unexplained of what recording adds to each program, and of how
 * far the costs go from those of the loops.
 */
#ifndef READER_FIT_H
#define READER_FIT_H

#include "overhead/calib.h"

#define FIT_MAX_PROGRAMS 96

/* Unknowns: how much more each cost is, outside where it has an outside; and calib.cold. */
enum { FIT_COLD = CALIB_KINDS, FIT_UNKNOWNS };

struct fit_program {
	double bare_s, added_s;	 /* how long it takes, and how much longer when it is recorded */
	double known_s;		 /* of the latter, what the costs as they are explain ... */
	double by[FIT_UNKNOWNS]; /* ... and how much more, by a second more of each unknown */
};

/* Makes one of them so much more. */
void fit_add(struct calib *c, int unknown, double s);

/*
 * Changes the costs; `monitoring`: the engine of 3.12+. What is left unexplained then, at the
 * median of the `n` programs (at least one), as a part of what recording adds to them.
 */
double fit(struct calib *c, bool monitoring, const struct fit_program *p, int n);

#endif
