/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Upper bounds of what a group of functions took, if only functions and caller edges are known, as
 * in a pstats file. Owns nothing between calls. profile/group.c calls it, from one thread. It must
 * not name groups.
 *
 * The cumulative time of a group is the time in which one of its functions was running. It is its
 * self time, and the time of the functions of other groups that it called. It is at most:
 *
 *	out	its self time + the cumulative times of its edges to other groups
 *	in	for each of its functions the smaller of: the function's cumulative time; those of
 *		edges from other groups to it, if all its calls have a caller
 *	all	the sum of all self times
 *
 * If no function that the group calls leads back to it, `out` is exact. Likewise for the calls that
 * are not nested in one of the group: those from other groups.
 */
#ifndef READER_GROUP_BOUNDS_H
#define READER_GROUP_BOUNDS_H

#include "profile.h"

/*
 * Adds to `to`, whose function group[i] stands for function i of `p`, the total_s, total_overhead_s
 * and n_primitive of groups, and the edges between groups. `to` has functions without numbers.
 * Marks functions as is_bound unless the numbers are exact. 0 or -ENOMEM.
 */
int group_bounds(struct profile *to, const struct profile *p, const uint32_t *group);

#endif
