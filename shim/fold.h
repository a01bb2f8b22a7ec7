/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes room in a ring by folding its oldest block into the ring's fold table, which lies in the
 * recording. Safe against a kill at any instruction: the block counts as folded from the one store
 * of ring.folded on, and what had been changed before that can be undone by the reader.
 *
 * Runs in the thread that writes the ring, with the GIL held, on its slow path.
 */
#ifndef SHIM_FOLD_H
#define SHIM_FOLD_H

#include <stdint.h>

#include "pyprof/fold.h"

struct fold {
	struct pyprof_fold view; /* its tables lie in the recording, its indices and stack do not */
	struct pyprof_ring *ring;
	uint32_t low_before; /* how far down the stack changed in the fold before the last */
};

/*
 * Folds the oldest block and takes it out of the ring. Its offset, for reuse, or 0: there is no
 * block, or neither space nor memory for a table.
 */
uint64_t fold_oldest(struct fold *f);

#endif
