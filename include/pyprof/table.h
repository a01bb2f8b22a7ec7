/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ring's fold table in the recording, changed in place: by the target, or by a reader that has
 * claimed the ring (ring.consumer). Only the holder of the claim writes the table. The claim of a
 * dead process is taken over, and its half-done fold is undone. One thread at a time, with or
 * without the GIL. Resizing allocates, so only pyprof_table_find may run in a signal handler.
 *
 * The tables lie in the recording; the indices over them and the working stack are private. A table
 * that is taken over is checked, because another process wrote it.
 */
#ifndef PYPROF_TABLE_H
#define PYPROF_TABLE_H

#include <stdlib.h>
#include <string.h>

#include "fold.h"
#include "order.h"

/* A place where a test may kill the process; see shim/system/killpoint.h. */
#ifndef PYPROF_TESTPOINT
#define PYPROF_TESTPOINT(name) ((void)0)
#endif

struct pyprof_table {
	struct pyprof_fold view; /* first: the view's `grow` finds its table by it */
	struct pyprof_ring *ring;
	struct pyprof_fold_table *table; /* the table at ring.fold, as mapped here */
	uint64_t folded;		 /* the number of the last block in `view` */
	uint64_t stuck;	     /* a claim holder for which waiting was in vain: no more waits */
	uint32_t low_before; /* low_depth of the preceding fold */
};

/* The arrays behind the header, in the order that format.h gives. */
struct pyprof_table_layout {
	struct pyprof_fold_fn *fn, *fn_before;
	struct pyprof_fold_edge *edge, *edge_before;
	struct pyprof_fold_frame *stack[2];
	uint32_t cap_fns, cap_edges, cap_depth;
	uint64_t bytes; /* of all, the header included */
};

static inline struct pyprof_table_layout pyprof_table_layout(struct pyprof_fold_table *t,
							     uint32_t fns, uint32_t edges,
							     uint32_t depth)
{
	struct pyprof_table_layout l = { .cap_fns = fns, .cap_edges = edges, .cap_depth = depth };

	l.bytes = sizeof(*t) + 2 * (fns + 1ull) * sizeof(*l.fn) +
		  2 * (edges + 1ull) * sizeof(*l.edge) + 2ull * depth * sizeof(*l.stack[0]);
	l.fn = (struct pyprof_fold_fn *)(t + 1);
	l.fn_before = l.fn + fns + 1;
	l.edge = (struct pyprof_fold_edge *)(l.fn_before + fns + 1);
	l.edge_before = l.edge + edges + 1;
	l.stack[0] = (struct pyprof_fold_frame *)(l.edge_before + edges + 1);
	l.stack[1] = l.stack[0] + depth;
	return l;
}

#define PYPROF_TABLE_MAX_CAP (1u << 28)

static inline bool pyprof_table_is_cap(uint32_t cap)
{
	return cap && cap <= PYPROF_TABLE_MAX_CAP;
}

/*
 * Computes the layout of a table in a recording, of which `bytes` may be accessed. Another process
 * may write it, so the caps are read once. False: it is not a table, or is longer than `bytes`.
 */
static inline bool pyprof_table_find(struct pyprof_fold_table *t, uint64_t bytes,
				     struct pyprof_table_layout *l)
{
	uint32_t fns = __atomic_load_n(&t->cap_fns, __ATOMIC_RELAXED);
	uint32_t edges = __atomic_load_n(&t->cap_edges, __ATOMIC_RELAXED);
	uint32_t depth = __atomic_load_n(&t->cap_depth, __ATOMIC_RELAXED);

	*l = pyprof_table_layout(t, fns, edges, depth);
	return __atomic_load_n(&t->extent.kind, __ATOMIC_RELAXED) == PYPROF_EXTENT_FOLD &&
	       pyprof_table_is_cap(fns) && pyprof_table_is_cap(edges) &&
	       pyprof_table_is_cap(depth) && l->bytes <= bytes;
}

/* True if the state fits into a table of this layout. */
static inline bool pyprof_table_holds(const struct pyprof_table_layout *l,
				      const struct pyprof_fold_state *s)
{
	return s->n_fns <= l->cap_fns && s->n_edges <= l->cap_edges && s->depth <= l->cap_depth;
}

