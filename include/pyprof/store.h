/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ring's tree in the recording, changed in place: by the target, or by a reader that has claimed
 * the ring (ring.consumer). Only the holder of the claim writes it. The claim of a dead process is
 * taken over, and its half-done fold is undone. One thread at a time, with or without the GIL.
 * pyprof_store_resize allocates; the rest may run in a signal handler.
 *
 * A fold of a block is one transaction. It changes the nodes and logs what they were before; the
 * commit is one store of ring.folded. A fold that finds no room is undone, and can be tried again
 * in a larger store. A store that is taken over is checked, because another process wrote it.
 */
#ifndef PYPROF_STORE_H
#define PYPROF_STORE_H

#include <stdlib.h>

#include "tree.h"

/*
 * The head of a store. Behind it lie, in this order:
 *
 *	struct pyprof_node node[cap_nodes];
 *	struct pyprof_node_before log[cap_log];
 *	uint32_t bucket[n_buckets];
 */
struct pyprof_store_head {
	struct pyprof_extent extent;		/* constant: kind STORE; `used` and `next` are 0 */
	uint32_t cap_nodes, cap_log, n_buckets; /* constant */
	uint32_t reserved[11];
	uint64_t multiplier; /* constant; odd: the hash of the buckets */
	/* By parity of the block's number: the state of ring.folded's is valid. */
	struct pyprof_tree_state state[2];
};

_Static_assert(sizeof(struct pyprof_store_head) == 128 + 2 * sizeof(struct pyprof_tree_state),
	       "format");
_Static_assert(sizeof(struct pyprof_store_head) % 64 == 0, "nodes are cache lines");

struct pyprof_store {
	struct pyprof_tree tree; /* a view of the nodes, of which it owns only last_record */
	struct pyprof_ring *ring;
	struct pyprof_store_head *head; /* the store at ring.fold, as mapped here */
	uint64_t folded;		/* the number of the last block in the tree */
	uint32_t cap_log;
	uint64_t stuck; /* a claim holder for which waiting was in vain: no more waits */
};

/* --- layout ----------------------------------------------------------------------------------- */

#define PYPROF_STORE_MIN_NODES 16u
#define PYPROF_STORE_MAX_NODES (1u << 28)

struct pyprof_store_layout {
	struct pyprof_node *node;
	struct pyprof_node_before *log;
	uint32_t *bucket;
	uint32_t cap_nodes, cap_log, n_buckets;
	uint64_t bytes; /* of all, the head included */
};

/* The layout of a store at `head` (NULL: only the size) that has these capacities. */
static inline struct pyprof_store_layout pyprof_store_layout(struct pyprof_store_head *head,
							     uint32_t nodes, uint32_t log,
							     uint32_t buckets)
{
	struct pyprof_store_layout l = { .cap_nodes = nodes, .cap_log = log, .n_buckets = buckets };

	l.bytes = sizeof(*head) + (uint64_t)nodes * sizeof(*l.node) +
		  (uint64_t)log * sizeof(*l.log) + (uint64_t)buckets * sizeof(*l.bucket);
	l.node = (struct pyprof_node *)(head + 1);
	l.log = (struct pyprof_node_before *)(l.node + nodes);
	l.bucket = (uint32_t *)(l.log + log);
	return l;
}

/*
 * Chooses the capacities for `nodes` nodes. A record changes at most two nodes that were there
 * before, and a block one more.
 */
static inline struct pyprof_store_layout pyprof_store_plan(struct pyprof_store_head *head,
							   uint32_t nodes, uint32_t block_bytes)
{
	uint32_t log = 2 * (block_bytes / 8) + 1, buckets = PYPROF_STORE_MIN_NODES / 2;

	while (buckets < nodes / 2)
		buckets *= 2;
	return pyprof_store_layout(head, nodes, log < nodes ? log : nodes, buckets);
}

/*
 * Finds the layout of a store in a recording, of which `bytes` may be accessed. Another process may
 * write it, so the capacities are read once. False: it is not a store, or is longer than `bytes`.
 */
