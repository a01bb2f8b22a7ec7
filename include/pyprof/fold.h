/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records -> tables: the arithmetic of a profile, written once for both sides. It is that of
 * CPython's Modules/_lsprof.c: recursion and callers are counted per thread, per function and per
 * caller pair, and a recursive call's time is not counted again in the cumulative time. Two things
 * differ: a return is matched by its function, not by whatever lies on top of the stack, and
 * every thread has a stack of its own.
 *
 * The tables hold indices and no pointers, so they can lie in private memory or in a file; struct
 * pyprof_fold is a view of them. One thread at a time. All times are ticks.
 *
 *	caller slot --edge--> callee slot	slot 0 is the root, which calls the outermost frames
 */
#ifndef PYPROF_FOLD_H
#define PYPROF_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

/* A function, as far as it is not the sum of its edges. */
struct pyprof_fold_fn {
	uint32_t number;
	uint32_t level;	    /* how many of its frames are on the stack */
	uint32_t last_edge; /* the edge that this function called through last: a guess */
	uint32_t reserved;
	uint64_t n_recursive; /* calls that returned while an outer one was still running */
	uint64_t total;	      /* of the others, start to end */
};

/* A caller pair. */
struct pyprof_fold_edge {
	uint32_t caller; /* slot */
	uint32_t callee; /* slot */
	uint32_t number; /* of the callee: what the guess is checked by */
	uint32_t level;
	uint64_t n_calls; /* with resumes, as cProfile counts them */
	uint64_t n_recursive;
	uint64_t self;
	uint64_t total;
	uint64_t n_exceptions; /* calls that were left by an exception */
	uint64_t n_resumes;    /* of n_calls, those that went on with a suspended generator */
};

struct pyprof_fold_frame {
	uint64_t start;
	uint64_t inside; /* time of what it called */
	uint32_t edge;
	uint32_t flags;
};

_Static_assert(sizeof(struct pyprof_fold_fn) == 32, "format");
_Static_assert(sizeof(struct pyprof_fold_edge) == 64, "a cache line");
_Static_assert(sizeof(struct pyprof_fold_frame) == 24, "format");

enum {
	PYPROF_FRAME_OPEN = 1, /* it was running when recording began: time, but no call */
	PYPROF_FRAME_C = 2,    /* a C function */
};

struct pyprof_fold {
	struct pyprof_fold_fn *fn;
	struct pyprof_fold_edge *edge; /* edge[0] is none */
	uint32_t *fn_index;	       /* open addressing: slot by number, 0 free (0 is the root) */
	uint32_t *edge_index;	       /* open addressing: edge by (caller slot, number), 0 free */
	struct pyprof_fold_frame *stack;
	uint32_t n_fns, cap_fns;     /* slots 1 .. n_fns; room for cap_fns + 1 */
	uint32_t n_edges, cap_edges; /* edges 1 .. n_edges; room for cap_edges + 1 */
	uint32_t fn_mask, edge_mask; /* size of the index - 1; at least 2 * cap */
	uint32_t depth, cap_depth;
	uint64_t base; /* tick 0 of the records to come */
	uint64_t now;  /* time of the last record */
	uint64_t n_records;
	uint64_t n_unmatched; /* returns of functions that are not on the stack */
	uint64_t n_closed;    /* frames whose return is missing, closed by an outer one's */
	uint64_t n_open;      /* frames that were running when their thread ended or was cut off */
	uint64_t skipped;     /* time of the shim's slow paths, left out everywhere */
	/*
	 * Makes room for one more function, edge or frame, whichever has reached its cap. False: there
	 * is none, and the record is lost. Set by the owner of the tables.
	 */
	bool (*grow)(struct pyprof_fold *f);
	uint64_t n_lost; /* records for which there was no room */
};

static inline uint32_t pyprof_fold_hash(uint32_t caller, uint32_t number)
{
	return (uint32_t)((((uint64_t)caller << 24 ^ number) * 0x9e3779b97f4a7c15ull) >> 32);
}

/* The slot of a function, or 0 where it has none. */
static inline uint32_t pyprof_fold_find_fn(const struct pyprof_fold *f, uint32_t number)
{
	for (uint32_t i = pyprof_fold_hash(0, number);; i++) {
		uint32_t slot = f->fn_index[i & f->fn_mask];

		if (!slot || f->fn[slot].number == number)
			return slot;
	}
}

static inline uint32_t pyprof_fold_add_fn(struct pyprof_fold *f, uint32_t number)
{
	uint32_t i = pyprof_fold_hash(0, number);

	while (f->fn_index[i & f->fn_mask])
		i++;
	f->fn_index[i & f->fn_mask] = ++f->n_fns;
	f->fn[f->n_fns] = (struct pyprof_fold_fn){ .number = number };
	return f->n_fns;
}

/* The edge from a slot to a function; made where there is none. 0: no room. */
static inline uint32_t pyprof_fold_edge_to(struct pyprof_fold *f, uint32_t caller, uint32_t number)
{
	uint32_t i = pyprof_fold_hash(caller, number);
	uint32_t slot;

	for (;; i++) {
		uint32_t e = f->edge_index[i & f->edge_mask];

		if (!e)
			break;
		if (f->edge[e].caller == caller && f->edge[e].number == number)
			return e;
	}
	if ((f->n_edges == f->cap_edges || f->n_fns == f->cap_fns) && !f->grow(f))
		return 0;
	slot = pyprof_fold_find_fn(f, number);
	if (!slot)
		slot = pyprof_fold_add_fn(f, number);
	/* The index may have been made anew. */
	i = pyprof_fold_hash(caller, number);
	while (f->edge_index[i & f->edge_mask])
		i++;
	f->edge_index[i & f->edge_mask] = ++f->n_edges;
	f->edge[f->n_edges] =
		(struct pyprof_fold_edge){ .caller = caller, .callee = slot, .number = number };
	return f->n_edges;
}

