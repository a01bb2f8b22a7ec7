/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takes what recording has added to the times out of them. Pure: profile -> profile.
 */
#ifndef READER_BIAS_H
#define READER_BIAS_H

#include "profile/profile.h"

/* What was done to one profile. Seconds. */
struct bias_result {
	double scale; /* by which the calibrated cost was multiplied; 1 where no bare time was given */
	double raw_s;  /* all self times before ... */
	double cost_s; /* ... and what was taken out of them */
	/*
	 * Functions whose own time is shorter than the calibrated cost of their calls, or than that
	 * and what those lack that they call: it is given as 0, a lower bound of what it was, and
	 * the rest is taken from their callers.
	 */
	size_t n_bounded;
	double moved_s; /* ... which was so much */
	double left_s;	/* found no caller to be taken from: the sum is too long by that */
};

/*
 * Every `self_s` and `total_s` loses its cost, which then says what was taken. `bare_s`: what all
 * self times are to add up to, for which the cost is scaled; 0: it is taken as calibrated. 0 or
 * -ENOMEM; -ERANGE where the times have no cost that could be scaled so, or `bare_s` is longer than
 * they are.
 */
int bias_apply(struct profile *p, double bare_s, struct bias_result *result);

#endif
