/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forkstack.h"

#include <stdlib.h>
#include <string.h>

#include "pyprof/table.h"
#include "region.h"
#include "thread.h"

#define MAX_LOOK_BACK (1u << 20) /* records: some milliseconds */

static bool add(struct forkstack *f, uint32_t fn, bool is_c)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		uint32_t *fns = realloc(f->fn, cap * sizeof(*fns));
		bool *cs = realloc(f->is_c, cap * sizeof(*cs));

		f->fn = fns ? fns : f->fn;
		f->is_c = cs ? cs : f->is_c;
		if (!fns || !cs)
			return false;
		f->cap = cap;
	}
	f->fn[f->n] = fn;
	f->is_c[f->n++] = is_c;
	return true;
}

/* +1: a frame begins, -1: one ends, 0: neither. */
static int step(uint64_t r)
{
	switch (pyprof_record_kind(r)) {
	case PYPROF_CALL:
	case PYPROF_BARE_CALL:
	case PYPROF_RESUME:
	case PYPROF_THROW:
	case PYPROF_C_CALL:
	case PYPROF_OPEN:
		return 1;
	case PYPROF_RETURN:
	case PYPROF_YIELD:
	case PYPROF_UNWIND:
	case PYPROF_C_RETURN:
	case PYPROF_C_EXCEPTION:
		return -1;
	}
	return 0;
}

/* The preceding block, if it has not been folded and used again. */
static const struct pyprof_block *before(const struct pyprof_block *b,
					 const struct pyprof_ring *ring)
{
	const struct pyprof_block *prev = b->prev ? region_at(b->prev) : NULL;

	return prev && prev->sequence == b->sequence - 1 &&
			       prev->sequence > pyprof_get(&ring->folded)
		       ? prev
		       : NULL;
}

/*
 * Goes back over a block from `at`; `ended` counts ends whose beginnings lie further back. False: a
 * record says that the stack was empty there, or memory is short.
 */
static bool scan(struct forkstack *f, const struct pyprof_block *b, const uint64_t *at,
		 uint32_t *ended)
{
	while (at > b->record) {
		uint64_t r = *--at;
		int s = step(r);

		if (pyprof_record_kind(r) == PYPROF_THREAD) {
			f->complete = true;
			return false;
		}
		if (s < 0)
			++*ended;
		else if (s > 0 && *ended)
			--*ended;
		else if (s > 0 &&
			 !add(f, pyprof_record_fn(r), pyprof_record_kind(r) == PYPROF_C_CALL))
			return false;
	}
	return true;
}

/* What was running when the last folded block ended, less what has ended since. */
static void add_folded(struct forkstack *f, const struct pyprof_ring *ring, uint32_t ended)
{
	uint64_t folded = pyprof_observe(&ring->folded); /* C9 */
	struct pyprof_fold_table *t = folded ? region_at(ring->fold) : NULL;
	struct pyprof_table_layout l;
	uint32_t depth;

	f->complete = true;
	if (!t)
		return;
	l = pyprof_table_layout(t, t->cap_fns, t->cap_edges, t->cap_depth);
	depth = t->state[folded & 1].depth;
	for (depth -= ended < depth ? ended : depth; depth && f->complete; depth--) {
		const struct pyprof_fold_frame *frame = &l.stack[folded & 1][depth - 1];

		f->complete = add(f, l.fn[l.edge[frame->edge].callee].number,
				  frame->flags & PYPROF_FRAME_C);
	}
}

void forkstack_take(struct forkstack *f)
{
	const struct thread_self *s = &thread_self;
	const struct pyprof_ring *ring = thread_ring_of_self();
	const struct pyprof_block *b = s->block;
	const uint64_t *at = s->next;
	uint32_t ended = 0;
	size_t n = 0;

	memset(f, 0, sizeof(*f));
	if (!b || !ring)
		return;
	while (scan(f, b, at, &ended)) {
		const struct pyprof_block *prev = before(b, ring);

		n += (size_t)(at - b->record);
		if (!prev) {
			/* Only if nothing lies between the oldest record read and the table. */
			if (b->sequence == pyprof_get(&ring->folded) + 1)
				add_folded(f, ring, ended);
			return;
		}
		if (n > MAX_LOOK_BACK)
			return;
		b = prev;
		at = (const uint64_t *)((const char *)b + region.header->block_bytes);
	}
}

void forkstack_free(struct forkstack *f)
{
	free(f->fn);
	free(f->is_c);
	memset(f, 0, sizeof(*f));
}