static inline bool pyprof_store_find(struct pyprof_store_head *head, uint64_t bytes,
				     struct pyprof_store_layout *l)
{
	uint32_t nodes = __atomic_load_n(&head->cap_nodes, __ATOMIC_RELAXED);
	uint32_t log = __atomic_load_n(&head->cap_log, __ATOMIC_RELAXED);
	uint32_t buckets = __atomic_load_n(&head->n_buckets, __ATOMIC_RELAXED);

	*l = pyprof_store_layout(head, nodes, log, buckets);
	return __atomic_load_n(&head->extent.kind, __ATOMIC_RELAXED) == PYPROF_EXTENT_STORE &&
	       nodes && nodes <= PYPROF_STORE_MAX_NODES && log && log <= PYPROF_STORE_MAX_NODES &&
	       buckets && buckets <= PYPROF_STORE_MAX_NODES && !(buckets & (buckets - 1)) &&
	       l->bytes <= bytes;
}

/* Writes the head of a store in zeroed memory, and a tree that consists of a root. */
static inline void pyprof_store_make(struct pyprof_store_head *head,
				     const struct pyprof_store_layout *l, uint64_t multiplier)
{
	struct pyprof_tree t = { .node = l->node };

	head->extent.kind = PYPROF_EXTENT_STORE;
	head->extent.bytes = l->bytes;
	head->cap_nodes = l->cap_nodes;
	head->cap_log = l->cap_log;
	head->n_buckets = l->n_buckets;
	head->multiplier = multiplier | 1;
	pyprof_tree_plant(&t);
	head->state[0] = head->state[1] = t.s;
}

/* True if the fold of a block that does not count changed the node: block numbers only grow. */
static inline bool pyprof_store_is_undone(uint32_t epoch, uint64_t folded)
{
	return (int32_t)(epoch - (uint32_t)folded) > 0;
}

/* --- taking over ------------------------------------------------------------------------------ */

static inline void pyprof_store_restore(struct pyprof_node *x, const struct pyprof_node_before *b)
{
	x->n_calls = b->n_calls;
	x->self = b->self;
	x->distance = b->distance;
	x->n_direct = b->n_direct;
	x->n_resumes = b->n_resumes;
	x->n_exceptions = b->n_exceptions;
	x->n_high = b->n_high;
}

/*
 * Undoes the changes of a fold that was cut off, and makes the links again: a fold begins with a
 * change, so without a log there is nothing to undo. The epochs stay: the fold of the same block
 * follows and needs no new log. If the epochs were put back, a reader without the claim, which
 * compares a node's epoch before and after reading it, could miss a change in between.
 */
static PYPROF_TREE_SLOW void pyprof_store_undo(struct pyprof_store *s)
{
	struct pyprof_tree *t = &s->tree;
	uint32_t n = 0, next = (uint32_t)s->folded + 1;

	for (; n < s->cap_log && t->log[n].epoch == next; n++) {
		const struct pyprof_node_before *b = &t->log[n];
		struct pyprof_node *x = &t->node[b->node < t->s.n_nodes ? b->node : 0];

		if (x->epoch == next)
			pyprof_store_restore(x, b);
		PYPROF_TESTPOINT("node-restored");
		pyprof_mark(&x->epoch, next); /* it was logged, but not marked yet */
	}
	t->n_log = n;
	t->epoch = next;
	if (n)
		pyprof_tree_relink(t);
}

/* Makes last_record for this many nodes. False: no memory; the old one stays valid. */
static inline bool pyprof_store_resize(struct pyprof_tree *t, uint32_t nodes)
{
	uint32_t size = PYPROF_STORE_MIN_NODES, old = t->last_record ? t->last_mask + 1 : 0;
	uint64_t n = t->s.n_records;
	uint32_t long_ago = (uint32_t)(n > t->max_distance ? n - t->max_distance : 0), *last;

	while (size < nodes && size < 1u << 16)
		size *= 2;
	if (size <= old)
		return true;
	last = (uint32_t *)realloc(t->last_record, size * sizeof(*last));
	if (!last)
		return false;
	for (uint32_t i = old; i < size; i++) /* functions that shared an entry keep it */
		last[i] = old ? last[i - old] : long_ago;
	t->last_record = last;
	t->last_mask = size - 1;
	return true;
}

