/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings to batches of records, in the order in which a thread wrote them, with losses by cause.
 * Owns the list of rings and private copies of blocks. load and the files of this folder call it.
 * Several threads may read rings at the same time, each with a struct drain_ring of its own. It
 * must not change the recording, which may be live.
 *
 * A live ring is read up to the block that was its last at drain_ring_start. Meanwhile the target
 * may fold blocks that have not been read, and use their memory again. drain_next then returns
 * DRAIN_OVERTAKEN, and drain_ring_restart continues after a newer fold table. It first copies the
 * blocks that follow the table, more of them each time, so that reading ends even if the target
 * folds faster than the reader reads. It ends at the latest when the target has folded that last
 * block.
 */
#ifndef READER_DRAIN_H
#define READER_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach.h"

/* The rings of a recording, and the losses of those that were read. */
struct drain {
	const struct attach *attach;
	uint64_t *offset; /* offset of each ring's descriptor */
	size_t n_rings;
	uint64_t n_lost[PYPROF_LOST_CAUSES]; /* events */
	uint64_t n_bad; /* invalid or missing blocks and rings; their records are lost */
	bool torn;	/* parts of the file are of different times */
	/* A block belongs to one ring, so all lists together have no more than the file holds. */
	uint64_t n_blocks, most_blocks;
	uint64_t table_bytes; /* total of the entries in all fold tables; bounded likewise */
};

struct drain_batch {
	const uint64_t *record;
	size_t n;
	uint64_t sequence;
	uint64_t base_ticks;
	uint64_t skipped_ticks;
	uint64_t mono_ns; /* CLOCK_MONOTONIC at base_ticks + skipped_ticks, or 0 */
	uint32_t thread;  /* of the first record */
	bool full;	  /* it is full, and another block follows */
};

/* Reads one ring after the other. Belongs to one thread. */
struct drain_ring {
	struct drain *drain;
	const struct attach *attach;
	const struct pyprof_ring *ring;
	uint64_t *copy;		   /* records of one block */
	uint64_t folded;	   /* number of the last block in the table that was taken */
	uint64_t first_block;	   /* ring.first_block when the walk of the list began ... */
	uint64_t folded_at_start;  /* ... and ring.folded at that time */
	uint64_t sequence;	   /* number of the block read last */
	uint64_t next;		   /* offset of the next block; 0: the list ends */
	uint64_t until;		   /* number of the last block to read, if it exists */
	uint64_t n_visited;	   /* blocks of this walk ... */
	uint64_t n_counted;	   /* ... and those of the ring that drain.n_blocks contains */
	uint32_t n_walks, n_again; /* walks to find the last block; restarts */
	uint64_t table_bytes;	   /* part of drain.table_bytes that belongs to this ring */
	uint64_t n_bad;
	bool torn;
	/* Copies of the first blocks after the table. Only for a live ring. */
	struct drain_batch *saved;
	uint64_t *records;
	size_t n_saved, next_saved, cap_saved;
	size_t most_saved; /* blocks that the next start copies */
};

/* Finds the rings. 0 or -ENOMEM. `a` must outlive `d`. */
int drain_init(struct drain *d, const struct attach *a);
void drain_fini(struct drain *d);

/* Resets the counts that bound the work. Call it before reading the rings another time. */
void drain_rewind(struct drain *d);

/* 0 or -ENOMEM. drain_ring_fini may be called after both. */
int drain_ring_init(struct drain_ring *r, struct drain *d);
void drain_ring_fini(struct drain_ring *r);

/*
 * Goes to the first block of ring `i` that is not in its fold table; 0 <= i < d->n_rings. *table is
 * the offset of the table, or 0 if nothing is folded. r->folded is the number of the last block in
 * it. 0 or -ENOMEM.
 */
int drain_ring_start(struct drain_ring *r, size_t i, uint64_t *table);

/* Does the same another time, after DRAIN_OVERTAKEN. May sleep while the target folds. */
int drain_ring_restart(struct drain_ring *r, uint64_t *table);

/*
 * Skips the blocks up to number `folded`, because the table contains them. False: the blocks that
 * follow have been overtaken.
 */
bool drain_ring_skip(struct drain_ring *r, uint64_t folded);

/*
 * Returns the number of the last full block that was copied and follows the table, or r->folded if
 * there is no such block.
 */
uint64_t drain_ring_saved(const struct drain_ring *r);

enum drain_result {
	DRAIN_BATCH,
	DRAIN_END,
	DRAIN_OVERTAKEN, /* the target has folded blocks that were not read yet */
};

/*
 * Counts `bytes` of entries in the fold table of this ring. False if all tables together would
 * hold more than the file has data, or twice that for a live recording.
 */
bool drain_count_table(struct drain_ring *r, uint64_t bytes);

/* Reads the next block of the ring. The batch is valid until the next call. */
enum drain_result drain_next(struct drain_ring *r, struct drain_batch *batch);

/*
 * Reads only the last block of ring `i` that is not in its fold table. `i` and `table` are as in
 * drain_ring_start. DRAIN_END: the ring has no such block. To read the ring too, call it before
 * drain_ring_start or after the last drain_next.
 */
enum drain_result drain_ring_last(struct drain_ring *r, size_t i, uint64_t *table,
				  struct drain_batch *batch);

/*
 * Returns ring.folded, read after all preceding reads. Blocks with a higher number had not been
 * used again when those reads took place.
 */
uint64_t drain_folded_by_now(const struct pyprof_ring *ring);

/* True if no block was folded or taken out of the ring since the walk of its list began. */
bool drain_is_current(const struct drain_ring *r);

/* Adds a ring's losses to those of the recording. */
void drain_count_losses(struct drain *d, const struct drain_ring *r);

#endif
