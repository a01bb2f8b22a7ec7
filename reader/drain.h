/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings -> batches of records, in the order in which a thread wrote them, with loss by cause. Reads
 * a live recording too: up to what is published when the reader comes by.
 */
#ifndef READER_DRAIN_H
#define READER_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach.h"

struct drain {
	const struct attach *attach;
	uint64_t *offset; /* of each ring's descriptor */
	size_t n_rings;
	uint64_t *copy; /* of one block's records */
	uint64_t n_lost[PYPROF_LOST_CAUSES];
	uint64_t n_bad; /* blocks and rings that made no sense: what lies behind is lost */
	/* the ring at hand */
	const struct pyprof_ring *ring;
	uint64_t folded, first;
	uint64_t n_bad_here;
	uint64_t sequence; /* of the block read last; the next one has the next number */
	uint64_t next;
	uint64_t left; /* blocks that the file has room for: a chain that goes round ends */
};

struct drain_batch {
	const uint64_t *record;
	size_t n;
	uint64_t base_ticks;
	uint64_t skipped_ticks;
	uint32_t thread; /* that the first record belongs to */
};

/* Finds the rings. 0 or -ENOMEM. */
int drain_open(struct drain *d, const struct attach *a);
void drain_close(struct drain *d);

/*
 * Goes to the first block of a ring, 0 <= ring < n_rings, that is not in its fold table; `table` is
 * the table's offset and `folded` the number of the last block in it, both 0 where there is none.
 */
void drain_ring(struct drain *d, size_t ring, uint64_t *table, uint64_t *folded);

enum drain_result {
	DRAIN_BATCH,
	DRAIN_END,
	DRAIN_OVERTAKEN, /* the target has folded on: what was read since drain_ring is to be read anew */
};

/* The next block of the ring. The batch is good until the next call. */
enum drain_result drain_next(struct drain *d, struct drain_batch *batch);

/* Adds the losses of the ring at hand to `n_lost` and `n_bad`. */
void drain_count_losses(struct drain *d);

/* Whether nothing has been folded, and no block taken out, since drain_ring. */
bool drain_is_current(const struct drain *d);

#endif
