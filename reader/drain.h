/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings -> batches of records, in the order in which a thread wrote them, with loss by cause. Reads
 * a live recording too: up to what is published when the reader comes by.
 */
#ifndef READER_DRAIN_H
#define READER_DRAIN_H

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
	/* the block at hand */
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

/* Goes to the first block of a ring, 0 <= ring < n_rings. */
void drain_ring(struct drain *d, size_t ring);

/* The next block of the ring; false: there is none. The batch is good until the next call. */
bool drain_next(struct drain *d, struct drain_batch *batch);

#endif
