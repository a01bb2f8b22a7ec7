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

/* The rings of a recording, and what has been lost in those that were read. */
struct drain {
	const struct attach *attach;
	uint64_t *offset; /* of each ring's descriptor */
	size_t n_rings;
	uint64_t n_lost[PYPROF_LOST_CAUSES];
	uint64_t n_bad; /* blocks and rings that made no sense: what lies behind is lost */
};

/* One ring after the other, as one thread reads them. */
struct drain_ring {
	const struct attach *attach;
	uint64_t *copy; /* of one block's records */
	const struct pyprof_ring *ring;
	uint64_t folded, first, table;
	uint64_t sequence; /* of the block read last; the next one has the next number */
	uint64_t next;
	uint64_t left; /* blocks that the file has room for: a chain that goes round ends */
	uint64_t n_bad;
};

struct drain_batch {
	const uint64_t *record;
	size_t n;
	uint64_t base_ticks;
	uint64_t skipped_ticks;
	uint64_t mono_ns; /* CLOCK_MONOTONIC at their sum, or 0 */
	uint32_t thread;  /* that the first record belongs to */
};

/* Finds the rings. 0 or -ENOMEM. */
int drain_open(struct drain *d, const struct attach *a);
void drain_close(struct drain *d);

/* 0 or -ENOMEM. What was opened is to be closed. */
int drain_ring_open(struct drain_ring *r, const struct drain *d);
void drain_ring_close(struct drain_ring *r);

/*
 * Goes to the first block of a ring, 0 <= i < d->n_rings, that is not in its fold table; `table` is the
 * table's offset and `folded` the number of the last block in it, both 0 where there is none.
 */
void drain_ring_start(struct drain_ring *r, const struct drain *d, size_t i, uint64_t *table,
		      uint64_t *folded);

enum drain_result {
	DRAIN_BATCH,
	DRAIN_END,
	DRAIN_OVERTAKEN, /* the target has folded on: what was read of the ring is to be read anew */
};

/* The next block of the ring. The batch is good until the next call. */
enum drain_result drain_next(struct drain_ring *r, struct drain_batch *batch);

/* Whether nothing has been folded, and no block taken out, since drain_ring_start. */
bool drain_is_current(const struct drain_ring *r);

/* Adds a ring's losses to those of the recording. */
void drain_count_losses(struct drain *d, const struct drain_ring *r);

#endif
