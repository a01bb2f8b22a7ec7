/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes room in a ring: takes out its oldest block once that is folded into the ring's fold table,
 * and folds it first if no reader has. Safe against a kill at any instruction: the block counts as
 * folded from the one store of ring.folded on, and the next holder of the claim can undo earlier
 * changes.
 *
 * Called by the thread that writes the ring, with the GIL, on its slow path. Must not run in a
 * signal handler: it allocates, and may wait for a reader.
 */
#ifndef SHIM_FOLD_H
#define SHIM_FOLD_H

#include <stdint.h>

#include "pyprof/table.h"

/*
 * Makes the ring's first table, while there is space: folding is the only way left once the file
 * cannot grow.
 */
void fold_prepare(struct pyprof_table *t);

/*
 * Takes the oldest block out of the ring. Returns its offset, or 0 with the cause: there is no
 * block, space or memory for a table is missing, or a reader holds the claim and neither folds nor
 * dies. `wait_ns`: how long to wait for a reader that has folded before; `patience_ns`: how long to
 * wait for one that holds the claim.
 */
uint64_t fold_oldest(struct pyprof_table *t, uint64_t wait_ns, uint64_t patience_ns,
		     enum pyprof_loss *cause);

/* Returns the size in bytes of the ring's table in the file; 0: it does not exist. */
uint64_t fold_table_bytes(const struct pyprof_table *t);

/* A reader needs about 20 us for a block, but may be off its processor meanwhile. */
#define FOLD_SHORT_PATIENCE_NS 200000ull
#define FOLD_PATIENCE_NS 50000000ull

#endif
