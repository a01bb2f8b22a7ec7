/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree of tree.h in private memory. Owns that memory. replay calls it, each struct from one
 * thread. It must not read the recording.
 */
#ifndef READER_TREES_H
#define READER_TREES_H

#include "pyprof/fold.h"
#include "pyprof/tree.h"

/* Makes a tree of a root only. 0 or -ENOMEM. trees_fini must follow in both cases. */
int trees_init(struct pyprof_tree *t);
void trees_fini(struct pyprof_tree *t);

/*
 * The node below which functions stand whose calling contexts are unknown: the target has folded
 * their records into functions and caller edges.
 */
#define TREES_FOLDED (PYPROF_NODE_THREAD | (PYPROF_NODE_NUMBER - 1))

/*
 * Takes over a fold table as of its last block: its functions below TREES_FOLDED, its running calls
 * as the current path, and its state. 0 or -ENOMEM.
 */
int trees_take_over(struct pyprof_tree *t, const struct pyprof_fold *f);

#endif
