/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The budget of a recording (PYSHIM_BUFFER): how many blocks its rings may have, and how much of it
 * fold tables take. Needs the GIL.
 */
#ifndef SHIM_BLOCKS_H
#define SHIM_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "pyprof/format.h"

/* A recording begins: no blocks and no tables. */
void blocks_reset(void);

/*
 * A new block for a ring that has `n_owned`: its offset, or 0 with the cause. A ring is given one
 * whatever the budget says: with one it can go on for ever, by folding it.
 */
uint64_t blocks_take(uint32_t n_owned, enum pyprof_loss *cause);

/*
 * A block that the budget does not allow, 64 MiB of them at most, or 0: for the time in which a
 * reader that holds the ring stands still, and nothing can be folded.
 */
uint64_t blocks_take_beyond(void);

/* Whether fold tables take more than a quarter of the budget. */
bool blocks_are_mostly_tables(void);

/*
 * Whether blocks and tables have come to take more than the budget: rings then reduce themselves to
 * one block.
 */
bool blocks_are_over_budget(void);

#endif