/* Lets the tree be a view of this store. */
static inline void pyprof_store_use(struct pyprof_store *s, struct pyprof_store_head *head,
				    const struct pyprof_store_layout *l)
{
	s->head = head;
	s->tree.node = l->node;
	s->tree.cap = l->cap_nodes;
	s->tree.log = l->log;
	s->cap_log = l->cap_log;
	s->tree.bucket = l->bucket;
	s->tree.bucket_mask = l->n_buckets - 1;
	s->tree.multiplier = head->multiplier | 1;
}

/* Sets the tree's state to that of block ring.folded. False: it does not fit the layout. */
static inline bool pyprof_store_load(struct pyprof_store *s, const struct pyprof_store_layout *l)
{
	struct pyprof_tree_state *state = &s->tree.s;

	s->folded = pyprof_get(&s->ring->folded); /* the claim orders */
	pyprof_copy(state, &s->head->state[s->folded & 1], sizeof(*state));
	s->tree.guess = offsetof(struct pyprof_node, first);
	return state->n_nodes && state->n_nodes <= l->cap_nodes &&
	       state->current < state->n_nodes && state->base_node < state->n_nodes;
}

/*
 * Sets the view to the tree at block number ring.folded, after another process held the claim.
 * `bytes` is the length that the store may have. False: no memory, or the store is invalid.
 */
static inline bool pyprof_store_take_over(struct pyprof_store *s, struct pyprof_store_head *head,
					  uint64_t bytes)
{
	struct pyprof_store_layout l;

	if (!pyprof_store_find(head, bytes, &l))
		return false;
	pyprof_store_use(s, head, &l);
	if (!pyprof_store_load(s, &l))
		return false;
	pyprof_store_undo(s);
	return pyprof_store_resize(&s->tree, l.cap_nodes);
}

/*
 * Copies the tree as of the last commit to a larger store, and lets the view use that. The caller
 * publishes it before the next fold. Call it when no fold is being made, or one was undone.
 */
static PYPROF_TREE_SLOW void pyprof_store_move(struct pyprof_store *s, struct pyprof_store_head *to)
{
	struct pyprof_store_layout l;
	struct pyprof_tree *t = &s->tree;

	pyprof_store_find(to, UINT64_MAX, &l);
	memcpy(l.node, t->node, t->s.n_nodes * sizeof(*l.node));
	to->state[0] = s->head->state[0];
	to->state[1] = s->head->state[1];
	pyprof_store_use(s, to, &l);
	t->n_log = 0;
	for (uint32_t n = 0; n < t->s.n_nodes; n++) /* the log is a new one */
		t->node[n].epoch = (uint32_t)s->folded;
	pyprof_tree_relink(t);
}

static inline void pyprof_store_free(struct pyprof_store *s)
{
	free(s->tree.last_record);
	memset(s, 0, sizeof(*s));
}

/* --- folding ---------------------------------------------------------------------------------- */

/*
 * Folds a block's records; the result counts only after pyprof_store_commit. The stores from here
 * on, including those to the state of two folds ago, come after the last commit. False: there is no
 * room for a node, and the fold is undone.
 */
static inline bool pyprof_store_fold(struct pyprof_store *s, const struct pyprof_block *b,
				     uint64_t sequence, uint32_t block_bytes)
{
	const uint64_t *end = (const uint64_t *)((const char *)b + block_bytes);
	struct pyprof_tree *t = &s->tree;

	pyprof_fence_before_reuse(); /* P11 */
	if (t->epoch != (uint32_t)sequence)
		t->n_log = 0;
	t->epoch = (uint32_t)sequence;
	t->n_committed = t->s.n_nodes;
	pyprof_tree_block(t, pyprof_get(&b->base_ticks), pyprof_get(&b->skipped_ticks));
	if (pyprof_tree_records(t, b->record, end))
		return true;
	pyprof_copy(&t->s, &s->head->state[s->folded & 1], sizeof(t->s));
	pyprof_store_undo(s);
	return false;
}

/* Stores the state of this parity, and then, by one store, commits the fold of block `sequence`. */
static inline void pyprof_store_commit(struct pyprof_store *s, uint64_t sequence)
{
	s->head->state[sequence & 1] = s->tree.s;
	PYPROF_TESTPOINT("fold-state-copied");
	pyprof_publish(&s->ring->folded, sequence); /* P9 */
	PYPROF_TESTPOINT("fold-published");
	s->folded = sequence;
}

#endif
