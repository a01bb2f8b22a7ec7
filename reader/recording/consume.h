/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Folds the full blocks of a live target's rings into its fold tables, in the target's stead, so
 * that the target finds room without doing it itself. Holds a ring's claim for one block at a time,
 * and dies or stops without harm: the target takes a dead reader's claim back, and undoes what it
 * left.
 *
 * The tables are worked on in place, and so may be written by whoever can write the file. A table
 * is checked when it is taken over; what leads from one entry to another is checked each time that
 * it is followed (pyprof_fold_callee): scribbling changes numbers, and nothing else.
 */
#ifndef READER_CONSUME_H
#define READER_CONSUME_H

#include <stddef.h>
#include <stdint.h>

#include "attach.h"
#include "pyprof/table.h"

struct consume {
	uint8_t *base; /* mapped for writing; longer than the file is yet */
	uint64_t map_bytes;
	uint64_t bytes; /* of the file, when it was last looked at */
	int fd;
	uint32_t block_bytes;
	int32_t cost_weight[PYPROF_COSTS];
	uint32_t max_between, max_gap;
	uint64_t self; /* PYPROF_CONSUMER of this process */
	struct pyprof_table *ring;
	size_t n_rings;
};

/* 0 or -errno: the file cannot be written. */
int consume_open(struct consume *c, const struct attach *a);
void consume_close(struct consume *c);

/* Folds what is there. How many blocks that were. */
size_t consume_round(struct consume *c);

/* The process has just ended: header.end_ticks. */
void consume_note_end(struct consume *c);

#endif
