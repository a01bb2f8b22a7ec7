/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fold.h"

#include <stdlib.h>
#include <string.h>

#include "killpoint.h"
#include "log.h"
#include "pyprof/ring.h"
#include "region.h"

#define FIRST_FNS 128u
#define FIRST_EDGES 256u
#define FIRST_DEPTH 128u

/* Where the arrays of a table lie; the order is that of abi.h. */
struct layout {
	struct pyprof_fold_fn *fn, *fn_before;
	struct pyprof_fold_edge *edge, *edge_before;
	struct pyprof_fold_frame *stack[2];
	uint64_t bytes;
};

static struct layout layout_of(struct pyprof_fold_table *t, uint32_t fns, uint32_t edges,
			       uint32_t depth)
{
	struct layout l;

	l.fn = (struct pyprof_fold_fn *)(t + 1);
	l.fn_before = l.fn + fns + 1;
	l.edge = (struct pyprof_fold_edge *)(l.fn_before + fns + 1);
	l.edge_before = l.edge + edges + 1;
	l.stack[0] = (struct pyprof_fold_frame *)(l.edge_before + edges + 1);
	l.stack[1] = l.stack[0] + depth;
	l.bytes = (uint64_t)((char *)(l.stack[1] + depth) - (char *)t);
	return l;
}

static struct pyprof_fold_table *table_of(const struct fold *f)
{
	return f->ring->fold ? region_at(f->ring->fold) : NULL;
}

static struct layout layout_now(const struct fold *f)
{
	struct pyprof_fold_table *t = table_of(f);

	return layout_of(t, t->cap_fns, t->cap_edges, t->cap_depth);
}

/* Indices and the working stack: private, for the reader makes its own. */
static bool resize_private(struct pyprof_fold *v, uint32_t fns, uint32_t edges, uint32_t depth)
{
	uint32_t *fn_index = calloc(fns * 2ull, sizeof(*fn_index));
	uint32_t *edge_index = calloc(edges * 2ull, sizeof(*edge_index));
	struct pyprof_fold_frame *stack = realloc(v->stack, (size_t)depth * sizeof(*stack));

	if (stack)
		v->stack = stack;
	if (!fn_index || !edge_index || !stack) {
		free(fn_index);
		free(edge_index);
		return false;
	}
	free(v->fn_index);
	free(v->edge_index);
	v->fn_index = fn_index;
	v->edge_index = edge_index;
	v->fn_mask = fns * 2 - 1;
	v->edge_mask = edges * 2 - 1;
	return true;
}

static void copy_table(struct layout *to, const struct layout *from, const struct fold *f,
		       struct pyprof_fold_table *new, const struct pyprof_fold_table *old)
{
	size_t fns = f->view.s.n_fns + 1, edges = f->view.s.n_edges + 1;

	memcpy(to->fn, from->fn, fns * sizeof(*to->fn));
	memcpy(to->fn_before, from->fn_before, fns * sizeof(*to->fn));
	memcpy(to->edge, from->edge, edges * sizeof(*to->edge));
	memcpy(to->edge_before, from->edge_before, edges * sizeof(*to->edge));
	for (int i = 0; i < 2; i++) {
		memcpy(to->stack[i], from->stack[i], old->cap_depth * sizeof(*to->stack[i]));
		new->state[i] = old->state[i];
	}
}

/* A table with these caps takes the place of the one there is, in the midst of a fold too. */
static bool replace_table(struct fold *f, uint32_t fns, uint32_t edges, uint32_t depth)
{
	struct pyprof_fold *v = &f->view;
	struct pyprof_fold_table *old = table_of(f), *new;
	struct layout to = layout_of(NULL, fns, edges, depth);
	uint64_t offset = region_alloc(to.bytes);

	if (!offset || !resize_private(v, fns, edges, depth)) {
		log_debug("no space for a fold table of %llu bytes", (unsigned long long)to.bytes);
		return false;
	}
	new = region_at(offset);
	to = layout_of(new, fns, edges, depth);
	new->extent.kind = PYPROF_EXTENT_FOLD;
	new->extent.bytes = to.bytes;
	new->cap_fns = fns;
	new->cap_edges = edges;
	new->cap_depth = depth;
	if (old) {
		struct layout from = layout_now(f);

		copy_table(&to, &from, f, new, old);
	}
	KILLPOINT("table-copied");
	pyprof_publish(&f->ring->fold, offset); /* P10 */
	KILLPOINT("table-published");
	v->fn = to.fn;
	v->fn_before = to.fn_before;
	v->edge = to.edge;
	v->edge_before = to.edge_before;
	v->cap_fns = fns;
	v->cap_edges = edges;
	v->cap_depth = depth;
	for (uint32_t slot = 1; slot <= v->s.n_fns; slot++)
		pyprof_fold_index_fn(v, slot);
	for (uint32_t e = 1; e <= v->s.n_edges; e++)
		pyprof_fold_index_edge(v, e);
	return true;
}

static bool grow(struct pyprof_fold *v)
{
	struct fold *f = (struct fold *)((char *)v - offsetof(struct fold, view));
	uint32_t fns = v->s.n_fns == v->cap_fns ? v->cap_fns * 2 : v->cap_fns;
	uint32_t edges = v->s.n_edges == v->cap_edges ? v->cap_edges * 2 : v->cap_edges;
	uint32_t depth = v->s.depth == v->cap_depth ? v->cap_depth * 2 : v->cap_depth;

	if (!v->cap_fns)
		return replace_table(f, FIRST_FNS, FIRST_EDGES, FIRST_DEPTH);
	return replace_table(f, fns, edges, depth);
}

/* The stack and the state of this parity, then the one store that makes the fold count. */
static void commit(struct fold *f, uint64_t sequence)
{
	struct pyprof_fold *v = &f->view;
	struct pyprof_fold_table *t = table_of(f);
	struct layout l = layout_now(f);
	uint32_t low = v->low_depth < f->low_before ? v->low_depth : f->low_before;

	/* This copy was written two folds ago; the frame below `low` has had time added. */
	low = low ? low - 1 : 0;
	if (v->s.depth > low)
		memcpy(&l.stack[sequence & 1][low], &v->stack[low],
		       (v->s.depth - low) * sizeof(*v->stack));
	KILLPOINT("fold-stack-copied");
	t->state[sequence & 1] = v->s;
	KILLPOINT("fold-state-copied");
	pyprof_publish(&f->ring->folded, sequence); /* P9 */
	KILLPOINT("fold-published");
	f->low_before = v->low_depth;
}

uint64_t fold_oldest(struct fold *f)
{
	struct pyprof_fold *v = &f->view;
	uint64_t offset = f->ring->first_block;
	const struct pyprof_block *b;
	const uint64_t *r, *end;

	if (!offset)
		return 0;
	v->grow = grow;
	if (!v->cap_fns && !grow(v))
		return 0;
	b = region_at(offset);
	r = b->record;
	end = (const uint64_t *)((const char *)b + region.header->block_bytes);
	v->epoch = (uint32_t)b->sequence;
	v->low_depth = v->s.depth;
	pyprof_fold_block(v, b->base_ticks, b->skipped_ticks);
	KILLPOINT("fold-begin");
	for (; r < end && *r; r++) {
		pyprof_fold_record(v, *r);
		KILLPOINT("fold-record");
	}
	commit(f, b->sequence);
	pyprof_publish(&f->ring->first_block, b->next); /* P3 */
	KILLPOINT("block-taken-out");
	return offset;
}
