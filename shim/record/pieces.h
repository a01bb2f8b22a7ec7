/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Space in the recording that is not used any more: outgrown fold tables, and blocks that a ring
 * gave back. It is used again in this recording, or its pages return to the file system.
 *
 * Called by region.c only, by any thread with the GIL. `base` is where offset 0 is mapped; sizes
 * are in bytes and multiples of PYPROF_EXTENT_ALIGN.
 */
#ifndef SHIM_PIECES_H
#define SHIM_PIECES_H

#include <stdbool.h>
#include <stdint.h>

/* Forgets all pieces: another recording begins. */
void pieces_reset(void);

/* Keeps a piece for later use. If there are too many pieces or bytes, some are given back. */
void pieces_keep(uint8_t *base, uint64_t offset, uint64_t bytes);

/* Takes `bytes` of the smallest piece that is large enough, zeroed. Returns their offset, or 0. */
uint64_t pieces_take(uint8_t *base, uint64_t bytes);

/*
 * Gives the pages back to the file system; the space must not be used again. False: that is not
 * possible, and nothing was done.
 */
bool pieces_give_back(uint8_t *base, uint64_t offset, uint64_t bytes);

#endif