/* True if the fold of a block that does not count changed the entry: block numbers only grow. */
static inline bool pyprof_table_is_undone(uint32_t epoch, uint64_t folded)
{
	return (int32_t)(epoch - (uint32_t)folded) > 0;
}

/* --- private memory --------------------------------------------------------------------------- */

/* Returns the size of an index over `cap` entries: at least twice as many, and a power of two. */
static inline uint32_t pyprof_table_index_size(uint32_t cap)
{
	uint32_t n = 2;

	while (n < cap * 2)
		n *= 2;
	return n;
}

/* Makes indices and stack for these caps. False: no memory; the old ones stay valid. */
static inline bool pyprof_table_resize(struct pyprof_fold *v, uint32_t fns, uint32_t edges,
				       uint32_t depth)
{
	uint32_t n_fns = pyprof_table_index_size(fns), n_edges = pyprof_table_index_size(edges);
	uint32_t *fn_index = (uint32_t *)calloc(n_fns, sizeof(*fn_index));
	uint32_t *edge_index = (uint32_t *)calloc(n_edges, sizeof(*edge_index));
	struct pyprof_fold_frame *stack = (struct pyprof_fold_frame *)realloc(
		v->stack ? v->stack - 1 : NULL, (depth + 1ull) * sizeof(*stack));

	if (stack) {
		*stack = pyprof_fold_root();
		v->stack = stack + 1;
	}
	if (!fn_index || !edge_index || !stack) {
		free(fn_index);
		free(edge_index);
		return false;
	}
	free(v->fn_index);
	free(v->edge_index);
	v->fn_index = fn_index;
	v->edge_index = edge_index;
	if (!v->multiplier)
		v->multiplier = PYPROF_FOLD_MULTIPLIER;
	v->fn_mask = n_fns - 1;
	v->edge_mask = n_edges - 1;
	return true;
}

static inline void pyprof_table_free(struct pyprof_table *t)
{
	free(t->view.fn_index);
	free(t->view.edge_index);
	free(t->view.stack ? t->view.stack - 1 : NULL);
	memset(t, 0, sizeof(*t));
}

/* Lets the view use this table. The private memory must have been made for these caps. */
static inline void pyprof_table_use(struct pyprof_table *t, struct pyprof_fold_table *table,
				    uint32_t fns, uint32_t edges, uint32_t depth)
{
	struct pyprof_table_layout l = pyprof_table_layout(table, fns, edges, depth);
	struct pyprof_fold *v = &t->view;

	t->table = table;
	v->fn = l.fn;
	v->fn_before = l.fn_before;
	v->edge = l.edge;
	v->edge_before = l.edge_before;
	v->cap_fns = fns;
	v->cap_edges = edges;
	v->cap_depth = depth;
}

/* --- taking over ------------------------------------------------------------------------------ */

/*
 * Undoes the changes of a fold that was cut off. The epochs stay: the fold of the same block
 * follows and needs no new before-images. If the epochs were put back, a reader without the claim,
 * which compares an entry's epoch before and after reading it, could miss a change in between.
 */
static inline void pyprof_table_undo(struct pyprof_table *t)
{
	struct pyprof_fold *v = &t->view;

	for (uint32_t i = 1; i <= v->s.n_fns; i++) {
		struct pyprof_fold_fn old = v->fn_before[i];

		old.epoch = v->fn[i].epoch;
		if (pyprof_table_is_undone(old.epoch, t->folded))
			v->fn[i] = old;
	}
	for (uint32_t i = 1; i <= v->s.n_edges; i++) {
		struct pyprof_fold_edge old = v->edge_before[i];

		old.epoch = v->edge[i].epoch;
		if (pyprof_table_is_undone(old.epoch, t->folded))
			v->edge[i] = old;
	}
}

