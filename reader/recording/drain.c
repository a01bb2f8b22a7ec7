/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "drain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/progress.h"
#include "extents.h"
#include "pyprof/order.h"

#define MAX_WALKS 1000
#define MAX_RACES 2
#define NAP_NS 1000000
#define MAX_STILL 20 /* naps in which the target folds no block */
#define FIRST_SAVED 8
#define MOST_SAVED_BYTES (64u << 20)

static int add_ring(struct drain *d, uint64_t offset)
{
	uint64_t *more = d->offset;

	if (!(d->n_rings & (d->n_rings - 1))) { /* a power of two: full */
		more = realloc(d->offset, (d->n_rings ? d->n_rings * 2 : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
	}
	d->offset = more;
	d->offset[d->n_rings++] = offset;
	return 0;
}

static void add_losses(struct drain *d, const uint64_t *n_lost)
{
	for (int i = 0; i < PYPROF_LOST_CAUSES; i++)
		d->n_lost[i] += pyprof_get(&n_lost[i]);
}

static int read_rings(struct drain *d)
{
	const struct attach *a = d->attach;
	const struct pyprof_header *h = (const void *)a->base;
	uint64_t used, left = attach_real_bytes(a) / sizeof(struct pyprof_ring);
	const struct pyprof_extent *x;
	struct extents e;

	extents_begin(&e, a->base, PYPROF_EXTENT_RINGS, &h->rings);
	while ((x = extents_next(&e, attach_bytes(a), &used))) {
		uint64_t offset = (uint64_t)((const uint8_t *)x - a->base);

		for (uint64_t at = sizeof(*x); at + sizeof(struct pyprof_ring) <= used;
		     at += sizeof(struct pyprof_ring)) {
			int err = left ? add_ring(d, offset + at) : 0;

			if (err)
				return err;
			if (!left--) {
				d->n_bad++;
				return 0;
			}
		}
	}
	d->n_bad += e.bad;
	return 0;
}

/* Each block has a header that is not a hole, so the data in the file limits their number. */
static uint64_t most_blocks(const struct attach *a)
{
	uint64_t unit = a->header.block_bytes;

	if (unit > PYPROF_EXTENT_ALIGN)
		unit = PYPROF_EXTENT_ALIGN;
	if (attach_real_bytes(a) / unit < attach_bytes(a) / a->header.block_bytes)
		return attach_real_bytes(a) / unit;
	return attach_bytes(a) / a->header.block_bytes;
}

void drain_rewind(struct drain *d)
{
	d->n_blocks = 0;
	d->table_bytes = 0;
	d->most_blocks = most_blocks(d->attach);
}

/* Counts a block. False if the rings have more than the file can hold. Called by all threads. */
static bool count_block(struct drain *d)
{
	uint64_t n = __atomic_add_fetch(&d->n_blocks, 1, __ATOMIC_RELAXED);
	uint64_t most = __atomic_load_n(&d->most_blocks, __ATOMIC_RELAXED);

	/* A live file may have grown, and a block may be seen a second time with another number. */
	if (n > most && d->attach->live) {
		most = 2 * most_blocks(d->attach) + MAX_WALKS;
		__atomic_store_n(&d->most_blocks, most, __ATOMIC_RELAXED);
	}
	return n <= most;
}

int drain_init(struct drain *d, const struct attach *a)
{
	const struct pyprof_header *h = (const void *)a->base;
	int err;

	memset(d, 0, sizeof(*d));
	d->attach = a;
	err = read_rings(d);
	if (err) {
		drain_fini(d);
		return err;
	}
	add_losses(d, h->n_lost);
	drain_rewind(d);
	return 0;
}

void drain_fini(struct drain *d)
{
	free(d->offset);
	memset(d, 0, sizeof(*d));
}

int drain_ring_init(struct drain_ring *r, struct drain *d)
{
	memset(r, 0, sizeof(*r));
	r->drain = d;
	r->attach = d->attach;
	r->copy = malloc(d->attach->header.block_bytes);
	return r->copy ? 0 : -ENOMEM;
}

void drain_ring_fini(struct drain_ring *r)
{
	free(r->copy);
	free(r->saved);
	free(r->records);
	memset(r, 0, sizeof(*r));
}

uint64_t drain_folded_by_now(const struct pyprof_ring *ring)
{
	pyprof_fence_after_use(); /* C11 */
	return pyprof_get(&ring->folded);
}

bool drain_is_current(const struct drain_ring *r)
{
	return drain_folded_by_now(r->ring) == r->folded_at_start &&
	       pyprof_get(&r->ring->first_block) == r->first_block;
}

void drain_count_losses(struct drain *d, const struct drain_ring *r)
{
	add_losses(d, r->ring->n_lost);
	d->n_bad += r->n_bad;
	d->torn |= r->torn;
}

/* --- the chain -------------------------------------------------------------------------------- */

/* Returns the block at an offset, or NULL. The other fields are read with one load each. */
static const struct pyprof_block *block_at(const struct drain_ring *r, uint64_t offset)
{
	const struct pyprof_block *b = attach_at(r->attach, offset, r->attach->header.block_bytes);

	return b && b->kind == PYPROF_EXTENT_BLOCK ? b : NULL;
}

static void go_to_first(struct drain_ring *r)
{
	r->folded_at_start = pyprof_get(&r->ring->folded);
	r->first_block = pyprof_observe(&r->ring->first_block); /* C3 */
	r->next = r->first_block;
	r->folded = r->folded_at_start;
	r->sequence = r->folded_at_start;
	r->n_visited = 0;
}

/*
 * Counts an invalid block, unless the target has changed the ring meanwhile. In a file that no
 * process writes, it means that the file is damaged, or that it was copied while it was written.
 */
static enum drain_result bad_unless_overtaken(struct drain_ring *r, enum drain_result result)
{
	if (!drain_is_current(r))
		return DRAIN_OVERTAKEN;
	r->n_bad++;
	return result;
}

/* False if the list must end here: it is a circle, or its blocks are those of other rings. */
static bool count_visit(struct drain_ring *r)
{
	if (++r->n_visited <= r->n_counted)
		return true;
	r->n_counted = r->n_visited;
	return count_block(r->drain);
}

/*
 * Finds the next block that is not folded. Folded blocks that are still in the ring may be taken
 * out and used again at any time, so the walk past them is checked.
 */
static enum drain_result next_block(struct drain_ring *r, const struct pyprof_block **block)
{
	uint64_t expected = r->sequence + 1;
	bool skipped = false;

	for (; r->next && r->sequence < r->until; skipped = true) {
		const struct pyprof_block *b = block_at(r, r->next);
		uint64_t sequence;

		if (!b || !count_visit(r)) {
			r->next = 0;
			return bad_unless_overtaken(r, DRAIN_END);
		}
		sequence = pyprof_get(&b->sequence);
		/* The link is read before the records: a block that has a successor is full. */
		r->next = pyprof_observe(&b->next); /* C2 */
		if (sequence > r->folded) {
			*block = b;
			r->sequence = sequence;
			return sequence == expected ? DRAIN_BATCH
						    : bad_unless_overtaken(r, DRAIN_BATCH);
		}
	}
	return !skipped || drain_is_current(r) ? DRAIN_END : DRAIN_OVERTAKEN;
}

/*
 * Finds the last block at present. Later blocks are left to later readers. If the target is always
 * faster, the limit is the number of blocks that the file had room for.
 */
static void find_last(struct drain_ring *r)
{
	uint64_t most = most_blocks(r->attach), n = 0;
	enum drain_result result = DRAIN_END;
	const struct pyprof_block *b;

	r->until = UINT64_MAX;
	do {
		go_to_first(r);
		for (n = 0; n < most && (result = next_block(r, &b)) == DRAIN_BATCH;)
			n++;
	} while (n < most && result == DRAIN_OVERTAKEN && ++r->n_walks < MAX_WALKS);
	r->until = result == DRAIN_OVERTAKEN ? r->folded_at_start + most : r->sequence;
}

/* --- records ---------------------------------------------------------------------------------- */

static size_t records_of_block(const struct drain_ring *r)
{
	return (r->attach->header.block_bytes - sizeof(struct pyprof_block)) / sizeof(uint64_t);
}

/* Copies the records of a block that is not folded. False: the target has folded it meanwhile. */
static bool copy_block(const struct drain_ring *r, const struct pyprof_block *b, uint64_t *copy,
		       struct drain_batch *batch)
{
	size_t cap = records_of_block(r), n = 0;

	while (n < cap && (copy[n] = pyprof_take(&b->record[n])))
		n++;
	*batch = (struct drain_batch){ .record = copy,
				       .n = n,
				       .sequence = r->sequence,
				       .base_ticks = pyprof_get(&b->base_ticks),
				       .skipped_ticks = pyprof_get(&b->skipped_ticks),
				       .mono_ns = pyprof_get(&b->mono_ns),
				       .thread = b->thread,
				       .full = n == cap && r->next };
	/* If it has been folded, its memory may already serve another block. */
	return drain_folded_by_now(r->ring) < r->sequence;
}

/* True if a block was begun after the header was copied, or has a successor but is not full. */
static bool is_torn(const struct drain_ring *r, const struct pyprof_block *b,
		    const struct drain_batch *batch)
{
	const struct pyprof_header *h = (const void *)r->attach->base;

	return pyprof_get(&b->number) > pyprof_get(&h->n_blocks) || (r->next && !batch->full);
}

/* --- copies ----------------------------------------------------------------------------------- */

/* Makes room for copy number `n`. 0 or -ENOMEM. */
static int reserve_saved(struct drain_ring *r, size_t n)
{
	size_t more = r->cap_saved ? r->cap_saved * 2 : FIRST_SAVED;
	size_t n_records = records_of_block(r);
	struct drain_batch *saved;
	uint64_t *records;

	if (n < r->cap_saved)
		return 0;
	saved = reallocarray(r->saved, more, sizeof(*saved));
	r->saved = saved ? saved : r->saved;
	records = reallocarray(r->records, more, n_records * sizeof(*records));
	r->records = records ? records : r->records;
	if (!saved || !records)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		saved[i].record = records + i * n_records;
	r->cap_saved = more;
	return 0;
}

/*
 * Copies up to most_saved blocks, from the first one. DRAIN_END: these, or all blocks of the ring,
 * are copied. DRAIN_OVERTAKEN: the target was faster. Or -ENOMEM.
 */
static int save_blocks(struct drain_ring *r)
{
	enum drain_result result = DRAIN_BATCH;
	const struct pyprof_block *b;

	r->n_saved = 0;
	r->next_saved = 0;
	while (r->n_saved < r->most_saved && (result = next_block(r, &b)) == DRAIN_BATCH) {
		int err = reserve_saved(r, r->n_saved);

		if (err)
			return err;
		if (!copy_block(r, b, r->records + r->n_saved * records_of_block(r),
				&r->saved[r->n_saved]))
			return DRAIN_OVERTAKEN;
		r->n_saved++;
	}
	return result == DRAIN_OVERTAKEN ? DRAIN_OVERTAKEN : DRAIN_END;
}

/*
 * Copies the first blocks. If the target was faster, tries again, because fewer are left then.
 * Includes blocks after `until`: a table that was read while it changed is completed with them.
 */
static int save_first_blocks(struct drain_ring *r)
{
	uint64_t until = r->until;
	int result = DRAIN_OVERTAKEN;

	r->until = UINT64_MAX;
	for (int tries = 0; tries < MAX_WALKS && result == DRAIN_OVERTAKEN; tries++) {
		go_to_first(r);
		result = save_blocks(r);
	}
	r->until = until;
	if (result == DRAIN_OVERTAKEN)
		r->n_saved = 0;
	return result == -ENOMEM ? -ENOMEM : 0;
}

uint64_t drain_ring_saved(const struct drain_ring *r)
{
	size_t n = r->n_saved;

	while (n && !r->saved[n - 1].full)
		n--;
	return n && r->saved[n - 1].sequence > r->folded ? r->saved[n - 1].sequence : r->folded;
}

bool drain_ring_skip(struct drain_ring *r, uint64_t folded)
{
	if (r->until < folded)
		r->until = folded;
	r->folded = folded;
	while (r->next_saved < r->n_saved && r->saved[r->next_saved].sequence <= folded)
		r->next_saved++;
	if (r->sequence >= folded)
		return true;
	r->sequence = folded;
	r->next = 0;
	return r->sequence >= r->until;
}

/* --- rings ------------------------------------------------------------------------------------ */

/* Returns the offset of the fold table, or 0. Precondition: go_to_first has been called. */
static uint64_t table_of(const struct drain_ring *r)
{
	return r->folded_at_start ? pyprof_observe(&r->ring->fold) : 0; /* C10 */
}

static int start_ring(struct drain_ring *r, uint64_t *table)
{
	int err = 0;

	if (r->most_saved)
		err = save_first_blocks(r);
	else
		go_to_first(r);
	*table = table_of(r);
	return err;
}

static void choose_ring(struct drain_ring *r, size_t i)
{
	r->ring = attach_at(r->attach, r->drain->offset[i], sizeof(*r->ring));
	r->n_bad = 0;
	r->torn = false;
	r->n_counted = 0;
	r->table_bytes = 0;
	r->n_saved = 0;
	r->next_saved = 0;
	r->most_saved = 0;
	r->n_walks = 0;
	r->n_again = 0;
	r->until = UINT64_MAX;
}

int drain_ring_start(struct drain_ring *r, size_t i, uint64_t *table)
{
	choose_ring(r, i);
	if (r->attach->live) {
		find_last(r);
		r->n_bad = 0; /* an invalid block that is still there is counted again */
		r->most_saved = r->folded_at_start ? FIRST_SAVED : 0;
	}
	return start_ring(r, table);
}

/* Walks to the last block and copies it. DRAIN_OVERTAKEN: the target was faster. */
static enum drain_result copy_last(struct drain_ring *r, struct drain_batch *batch)
{
	const struct pyprof_block *b, *last = NULL;
	enum drain_result result;

	go_to_first(r);
	while ((result = next_block(r, &b)) == DRAIN_BATCH)
		last = b;
	if (result == DRAIN_OVERTAKEN || !last)
		return result;
	return copy_block(r, last, r->copy, batch) ? DRAIN_BATCH : DRAIN_OVERTAKEN;
}

enum drain_result drain_ring_last(struct drain_ring *r, size_t i, uint64_t *table,
				  struct drain_batch *batch)
{
	enum drain_result result = DRAIN_OVERTAKEN;

	choose_ring(r, i);
	for (int tries = 0; tries < MAX_WALKS && result == DRAIN_OVERTAKEN; tries++)
		result = copy_last(r, batch);
	*table = table_of(r);
	return result;
}

/*
 * Waits until the target has folded all blocks up to `until`. A target that was faster several
 * times will do so soon, and the table alone is enough then. Returns early if it stops folding.
 * Naps at least once: otherwise all tries may pass while the target waits for a processor.
 */
static void wait_for_target(const struct drain_ring *r)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	uint64_t folded = pyprof_get(&r->ring->folded), now;
	int n_still = 0;

	do {
		nanosleep(&nap, NULL);
		now = pyprof_get(&r->ring->folded);
		n_still = now == folded ? n_still + 1 : 0;
		folded = now;
	} while (folded < r->until && n_still < MAX_STILL);
}

int drain_ring_restart(struct drain_ring *r, uint64_t *table)
{
	size_t most = MOST_SAVED_BYTES / r->attach->header.block_bytes;

	r->n_bad = 0;
	if (++r->n_again > MAX_RACES)
		wait_for_target(r);
	r->most_saved = r->most_saved ? r->most_saved * 4 : FIRST_SAVED;
	if (r->most_saved > most)
		r->most_saved = most ? most : 1;
	return start_ring(r, table);
}

bool drain_count_table(struct drain_ring *r, uint64_t bytes)
{
	uint64_t most = attach_real_bytes(r->attach) * (r->attach->live ? 2 : 1), sum;

	if (bytes <= r->table_bytes)
		return true;
	sum = __atomic_add_fetch(&r->drain->table_bytes, bytes - r->table_bytes, __ATOMIC_RELAXED);
	r->table_bytes = bytes;
	return bytes <= most && sum <= most;
}

enum drain_result drain_next(struct drain_ring *r, struct drain_batch *batch)
{
	const struct pyprof_block *b;
	enum drain_result result;

	if (r->next_saved < r->n_saved) {
		*batch = r->saved[r->next_saved++];
	} else {
		result = next_block(r, &b);
		if (result != DRAIN_BATCH)
			return result;
		if (!copy_block(r, b, r->copy, batch))
			return DRAIN_OVERTAKEN;
		r->torn |= !r->attach->live && is_torn(r, b, batch);
	}
	progress_add(r->attach->header.block_bytes);
	return DRAIN_BATCH;
}
