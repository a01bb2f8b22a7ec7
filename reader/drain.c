/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "drain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	uint64_t left = d->attach->bytes / PYPROF_EXTENT_ALIGN;

	while (offset && left--) {
		const struct pyprof_extent *x =
			attach_extent(d->attach, offset, PYPROF_EXTENT_RINGS);
		uint64_t used;

		if (!x) {
			d->n_bad++;
			break;
		}
		used = attach_extent_used(x, d->attach->bytes - offset);
		for (uint64_t at = sizeof(*x); at + sizeof(struct pyprof_ring) <= used;
		     at += sizeof(struct pyprof_ring)) {
			int err = add_ring(d, offset + at);

			if (err)
				return err;
		}
		offset = pyprof_observe(&x->next); /* C5 */
		if (offset && !left)
			d->n_bad++;
	}
	return 0;
}

int drain_open(struct drain *d, const struct attach *a)
{
	const struct pyprof_header *h = (const void *)a->base;
	int err;

	memset(d, 0, sizeof(*d));
	d->attach = a;
	d->copy = malloc(a->header.block_bytes);
	err = d->copy ? read_rings(d, pyprof_observe(&h->rings)) : -ENOMEM; /* C5 */
	if (err) {
		drain_close(d);
		return err;
	}
	add_losses(d, h->n_lost);
	return 0;
}

void drain_close(struct drain *d)
{
	free(d->copy);
	free(d->offset);
	memset(d, 0, sizeof(*d));
}

void drain_ring(struct drain *d, size_t ring)
{
	const struct pyprof_ring *r = attach_at(d->attach, d->offset[ring], sizeof(*r));

	d->next = pyprof_observe(&r->first_block); /* C3 */
	d->left = d->attach->bytes / d->attach->header.block_bytes;
	add_losses(d, r->n_lost);
}

bool drain_next(struct drain *d, struct drain_batch *batch)
{
	uint32_t bytes = d->attach->header.block_bytes;
	size_t cap = (bytes - sizeof(struct pyprof_block)) / sizeof(uint64_t);
	const struct pyprof_block *b;
	size_t n = 0;

	if (!d->next)
		return false;
	b = attach_at(d->attach, d->next, bytes);
	if (!b || b->kind != PYPROF_EXTENT_BLOCK || !d->left--) {
		d->n_bad++;
		d->next = 0;
		return false;
	}
	/* First the link: a block that has a successor is full. */
	d->next = pyprof_observe(&b->next); /* C2 */
	while (n < cap && (d->copy[n] = pyprof_take(&b->record[n]))) /* C1 */
		n++;
	*batch = (struct drain_batch){ .record = d->copy,
				       .n = n,
				       .base_ticks = b->base_ticks,
				       .skipped_ticks = b->skipped_ticks,
				       .thread = b->thread };
	return true;
}
