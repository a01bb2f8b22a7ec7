/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subtracts the overhead of recording from the times of a profile: docs/overhead.md, "How it is
 * shared out". model.h has stated the overhead beside each time before.
 *
 * Called by load/recording.c, for the profile of a recording and for those of its threads. Owns no
 * memory after the call. It must not read files or print.
 */
#ifndef READER_CORRECT_H
#define READER_CORRECT_H

#include "profile/profile.h"

/* The correction of one profile. Times are in seconds. */
struct correct_result {
	double scale;	   /* factor of the calibrated overhead; 1 where no native time was given */
	double raw_s;	   /* sum of all self times before the correction */
	double overhead_s; /* overhead that was subtracted from it */
	/*
	 * Functions whose self time is less than their overhead, also after deficits of their
	 * callees were subtracted. They are reported as 0, a lower bound. The deficit is taken from
	 * their callers.
	 */
	size_t n_bounded;
	double moved_s; /* deficits that were taken from callers */
	double left_s;	/* deficits without a caller: the corrected sum is too long by this */
};

/*
 * Subtracts `self_overhead_s` from `self_s` and `total_overhead_s` from `total_s`, of every
 * function and every caller edge. Afterwards these fields hold the overhead that was really
 * subtracted.
 *
 * `bare_s`: seconds of a native run. The overhead is scaled so that the self times add up to it. 0:
 * use the overhead as calibrated.
 *
 * 0 or -ENOMEM. -ERANGE: `bare_s` is given, and the profile has no overhead to scale or takes less
 * time than `bare_s`. After an error the profile is unchanged.
 */
int correct_apply(struct profile *p, double bare_s, struct correct_result *result);

#endif
