/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes room in a ring: takes out its oldest block when that has been folded into the ring's fold
 * table, and folds it first where no reader has. Safe against a kill at any instruction: the block
 * counts as folded from the one store of ring.folded on, and what had been changed before that can
 * be undone by whoever comes next.
 *
 * Runs in the thread that writes the ring, with the GIL held, on its slow path.
 */
#ifndef SHIM_FOLD_H
#define SHIM_FOLD_H

#include <stdint.h>

#include "pyprof/table.h"

/*
 * Makes the ring's first table, while there is space: when the file can grow no more, folding is
 * all that is left.
 */
void fold_prepare(struct pyprof_table *t);

/*
 * The offset of the oldest block, which is no longer in the ring, or 0 with the cause: there is no
 * block, neither space nor memory for a table, or a reader that neither goes on nor dies.
 * `wait_ns`: how long to give a reader that has been seen at work before folding ourselves;
 * `patience_ns`: how long to wait for one that is just folding.
 */
uint64_t fold_oldest(struct pyprof_table *t, uint64_t wait_ns, uint64_t patience_ns,
		     enum pyprof_loss *cause);

/* The size of the ring's table in the file; 0: there is none. */
uint64_t fold_table_bytes(const struct pyprof_table *t);

/* A reader needs some 20 us for a block, but may be off its processor meanwhile. */
#define FOLD_SHORT_PATIENCE_NS 200000ull
#define FOLD_PATIENCE_NS 50000000ull

#endif