static inline void pyprof_fold_enter(struct pyprof_fold *f, uint32_t number, uint32_t flags,
				     bool resumed)
{
	uint32_t caller = f->depth ? f->edge[f->stack[f->depth - 1].edge].callee : 0;
	uint32_t e = f->fn[caller].last_edge;

	if (__builtin_expect(f->edge[e].number != number || f->edge[e].caller != caller || !e, 0)) {
		e = pyprof_fold_edge_to(f, caller, number);
		if (!e) {
			f->n_lost++;
			return;
		}
		f->fn[caller].last_edge = e;
	}
	if (__builtin_expect(f->depth == f->cap_depth, 0) && !f->grow(f)) {
		f->n_lost++;
		return;
	}
	f->edge[e].level++;
	f->edge[e].n_resumes += resumed;
	f->fn[f->edge[e].callee].level++;
	f->stack[f->depth++] =
		(struct pyprof_fold_frame){ .start = f->now, .edge = e, .flags = flags };
}

/* Closes the innermost frame now. */
static inline void pyprof_fold_leave_top(struct pyprof_fold *f, bool exception)
{
	const struct pyprof_fold_frame *frame = &f->stack[--f->depth];
	struct pyprof_fold_edge *e = &f->edge[frame->edge];
	struct pyprof_fold_fn *fn = &f->fn[e->callee];
	uint64_t total = f->now - frame->start;
	uint64_t n = !(frame->flags & PYPROF_FRAME_OPEN);

	if (f->depth)
		f->stack[f->depth - 1].inside += total;
	if (--fn->level == 0)
		fn->total += total;
	else
		fn->n_recursive += n;
	if (--e->level == 0)
		e->total += total;
	else
		e->n_recursive += n;
	e->n_calls += n;
	e->n_exceptions += exception & n;
	e->self += total - frame->inside;
}

/*
 * A return whose call is not on top. Of a C function: its call is missing (3.12.0 to 3.12.4 leave
 * some out), or the function was entered before recording began. Of a Python function further
 * down: the returns of those above are missing, and they end now.
 */
static inline void pyprof_fold_leave_other(struct pyprof_fold *f, uint32_t number, bool exception,
					   bool is_c)
{
	uint32_t slot = pyprof_fold_find_fn(f, number);

	if (is_c || !slot || !f->fn[slot].level) {
		f->n_unmatched++;
		return;
	}
	while (f->edge[f->stack[f->depth - 1].edge].number != number) {
		pyprof_fold_leave_top(f, false);
		f->n_closed++;
	}
	pyprof_fold_leave_top(f, exception);
}

static inline void pyprof_fold_leave(struct pyprof_fold *f, uint32_t number, bool exception,
				     bool is_c)
{
	if (__builtin_expect(f->depth && f->edge[f->stack[f->depth - 1].edge].number == number, 1))
		pyprof_fold_leave_top(f, exception);
	else
		pyprof_fold_leave_other(f, number, exception, is_c);
}

/* The thread ends, or its records do: what is running still is closed at the last known time. */
static inline void pyprof_fold_close(struct pyprof_fold *f)
{
	while (f->depth) {
		f->n_open++;
		pyprof_fold_leave_top(f, false);
	}
}

/* Records that tell of the thread and its clock. */
static inline void pyprof_fold_control(struct pyprof_fold *f, uint64_t r)
{
	switch (pyprof_record_kind(r)) {
	case PYPROF_SYNC:
		f->base += pyprof_record_ticks(r) << PYPROF_SYNC_SHIFT;
		break;
	case PYPROF_SKIP:
		f->skipped += pyprof_record_ticks(r);
		break;
	case PYPROF_THREAD: /* a clock of the thread's own begins anew */
		pyprof_fold_close(f);
		f->now = f->base + pyprof_record_ticks(r);
		break;
	case PYPROF_THREAD_END:
		if ((int64_t)(f->base + pyprof_record_ticks(r) - f->now) > 0)
			f->now = f->base + pyprof_record_ticks(r);
		pyprof_fold_close(f);
		break;
	}
}

/* One record. Time never goes back: a clock that did stands still. */
static inline void pyprof_fold_record(struct pyprof_fold *f, uint64_t r)
{
	unsigned kind = pyprof_record_kind(r);
	uint32_t fn = pyprof_record_fn(r);
	uint64_t at = f->base + pyprof_record_ticks(r);

	if (__builtin_expect(kind >= PYPROF_THREAD, 0)) {
		pyprof_fold_control(f, r);
		return;
	}
	f->n_records++;
	if (__builtin_expect((int64_t)(at - f->now) > 0, 1))
		f->now = at;
	switch (kind) {
	case PYPROF_CALL:
		pyprof_fold_enter(f, fn, 0, false);
		break;
	case PYPROF_RESUME:
	case PYPROF_THROW:
		pyprof_fold_enter(f, fn, 0, true);
		break;
	case PYPROF_C_CALL:
		pyprof_fold_enter(f, fn, PYPROF_FRAME_C, false);
		break;
	case PYPROF_OPEN:
		pyprof_fold_enter(f, fn, PYPROF_FRAME_OPEN, false);
		break;
	case PYPROF_RETURN:
	case PYPROF_YIELD:
		pyprof_fold_leave(f, fn, false, false);
		break;
	case PYPROF_UNWIND:
		pyprof_fold_leave(f, fn, true, false);
		break;
	case PYPROF_C_RETURN:
		pyprof_fold_leave(f, fn, false, true);
		break;
	case PYPROF_C_EXCEPTION:
		pyprof_fold_leave(f, fn, true, true);
		break;
	}
}

#endif
