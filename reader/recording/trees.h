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
 * Continues where a fold table ends: takes over its state and its running calls as the current
 * path, without their calls and times so far. 0 or -ENOMEM.
 */
int trees_continue(struct pyprof_tree *t, const struct pyprof_fold *f);

#endif
