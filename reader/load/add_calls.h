/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fold table or the tree of a ring to a profile: names instead of numbers, seconds instead of
 * ticks, and the overhead within each time beside it. rebuild.c calls it for each ring, in one
 * thread. Owns no memory after the calls. It must not subtract overhead.
 */
#ifndef READER_ADD_CALLS_H
#define READER_ADD_CALLS_H

#include "labels.h"
#include "overhead/calibration.h"
#include "profile/profile.h"
#include "pyprof/fold.h"
#include "pyprof/tree.h"
#include "recording/names.h"
#include "request.h"

/* The recording that the calls are of. */
struct add_calls {
	const struct names *names;
	const struct labels *labels;
	const struct calibration *calibration; /* NULL: none */
	const struct request *request;
	bool monitoring; /* the engine is that of 3.12 and later */
	double seconds_per_tick;
	uint64_t *n_unnamed; /* counts functions without a name; or NULL */
};

/* Adds a table without open frames. 0 or -ENOMEM. */
int add_calls_of_table(const struct add_calls *a, const struct pyprof_fold *f, struct profile *p);

/*
 * Returns the overhead within the self time of each node of a tree, for add_calls_of_tree. A block
 * for free(). NULL without a calibration, or without memory; then *err is -ENOMEM.
 */
double *add_calls_overhead(const struct add_calls *a, const struct pyprof_tree *t, int *err);

/*
 * Adds a tree, or what is below the node of one thread (0: all of it). `overhead_s` may be NULL. 0
 * or -ENOMEM.
 */
int add_calls_of_tree(const struct add_calls *a, const struct pyprof_tree *t,
		      const double *overhead_s, uint32_t thread, struct profile *p);

#endif
