/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Folds full blocks of a live target's rings into its fold tables instead of the target, so that
 * the target need not fold them itself. Owns a writable mapping of the recording and private
 * indices over its fold tables. Only --wait calls it, from one thread. It must not write a ring or
 * its table without the claim of that ring.
 *
 * It holds the claim of a ring for one block at a time. If this process dies meanwhile, the target
 * takes the claim over and undoes the fold. If it is only stopped, the target waits for a limited
 * time and may then lose events (PYPROF_LOST_READER).
 *
 * The tables are changed in place, so every process that can write the file can change them too.
 * A table is checked when it is taken over, and each reference between entries when it is followed
 * (pyprof_fold_callee). So foreign writes can falsify numbers, but cannot lead out of the table.
 */
#ifndef READER_CONSUME_H
#define READER_CONSUME_H

#include <stddef.h>
#include <stdint.h>

#include "attach.h"
#include "pyprof/table.h"

struct consume {
	uint8_t *base; /* mapped for writing, beyond the present end of the file */
	uint64_t map_bytes;
	uint64_t bytes; /* length of the file at the last fstat */
	int fd;
	uint32_t block_bytes;
	int32_t overhead_weight[PYPROF_OVERHEADS];
	uint32_t max_distance, max_idle;
	uint64_t self; /* PYPROF_CONSUMER of this process */
	struct pyprof_table *ring;
	size_t n_rings;
};

/* Opens a->path for writing. 0 or -errno; consume_close may be called after both. */
int consume_open(struct consume *c, const struct attach *a);
void consume_close(struct consume *c);

/* Folds all full blocks that can be folded now. Returns their number. */
size_t consume_round(struct consume *c);

/*
 * Stores the present time in header.end_ticks, unless it is set. Call it when the target has just
 * ended. Does nothing if the clock is a CPU clock or counts events: it ended with the target.
 */
void consume_note_end(struct consume *c);

#endif
