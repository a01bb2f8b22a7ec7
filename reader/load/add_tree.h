/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree of a ring to calling contexts: names instead of numbers, seconds instead of ticks.
 * rebuild.c calls it for each ring, in one thread. Owns no memory. It must not subtract overhead.
 */
#ifndef READER_ADD_TREE_H
#define READER_ADD_TREE_H

#include "labels.h"
#include "profile/contexts.h"
#include "pyprof/fold.h"
#include "pyprof/tree.h"
#include "recording/names.h"

/* The recording that a tree is of. */
struct add_tree {
	struct contexts *contexts; /* NULL: not wanted */
	const struct names *names;
	const struct labels *labels;
	double seconds_per_tick;
	bool true_calls;
	uint32_t process; /* add_tree_process() */
	/* False: leave out the thread of that number. NULL: leave out none. */
	bool (*wants_thread)(void *arg, uint32_t thread);
	void *arg;
};

/* Adds the process of a recording. Returns its node, or 0 without memory. */
uint32_t add_tree_process(struct contexts *c, const struct pyprof_header *h);

/*
 * Adds a tree without open calls, and the functions of the ring's fold table, whose contexts are
 * unknown, below CONTEXT_FOLDED. `running`: the node of the call that ran at the end; it and its
 * callers are marked. 0: none ran. Returns 0 or -ENOMEM.
 */
int add_tree(const struct add_tree *a, const struct pyprof_tree *t, const struct pyprof_fold *f,
	     uint32_t running);

#endif
