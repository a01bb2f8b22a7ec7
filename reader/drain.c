/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "drain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "pyprof/ring.h"

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

static int read_rings(struct drain *d, uint64_t offset)
{
	/* No more than the file has room for: a chain that goes round ends. */
	uint64_t sum = 0;

	while (offset) {
		uint64_t bytes, used;
		const struct pyprof_extent *x =
			attach_extent(d->attach, offset, PYPROF_EXTENT_RINGS, &bytes);

		if (!x || sum + bytes > attach_bytes(d->attach)) {
			d->n_bad++;
			break;
		}
		sum += bytes;
		used = attach_extent_used(x, bytes);
		for (uint64_t at = sizeof(*x); at + sizeof(struct pyprof_ring) <= used;
		     at += sizeof(struct pyprof_ring)) {
			int err = add_ring(d, offset + at);

			if (err)
				return err;
		}
		offset = pyprof_observe(&x->next); /* C5 */
	}
	return 0;
}

int drain_open(struct drain *d, const struct attach *a)
{
	const struct pyprof_header *h = (const void *)a->base;
	int err;

	memset(d, 0, sizeof(*d));
	d->attach = a;
	err = read_rings(d, pyprof_observe(&h->rings)); /* C5 */
	if (err) {
		drain_close(d);
		return err;
	}
	add_losses(d, h->n_lost);
	return 0;
}

void drain_close(struct drain *d)
{
	free(d->offset);
	memset(d, 0, sizeof(*d));
}

int drain_ring_open(struct drain_ring *r, const struct drain *d)
{
	memset(r, 0, sizeof(*r));
	r->attach = d->attach;
	r->copy = malloc(d->attach->header.block_bytes);
	return r->copy ? 0 : -ENOMEM;
}

void drain_ring_close(struct drain_ring *r)
{
	free(r->copy);
	memset(r, 0, sizeof(*r));
}

void drain_ring_start(struct drain_ring *r, const struct drain *d, size_t i, uint64_t *table,
		      uint64_t *folded)
{
	r->ring = attach_at(d->attach, d->offset[i], sizeof(*r->ring));
	r->folded = pyprof_observe(&r->ring->folded);	  /* C9 */
	r->first = pyprof_observe(&r->ring->first_block); /* C3 */
	r->next = r->first;
	r->left = attach_bytes(d->attach) / d->attach->header.block_bytes;
	r->sequence = r->folded;
	r->n_bad = 0;
	*folded = r->folded;
	r->table = r->folded ? pyprof_observe(&r->ring->fold) : 0; /* C10 */
	*table = r->table;
}

bool drain_is_current(const struct drain_ring *r)
{
	pyprof_fence_after_use(); /* C11 */
	return pyprof_get(&r->ring->folded) == r->folded &&
	       pyprof_get(&r->ring->first_block) == r->first &&
	       /* An outgrown table serves as something else. */
	       (!r->table || pyprof_get(&r->ring->fold) == r->table);
}

void drain_count_losses(struct drain *d, const struct drain_ring *r)
{
	add_losses(d, r->ring->n_lost);
	d->n_bad += r->n_bad;
}

/* The block at an offset, or NULL. */
static const struct pyprof_block *block_at(struct drain_ring *r, uint64_t offset)
{
	const struct pyprof_block *b = attach_at(r->attach, offset, r->attach->header.block_bytes);

	if (!b || b->kind != PYPROF_EXTENT_BLOCK || !r->left)
		return NULL; /* the rest of the block is looked at word by word, each once */
	r->left--;
	return b;
}

/* What made no sense counts only if nothing has moved meanwhile. */
static enum drain_result odd(struct drain_ring *r, enum drain_result result)
{
	if (!drain_is_current(r))
		return DRAIN_OVERTAKEN;
	r->n_bad++;
	return result;
}

/*
 * Goes on to the first block that is not folded. A folded one that has not been taken out of the ring
 * yet may be at any instant, and serve anew.
 */
static enum drain_result next_block(struct drain_ring *r, const struct pyprof_block **block)
{
	uint64_t expected = r->sequence + 1;
	bool skipped = false;

	for (; r->next; skipped = true) {
		const struct pyprof_block *b = block_at(r, r->next);
		uint64_t sequence;

		if (!b) {
			r->next = 0;
			return odd(r, DRAIN_END);
		}
		sequence = pyprof_get(&b->sequence);
		/* First the link: a block that has a successor is full. */
		r->next = pyprof_observe(&b->next); /* C2 */
		if (sequence > r->folded) {
			*block = b;
			r->sequence = sequence;
			return sequence == expected ? DRAIN_BATCH : odd(r, DRAIN_BATCH);
		}
	}
	return !skipped || drain_is_current(r) ? DRAIN_END : DRAIN_OVERTAKEN;
}

enum drain_result drain_next(struct drain_ring *r, struct drain_batch *batch)
{
	uint32_t bytes = r->attach->header.block_bytes;
	size_t cap = (bytes - sizeof(struct pyprof_block)) / sizeof(uint64_t);
	const struct pyprof_block *b;
	enum drain_result result = next_block(r, &b);
	size_t n = 0;

	if (result != DRAIN_BATCH)
		return result;
	progress_add(bytes);
	while (n < cap && (r->copy[n] = pyprof_take(&b->record[n])))
		n++;
	*batch = (struct drain_batch){ .record = r->copy,
				       .n = n,
				       .base_ticks = pyprof_get(&b->base_ticks),
				       .skipped_ticks = pyprof_get(&b->skipped_ticks),
				       .mono_ns = pyprof_get(&b->mono_ns),
				       .thread = b->thread };
	/* Had it been folded, its memory might serve another block by now. */
	pyprof_fence_after_use(); /* C11 */
	return pyprof_get(&r->ring->folded) >= r->sequence ? DRAIN_OVERTAKEN : DRAIN_BATCH;
}
