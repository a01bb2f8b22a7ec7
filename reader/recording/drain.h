/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings -> batches of records, in the order in which a thread wrote them, with loss by cause. Reads
 * a live recording too, and changes nothing in it.
 *
 * A live ring is read up to the block that was its last when drain_ring_start came by. While the
 * target folds, blocks that have not been read yet may be folded and serve anew: drain_next then
 * says DRAIN_OVERTAKEN, and drain_ring_restart goes on behind a newer fold table. It copies the
 * blocks behind that first, each time more of them, so that reading ends even where the target
 * folds faster than the reader does. At the latest it ends when the target has folded the block
 * that was the last.
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
	bool torn;	/* parts of the file are of different times */
	/* A block belongs to one ring, so all chains together have no more than the file holds. */
	uint64_t n_blocks, most_blocks;
	uint64_t table_bytes; /* of what all fold tables hold: the same */
};

struct drain_batch {
	const uint64_t *record;
	size_t n;
	uint64_t sequence;
	uint64_t base_ticks;
	uint64_t skipped_ticks;
	uint64_t mono_ns; /* CLOCK_MONOTONIC at their sum, or 0 */
	uint32_t thread;  /* that the first record belongs to */
	bool full;	  /* another block follows */
};

/* One ring after the other, as one thread reads them. */
struct drain_ring {
	struct drain *drain;
	const struct attach *attach;
	const struct pyprof_ring *ring;
	uint64_t *copy;		  /* of one block's records */
	uint64_t folded;	  /* blocks up to this one are in the table */
	uint64_t first_block;	  /* where the chain began ... */
	uint64_t folded_at_start; /* ... and what was folded then */
	uint64_t sequence;	  /* of the block read last; the next one has the next number */
	uint64_t next;
	uint64_t until; /* the last block to be read, if it is there */
	uint64_t n_visited,
		n_counted; /* blocks of the chain; and how many drain.n_blocks has of them */
	uint32_t n_walks, n_again;
	uint64_t table_bytes; /* how many drain.table_bytes has of this ring */
	uint64_t n_bad;
	bool torn;
	/* Of a live ring: copies of the first blocks behind the table. */
	struct drain_batch *saved;
	uint64_t *records;
	size_t n_saved, next_saved, cap_saved;
	size_t most_saved; /* how many the next start copies */
};

/* Finds the rings. 0 or -ENOMEM. */
int drain_init(struct drain *d, const struct attach *a);
void drain_fini(struct drain *d);

/* Before the rings are read once more. */
void drain_rewind(struct drain *d);

/* 0 or -ENOMEM. What was opened is to be closed. */
int drain_ring_init(struct drain_ring *r, struct drain *d);
void drain_ring_fini(struct drain_ring *r);

/*
 * Goes to the first block of a ring, 0 <= i < d->n_rings, that is not in its fold table; `table` is
 * the table's offset, 0 where there is none. r->folded is the number of the last block in it. 0 or
 * -ENOMEM.
 */
int drain_ring_start(struct drain_ring *r, size_t i, uint64_t *table);

/* Once more, after DRAIN_OVERTAKEN. */
int drain_ring_restart(struct drain_ring *r, uint64_t *table);

/*
 * The table has turned out to be of block `folded`. False: what lies behind that has been
 * overtaken.
 */
bool drain_ring_skip(struct drain_ring *r, uint64_t folded);

/*
 * The last block, behind those in the table, that is known to be full and was copied; or r->folded.
 */
uint64_t drain_ring_saved(const struct drain_ring *r);

enum drain_result {
	DRAIN_BATCH,
	DRAIN_END,
	DRAIN_OVERTAKEN, /* the target has folded what was to be read */
};

/* Whether so many bytes of tables are this ring's, beside those of others. */
bool drain_count_table(struct drain_ring *r, uint64_t bytes);

/* The next block of the ring. The batch is good until the next call. */
enum drain_result drain_next(struct drain_ring *r, struct drain_batch *batch);

/*
 * The last block of a ring that is not in its fold table, alone; i and `table` as in
 * drain_ring_start. DRAIN_END: there is none. Where the ring is to be read as well, before
 * drain_ring_start or behind the last drain_next.
 */
enum drain_result drain_ring_last(struct drain_ring *r, size_t i, uint64_t *table,
				  struct drain_batch *batch);

/*
 * What is folded by now: of what was read before, and belongs to a later block, nothing was
 * changed.
 */
uint64_t drain_folded_by_now(const struct pyprof_ring *ring);

/* Whether nothing has been folded, and no block taken out, since drain_ring_start. */
bool drain_is_current(const struct drain_ring *r);

/* Adds a ring's losses to those of the recording. */
void drain_count_losses(struct drain *d, const struct drain_ring *r);

#endif
