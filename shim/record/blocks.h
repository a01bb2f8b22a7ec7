/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The budget of a recording (PYSHIM_BUFFER): the number of blocks that its rings may have, and the
 * part of it that fold tables take. Any thread with the GIL. Must not fold or link blocks.
 */
#ifndef SHIM_BLOCKS_H
#define SHIM_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "pyprof/format.h"

/* Called when a recording begins: no blocks and no tables. */
void blocks_reset(void);

/*
 * Returns the offset of a new block for a ring that owns `n_owned`, or 0 with the cause. The first
 * block of a ring is given regardless of the budget: it can continue with one for ever, by folding
 * it.
 */
uint64_t blocks_take(uint32_t n_owned, enum pyprof_loss *cause);

/*
 * Returns a block beyond the budget, of which there are 64 MiB at most, or 0. It is for the time in
 * which a reader that holds the claim stands still, so that nothing can be folded.
 */
uint64_t blocks_take_beyond(void);

/* True if fold tables take more than a quarter of the budget. */
bool blocks_are_mostly_tables(void);

/*
 * True if blocks and tables take more than the budget, because tables have grown. Rings then reduce
 * themselves to one block.
 */
bool blocks_are_over_budget(void);

#endif
