/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model of overhead on a tree: the overhead that the self time of each node contains. The sum
 * of it over a node and all below is the overhead within its cumulative time. Subtracting it is up
 * to correct.h. load calls it for each ring, in one thread. Owns no memory after the call. It must
 * not change the tree.
 *
 * docs/overhead.md, "The formula", has the model. For a node x:
 *
 *	in(k) of the calls of x
 *	+ out(k) of the calls of its children, and their reuse distances * cold
 *	+ out of the class calls of x
 *	+ the rest of a Python function's time * (1 - 1 / bytecode)
 */
#ifndef READER_TREE_MODEL_H
#define READER_TREE_MODEL_H

#include "calibration.h"
#include "pyprof/tree.h"
#include "recording/names.h"

struct tree_model {
	const struct names *names;
	const struct calibration *calibration;
	bool monitoring; /* the engine is that of 3.12 and later */
	double seconds_per_tick;
};

/*
 * Returns the overhead of each node in seconds, in a block for free(). NULL without memory. The
 * root and threads have 0.
 */
double *tree_model(const struct tree_model *m, const struct pyprof_tree *t);

#endif
