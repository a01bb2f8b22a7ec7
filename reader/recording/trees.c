/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trees.h"

#include <errno.h>
#include <stdlib.h>

#include "base/seed.h"

#ifndef FIRST_NODES /* fuzzing sets a small number, which is faster and tests growing */
#define FIRST_NODES 1024u
#endif
#define MAX_NODES (1u << 30)
#define MAX_LAST_RECORDS (1u << 16) /* more functions share entries */

/* Makes buckets for half as many entries as nodes. */
static bool resize_nodes(struct pyprof_tree *t, uint32_t cap)
{
	struct pyprof_node *node = realloc(t->node, cap * sizeof(*node));
	uint32_t *bucket = calloc(cap / 2, sizeof(*bucket));

	if (node)
		t->node = node;
	if (!node || !bucket) {
		free(bucket);
		return false;
	}
	free(t->bucket);
	t->bucket = bucket;
	t->bucket_mask = cap / 2 - 1;
	t->cap = cap;
	pyprof_tree_relink(t);
	return true;
}

/* Functions keep their entries: the upper half continues what the lower half knows. */
static bool resize_last_record(struct pyprof_tree *t, uint32_t size)
{
	uint32_t n = t->last_record ? t->last_mask + 1 : 0;
	uint32_t *last = realloc(t->last_record, size * sizeof(*last));

	if (!last)
		return false;
	for (uint32_t i = n; i < size; i++)
		last[i] = n ? last[i - n] : 0;
	t->last_record = last;
	t->last_mask = size - 1;
	return true;
}

static bool grow(struct pyprof_tree *t)
{
	return t->cap < MAX_NODES && resize_nodes(t, t->cap * 2) &&
	       (t->last_mask >= MAX_LAST_RECORDS - 1 || resize_last_record(t, t->cap));
}

int trees_init(struct pyprof_tree *t)
{
	*t = (struct pyprof_tree){ .grow = grow };
	t->multiplier = seed_odd[0];
	if (!resize_nodes(t, FIRST_NODES) || !resize_last_record(t, FIRST_NODES))
		return -ENOMEM;
	pyprof_tree_plant(t);
	return 0;
}

void trees_fini(struct pyprof_tree *t)
{
	free(t->node);
	free(t->bucket);
	free(t->last_record);
	*t = (struct pyprof_tree){ 0 };
}

/* --- a fold table ----------------------------------------------------------------------------- */

/* Adds an edge to the node of its callee. Counts that only the overhead needs are left out. */
static bool add_edge(struct pyprof_tree *t, uint32_t n, const struct pyprof_fold_edge *e)
{
	bool is_large = (e->n_resumes | e->n_exceptions) >> 31;
	uint32_t c = is_large ? pyprof_tree_child(t, n, PYPROF_NODE_CARRY) : 0;
	struct pyprof_node *x = &t->node[n];

	if (is_large && !c)
		return false;
	x->n_calls += e->n_calls;
	x->self += e->self;
	x->n_resumes += (uint32_t)e->n_resumes & ~PYPROF_NODE_HALF;
	x->n_exceptions += (uint32_t)e->n_exceptions & ~PYPROF_NODE_HALF;
	if (is_large) {
		t->node[c].n_resumes += (uint32_t)(e->n_resumes >> 31);
		t->node[c].n_exceptions += (uint32_t)(e->n_exceptions >> 31);
	}
	if (PYPROF_NODE_SMALL(x) & PYPROF_NODE_HALF)
		pyprof_tree_carry(t, n);
	return true;
}

static bool add_folded(struct pyprof_tree *t, const struct pyprof_fold *f)
{
	uint32_t folded = pyprof_tree_child(t, t->s.base_node, TREES_FOLDED);

	for (uint32_t i = 1; folded && i <= f->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];
		uint32_t n = pyprof_tree_child(t, folded, f->fn[e->callee].number);

		if (!n || !add_edge(t, n, e))
			return false;
	}
	return folded != 0;
}

static uint32_t fn_of_frame(const struct pyprof_fold_frame *frame)
{
	return frame->number | (frame->flags & PYPROF_FRAME_C ? PYPROF_NODE_C : 0) |
	       (frame->flags & PYPROF_FRAME_OPEN ? PYPROF_NODE_OPEN : 0);
}

/* A fold table counts a call when it ends, a tree when it begins. */
static bool add_running(struct pyprof_tree *t, const struct pyprof_fold *f)
{
	for (uint32_t i = 0; i < f->s.depth; i++) {
		const struct pyprof_fold_frame *frame = &f->stack[i];
		uint64_t until = i + 1 < f->s.depth ? f->stack[i + 1].start : f->s.now;
		uint32_t n = pyprof_tree_child(t, t->s.current, fn_of_frame(frame));
		struct pyprof_node *x = &t->node[n];

		if (!n)
			return false;
		x->n_calls += !(frame->flags & PYPROF_FRAME_OPEN);
		x->n_direct += (frame->flags & PYPROF_FRAME_DIRECT) != 0;
		x->n_resumes += (frame->flags & PYPROF_FRAME_RESUMED) != 0;
		x->self += until - frame->start - frame->inside;
		pyprof_tree_move_to(t, n);
	}
	return true;
}

int trees_take_over(struct pyprof_tree *t, const struct pyprof_fold *f)
{
	bool ok = pyprof_tree_begin_thread(t, f->s.thread) && add_folded(t, f) && add_running(t, f);

	t->s.base = f->s.base;
	t->s.now = f->s.now;
	t->s.n_records = f->s.n_records;
	t->s.first_ticks = f->s.first_ticks;
	t->s.skipped_ticks = f->s.skipped_ticks;
	return ok ? 0 : -ENOMEM;
}
