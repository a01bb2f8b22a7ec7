/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "consume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/seed.h"
#include "extents.h"
#include "pyprof/clock.h"
#include "pyprof/order.h"

#define EXTRA_BYTES (1ull << 30)

int consume_open(struct consume *c, const struct attach *a)
{
	int fd = open(a->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int err = fd < 0 ? -errno : 0;

	memset(c, 0, sizeof(*c));
	c->block_bytes = a->header.block_bytes;
	memcpy(c->overhead_weight, a->header.overhead_weight, sizeof(c->overhead_weight));
	c->max_distance = a->header.max_distance;
	c->max_idle = a->header.max_idle;
	c->self = PYPROF_CONSUMER(getpid(), owner_process_start((uint32_t)getpid()));
	/* The file grows. Bytes beyond its end are not accessed before they exist. */
	c->map_bytes = a->bytes + EXTRA_BYTES;
	if (!err) {
		void *at = mmap(NULL, c->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		if (at == MAP_FAILED)
			err = -errno;
		else
			c->base = at;
	}
	if (!err)
		attach_guard(c->base, c->map_bytes, PROT_READ | PROT_WRITE);
	else if (fd >= 0)
		close(fd);
	c->fd = fd;
	return err;
}

void consume_close(struct consume *c)
{
	for (size_t i = 0; i < c->n_rings; i++)
		pyprof_table_free(&c->ring[i]);
	free(c->ring);
	if (c->base) {
		attach_unguard(c->base);
		munmap(c->base, c->map_bytes);
		close(c->fd);
	}
	memset(c, 0, sizeof(*c));
}

/* Returns header.file_bytes, but not more than the file really has. */
static uint64_t bytes_now(struct consume *c)
{
	const struct pyprof_header *h = (const void *)c->base;
	uint64_t said = pyprof_observe(&h->file_bytes); /* C6 */
	struct stat st;

	if (said > c->bytes && fstat(c->fd, &st) == 0)
		c->bytes =
			(uint64_t)st.st_size < c->map_bytes ? (uint64_t)st.st_size : c->map_bytes;
	return said < c->bytes ? said : c->bytes;
}

static uint64_t room_at(struct consume *c, uint64_t offset)
{
	uint64_t bytes = bytes_now(c);

	return offset < bytes ? bytes - offset : 0;
}

/* Returns the address of an aligned offset, or NULL if the file does not reach that far (yet). */
static void *at(struct consume *c, uint64_t offset, uint64_t bytes)
{
	return offset % 8 == 0 && bytes <= room_at(c, offset) ? c->base + offset : NULL;
}

/* --- one ring --------------------------------------------------------------------------------- */

/* Only the target can enlarge a table in the recording. */
static bool cannot_grow(struct pyprof_fold *f)
{
	(void)f;
	return false;
}

/* Returns the first block that is not folded, and its number, or NULL if it is not full. */
static const struct pyprof_block *full_block(struct consume *c, const struct pyprof_ring *ring,
					     uint64_t *sequence)
{
	uint64_t folded = pyprof_get(&ring->folded); /* exact only while the claim is held */
	uint64_t offset = pyprof_observe(&ring->first_block); /* C3 */

	for (uint64_t left = bytes_now(c) / c->block_bytes; offset && left; left--) {
		const struct pyprof_block *b = at(c, offset, c->block_bytes);

		if (!b || b->kind != PYPROF_EXTENT_BLOCK)
			return NULL;
		*sequence = pyprof_get(&b->sequence);
		offset = pyprof_observe(&b->next); /* C2 */
		if (*sequence == folded + 1)
			return offset ? b : NULL;
		if (*sequence > folded + 1)
			return NULL; /* the ring has changed meanwhile */
	}
	return NULL;
}

/* True if `t` already works on this table, at the block that was folded last. */
static bool is_taken_over(const struct consume *c, const struct pyprof_table *t, uint64_t table)
{
	return t->table && (uint8_t *)t->table == c->base + table &&
	       t->folded == pyprof_get(&t->ring->folded);
}

/* Precondition: the claim is held. False: the target must make or enlarge the table first. */
static bool fold_claimed(struct consume *c, struct pyprof_table *t, const struct pyprof_block *b,
			 uint64_t sequence)
{
	uint64_t offset = pyprof_get(&t->ring->fold); /* the claim orders */
	struct pyprof_fold_table *table = at(c, offset, sizeof(*table));
	uint64_t n_lost, bytes;

	if (!offset || !table)
		return false;
	bytes = room_at(c, offset);
	if (!is_taken_over(c, t, offset) && !pyprof_table_take_over(t, table, bytes))
		return false;
	if (sequence != t->folded + 1)
		return true; /* another process has folded it */
	t->view.grow = cannot_grow;
	t->view.weight = c->overhead_weight;
	t->view.max_distance = c->max_distance;
	t->view.max_idle = c->max_idle;
	n_lost = t->view.s.n_lost;
	pyprof_table_fold(t, b, sequence, c->block_bytes);
	if (t->view.s.n_lost != n_lost) { /* the table is too small: undo it */
		pyprof_table_take_over(t, table, bytes);
		return false;
	}
	pyprof_table_commit(t, sequence);
	return true;
}

static bool fold_one(struct consume *c, struct pyprof_table *t)
{
	uint64_t sequence;
	const struct pyprof_block *b = full_block(c, t->ring, &sequence);
	bool done;

	if (!b || pyprof_get(&t->ring->wants_table) ||
	    !pyprof_claim(&t->ring->consumer, 0, c->self))
		return false;
	/*
	 * Before the claim was taken, the block may have been folded, and its memory may serve as
	 * another block.
	 */
	b = full_block(c, t->ring, &sequence);
	done = b && fold_claimed(c, t, b, sequence);
	if (b && !done)
		pyprof_set(&t->ring->wants_table, 1);
	pyprof_unclaim(&t->ring->consumer);
	return done;
}

/* --- all rings -------------------------------------------------------------------------------- */

static struct pyprof_table *table_for(struct consume *c, size_t i, struct pyprof_ring *ring)
{
	if (i > c->n_rings)
		return NULL; /* there was no memory for the one before */
	if (i == c->n_rings) {
		struct pyprof_table *more = realloc(c->ring, (i + 1) * sizeof(*more));

		if (!more)
			return NULL;
		c->ring = more;
		memset(&c->ring[i], 0, sizeof(c->ring[i]));
		c->ring[i].view.multiplier = seed_odd[0];
		c->n_rings++;
	}
	c->ring[i].ring = ring;
	return &c->ring[i];
}

size_t consume_round(struct consume *c)
{
	const struct pyprof_header *h = (const void *)c->base;
	const struct pyprof_extent *x;
	size_t n = 0, i = 0;
	struct extents e;
	uint64_t used;

	extents_begin(&e, c->base, PYPROF_EXTENT_RINGS, &h->rings);
	while ((x = extents_next(&e, bytes_now(c), &used))) {
		uint8_t *rings = c->base + ((const uint8_t *)x - c->base);

		for (uint64_t o = sizeof(*x); o + sizeof(struct pyprof_ring) <= used;
		     o += sizeof(struct pyprof_ring)) {
			struct pyprof_table *t = table_for(c, i++, (void *)(rings + o));

			while (t && fold_one(c, t))
				n++;
		}
	}
	return n;
}

void consume_note_end(struct consume *c)
{
	struct pyprof_header *h = (struct pyprof_header *)c->base;
	uint64_t none = 0, now;

	if (h->clock == PYPROF_CLOCK_TSC)
		now = pyprof_tsc();
	else if (h->clock == PYPROF_CLOCK_WALL)
		now = pyprof_clock_ns(CLOCK_MONOTONIC);
	else
		return; /* the target's own clocks ended with it */
	__atomic_compare_exchange_n(&h->end_ticks, &none, now, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
}
