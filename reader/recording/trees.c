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

static uint32_t fn_of_frame(const struct pyprof_fold_frame *frame)
{
	return frame->number | (frame->flags & PYPROF_FRAME_C ? PYPROF_NODE_C : 0) |
	       (frame->flags & PYPROF_FRAME_OPEN ? PYPROF_NODE_OPEN : 0);
}

static bool add_path(struct pyprof_tree *t, const struct pyprof_fold *f)
{
	bool ok = pyprof_tree_begin_thread(t, f->s.thread);

	for (uint32_t i = 0; i < f->s.depth && ok; i++) {
		uint32_t n = pyprof_tree_child(t, t->s.current, fn_of_frame(&f->stack[i]));

		ok = n != 0;
		pyprof_tree_move_to(t, n);
	}
	return ok;
}

int trees_continue(struct pyprof_tree *t, const struct pyprof_fold *f)
{
	const struct pyprof_fold_state *from = &f->s;
	struct pyprof_tree_state *s = &t->s;
	bool ok = add_path(t, f);

	s->base = from->base;
	s->now = s->outside = from->now;
	s->n_records = from->n_records;
	s->n_unmatched = from->n_unmatched;
	s->n_closed = from->n_closed;
	s->n_open = from->n_open;
	s->n_found = from->n_found;
	s->first_ticks = from->first_ticks;
	s->skipped_ticks = from->skipped_ticks;
	s->n_blind_intervals = from->n_blind_intervals;
	s->blind_interval_ticks = from->blind_interval_ticks;
	s->n_threads = from->n_threads;
	return ok ? 0 : -ENOMEM;
}