static inline bool pyprof_table_index(struct pyprof_fold *v)
{
	uint32_t caller = 0;

	for (uint32_t i = 1; i <= v->s.n_fns; i++) {
		if (pyprof_fold_find_fn(v, v->fn[i].number))
			return false;
		v->fn[i].last_edge = 0; /* guesses are not checked later */
		pyprof_fold_index_fn(v, i);
	}
	for (uint32_t i = 1; i <= v->s.n_edges; i++) {
		uint32_t callee = pyprof_fold_callee(v, i);

		if (!callee || callee > v->s.n_fns || v->edge[i].caller > v->s.n_fns)
			return false;
		pyprof_fold_index_edge(v, i);
	}
	for (uint32_t i = 0; i < v->s.depth; i++) {
		uint32_t e = v->stack[i].edge;

		if (!e || e > v->s.n_edges || v->edge[e].caller != caller)
			return false;
		caller = pyprof_fold_callee(v, e);
		v->stack[i].slot = caller;
		v->stack[i].number = v->fn[caller].number;
	}
	return true;
}

/*
 * Sets the view to the table's state at block number ring.folded. The caps are read once, and
 * `bytes` is the length that the table may have. False: no memory, or the table is invalid.
 */
static inline bool pyprof_table_take_over(struct pyprof_table *t, struct pyprof_fold_table *table,
					  uint64_t bytes)
{
	struct pyprof_fold *v = &t->view;
	struct pyprof_table_layout l;

	t->folded = pyprof_get(&t->ring->folded); /* the claim orders */
	if (!pyprof_table_find(table, bytes, &l))
		return false;
	pyprof_copy(&v->s, &table->state[t->folded & 1], sizeof(v->s));
	if (!pyprof_table_holds(&l, &v->s) ||
	    !pyprof_table_resize(v, l.cap_fns, l.cap_edges, l.cap_depth))
		return false;
	pyprof_table_use(t, table, l.cap_fns, l.cap_edges, l.cap_depth);
	pyprof_copy(v->stack, l.stack[t->folded & 1], v->s.depth * sizeof(*v->stack));
	v->fn[0].last_edge = 0;
	t->low_before = 0;
	pyprof_table_undo(t);
	return pyprof_table_index(v);
}

/* --- folding ---------------------------------------------------------------------------------- */

static PYPROF_FOLD_INLINE void pyprof_table_fold_records(struct pyprof_fold *v, const uint64_t *r,
							 const uint64_t *end, bool counts_idle)
{
	uint64_t record;

	for (; r < end && (record = pyprof_take(r)); r++) {
		pyprof_fold_record_as(v, record, false, counts_idle);
		PYPROF_TESTPOINT("fold-record");
	}
}

/*
 * Folds a block's records into the table; the result counts only after pyprof_table_commit. The
 * stores from here on, including those to the state and stack of two folds ago, come after the last
 * commit.
 */
static inline void pyprof_table_fold(struct pyprof_table *t, const struct pyprof_block *b,
				     uint64_t sequence, uint32_t block_bytes)
{
	const uint64_t *end = (const uint64_t *)((const char *)b + block_bytes);
	struct pyprof_fold *v = &t->view;

	pyprof_fence_before_reuse(); /* P11 */
	v->epoch = (uint32_t)sequence;
	v->low_depth = v->s.depth;
	pyprof_fold_block(v, pyprof_get(&b->base_ticks), pyprof_get(&b->skipped_ticks));
	if (v->max_idle)
		pyprof_table_fold_records(v, b->record, end, true);
	else
		pyprof_table_fold_records(v, b->record, end, false);
}

/*
 * Stores stack and state of this parity, and then, by one store, commits the fold of block
 * `sequence`.
 */
static inline void pyprof_table_commit(struct pyprof_table *t, uint64_t sequence)
{
	struct pyprof_fold *v = &t->view;
	struct pyprof_table_layout l =
		pyprof_table_layout(t->table, v->cap_fns, v->cap_edges, v->cap_depth);
	uint32_t low = v->low_depth < t->low_before ? v->low_depth : t->low_before;

	/*
	 * This copy was written two folds ago. The frame below `low` is included: time was added to
	 * it.
	 */
	low = low ? low - 1 : 0;
	if (v->s.depth > low)
		memcpy(&l.stack[sequence & 1][low], &v->stack[low],
		       (v->s.depth - low) * sizeof(*v->stack));
	PYPROF_TESTPOINT("fold-stack-copied");
	t->table->state[sequence & 1] = v->s;
	PYPROF_TESTPOINT("fold-state-copied");
	pyprof_publish(&t->ring->folded, sequence); /* P9 */
	PYPROF_TESTPOINT("fold-published");
	t->low_before = v->low_depth;
	t->folded = sequence;
}

#endif
