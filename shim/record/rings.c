/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rings.h"

#include <stdlib.h>
#include <string.h>

#include "fold.h"
#include "pyprof/order.h"
#include "recording.h"
#include "region.h"

#define MAX_RING_EXTENTS (1u << 16)

enum { RING_TAKEN, RING_FREE };

static CDS_LIST_HEAD(registry);
/*
 * The first ring of a process. Allocating it would copy about five pages of the heap in each forked
 * child.
 */
static struct thread_ring first_ring;
static bool first_ring_taken;
static struct pyprof_extent *last_rings; /* the extent that new rings go to ... */
static uint64_t last_rings_used;	 /* ... and how much of it is given out */

static struct pyprof_ring *new_shared_ring(void)
{
	struct pyprof_extent *x = last_rings;
	struct pyprof_ring *ring;

	if (!x || PYPROF_EXTENT_ALIGN - last_rings_used < sizeof(*ring)) {
		uint64_t offset = region_alloc(PYPROF_EXTENT_ALIGN);

		if (!offset)
			return NULL;
		x = region_at(offset);
		x->kind = PYPROF_EXTENT_RINGS;
		x->bytes = PYPROF_EXTENT_ALIGN;
		x->used = sizeof(*x);
		pyprof_publish(last_rings ? &last_rings->next : &region.header->rings,
			       offset); /* P5 */
		last_rings = x;
		last_rings_used = sizeof(*x);
	}
	ring = (struct pyprof_ring *)((char *)x + last_rings_used);
	last_rings_used += sizeof(*ring);
	pyprof_publish(&x->used, last_rings_used); /* P4 */
	return ring;
}

static bool try_take(struct thread_ring *ring)
{
	int is = RING_FREE;

	return __atomic_compare_exchange_n(&ring->state, &is, RING_TAKEN, false,
					   __ATOMIC_ACQUIRE, /* X2 */
					   __ATOMIC_RELAXED);
}

static struct thread_ring *room_for_ring(void)
{
	if (first_ring_taken)
		return calloc(1, sizeof(first_ring));
	first_ring_taken = true;
	memset(&first_ring, 0, sizeof(first_ring));
	return &first_ring;
}

static void give_ring_back(struct thread_ring *ring)
{
	if (ring == &first_ring)
		first_ring_taken = false;
	else
		free(ring);
}

static struct thread_ring *new_ring(struct pyprof_ring *shared)
{
	struct thread_ring *ring = room_for_ring();

	if (!ring)
		return NULL;
	ring->shared = shared ? shared : new_shared_ring();
	if (!ring->shared) {
		give_ring_back(ring);
		return NULL;
	}
	ring->table.ring = ring->shared;
	return ring;
}

struct thread_ring *rings_take(void)
{
	struct thread_ring *ring;

	cds_list_for_each_entry_rcu(ring, &registry, node) {
		if (try_take(ring))
			return ring;
	}
	ring = new_ring(NULL);
	if (ring)
		cds_list_add_rcu(&ring->node, &registry);
	return ring;
}

void rings_leave(struct thread_ring *ring)
{
	__atomic_store_n(&ring->state, RING_FREE, __ATOMIC_RELEASE); /* X2 */
}

struct thread_ring *rings_next_taken(struct thread_ring *ring)
{
	struct cds_list_head *node = ring ? &ring->node : &registry;

	while ((node = rcu_dereference(node->next)) != &registry) {
		ring = cds_list_entry(node, struct thread_ring, node);
		if (__atomic_load_n(&ring->state, __ATOMIC_RELAXED) == RING_TAKEN)
			return ring;
	}
	return NULL;
}

void rings_reset(void)
{
	CDS_INIT_LIST_HEAD(&registry);
	first_ring_taken = false;
	last_rings = NULL;
}

/* --- the rings of another process ------------------------------------------------------------- */

/*
 * Finds the end of the records. Returns the clock there; the time of slow paths since the block
 * began is unknown.
 */
static uint64_t find_end(struct thread_self *left)
{
	uint64_t ticks = 0, r;

	while (left->next < left->end && (r = *left->next)) {
		if (pyprof_record_kind(r) == PYPROF_SYNC && !pyprof_record_fn(r)) {
			left->base += pyprof_record_ticks(r) << PYPROF_SYNC_SHIFT;
			ticks = 0;
		} else if (pyprof_record_kind(r) != PYPROF_SYNC) {
			ticks = pyprof_record_ticks(r);
		}
		left->next++;
	}
	left->stop = left->next;
	return left->base + ticks;
}

/* Follows the chain to its last block. False: it leaves the file, or is a circle. */
static bool find_last_block(struct thread_ring *ring)
{
	uint64_t offset = ring->shared->first_block, sequence = 0;
	struct thread_self *left = &ring->left;
	struct pyprof_block *b;

	for (; offset; offset = b->next) {
		b = region_check(offset, REGION_BLOCK_BYTES);
		if (!b || b->kind != PYPROF_EXTENT_BLOCK ||
		    (sequence && b->sequence != sequence + 1))
			return false;
		left->block = b;
		sequence = b->sequence;
		ring->n_blocks++;
	}
	left->sequence = sequence ? sequence : pyprof_get(&ring->shared->folded);
	b = left->block;
	if (!b)
		return true;
	left->next = b->record;
	left->end = (uint64_t *)((char *)b + REGION_BLOCK_BYTES);
	left->base = b->base_ticks + b->skipped_ticks;
	left->skipped_ticks = b->skipped_ticks;
	ring->last = find_end(left);
	return true;
}

static bool adopt_ring(struct pyprof_ring *shared)
{
	struct thread_ring *ring = new_ring(shared);

	if (!ring)
		return false;
	if (!find_last_block(ring)) {
		give_ring_back(ring);
		return false;
	}
	pyprof_set(&shared->ended_ticks, ring->last ? ring->last : 1);
	ring->state = RING_FREE;
	recording.n_blocks += ring->n_blocks;
	recording.table_bytes += fold_table_bytes(&ring->table);
	cds_list_add_rcu(&ring->node, &registry);
	return true;
}

static bool adopt_extent(struct pyprof_extent *x)
{
	uint64_t used = x->used;

	if (x->kind != PYPROF_EXTENT_RINGS || used > PYPROF_EXTENT_ALIGN || used < sizeof(*x) ||
	    !region_check(region_offset(x), PYPROF_EXTENT_ALIGN))
		return false;
	last_rings = x;
	last_rings_used = sizeof(*x);
	while (last_rings_used + sizeof(struct pyprof_ring) <= used) {
		if (!adopt_ring((struct pyprof_ring *)((char *)x + last_rings_used)))
			return false;
		last_rings_used += sizeof(struct pyprof_ring);
	}
	return true;
}

bool rings_adopt(void)
{
	uint64_t offset = region.header->rings;

	for (uint32_t i = 0; offset; i++) {
		struct pyprof_extent *x = region_check(offset, sizeof(*x));

		if (!x || i == MAX_RING_EXTENTS || !adopt_extent(x))
			return false;
		offset = x->next;
	}
	return true;
}
