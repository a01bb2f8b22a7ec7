/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Space in the recording that is not used any more: outgrown fold tables, blocks that a ring does
 * without. It serves again in this recording, or its pages go back to the file system.
 *
 * Called by region.c only, with the GIL. `base` is where offset 0 is mapped; sizes are multiples of
 * PYPROF_EXTENT_ALIGN.
 */
#ifndef SHIM_PIECES_H
#define SHIM_PIECES_H

#include <stdbool.h>
#include <stdint.h>

/* Forgets all of them: another recording begins. */
void pieces_reset(void);

/* Keeps a piece to be taken again. Of too many, or too many bytes, some are given back. */
void pieces_keep(uint8_t *base, uint64_t offset, uint64_t bytes);

/* So many bytes of the smallest piece that has them, zeroed: their offset, or 0. */
uint64_t pieces_take(uint8_t *base, uint64_t bytes);

/*
 * Gives the pages to the file system; the space is not touched again. False: that is not possible,
 * and nothing was done.
 */
bool pieces_give_back(uint8_t *base, uint64_t offset, uint64_t bytes);

#endif
