/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records -> tables: the arithmetic of a profile, written once for both sides. It is that of
 * CPython's Modules/_lsprof.c: recursion and callers are counted per thread, per function and per
 * caller pair, and a recursive call's time is not counted again in the cumulative time. Two things
 * differ: a return is matched by its function, not by whatever lies on top of the stack, and
 * every thread has a stack of its own.
 *
 * The tables hold indices and no pointers, so they can lie in private memory (the reader) or in
 * the recording (the target, see struct pyprof_fold_table); struct pyprof_fold is a view of them.
 * One thread at a time. All times are ticks.
 *
 *	caller slot --edge--> callee slot	slot 0 is the root, which calls the outermost frames
 */
#ifndef PYPROF_FOLD_H
#define PYPROF_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

enum {
	PYPROF_FRAME_OPEN = 1, /* it was running when recording began: time, but no call */
	PYPROF_FRAME_C = 2,    /* a C function */
	PYPROF_FRAME_BARE = 4, /* a bare call, or a resume */
	PYPROF_FRAME_RESUMED = 8,
};

struct pyprof_fold {
	struct pyprof_fold_fn *fn;     /* fn[0] is the root */
	struct pyprof_fold_edge *edge; /* edge[0] is none */
	/* Where entries are kept as they were before this epoch; NULL where nothing can be undone. */
	struct pyprof_fold_fn *fn_before;
	struct pyprof_fold_edge *edge_before;
	uint32_t *fn_index;   /* open addressing: slot by number, 0 free (0 is the root) */
	uint32_t *edge_index; /* open addressing: edge by (caller slot, number), 0 free */
	struct pyprof_fold_frame *stack;
	uint32_t cap_fns, cap_edges; /* room for slots and edges 1 .. cap */
	uint32_t fn_mask, edge_mask; /* size of the index - 1; at least 2 * cap */
	uint32_t cap_depth,
		low_depth; /* the lowest depth that was reached since the owner set it */
	uint32_t epoch;	   /* number of the block at hand, where entries can be undone */
	struct pyprof_fold_state s;
	uint64_t root_cost[PYPROF_COSTS]; /* of calls that nobody made; not used */
	/*
	 * Makes room for one more function, edge or frame, whichever has reached its cap. False: there
	 * is none, and the record is lost. Set by the owner of the tables.
	 */
	bool (*grow)(struct pyprof_fold *f);
};

/* --- finding ---------------------------------------------------------------------------------------- */

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

static inline void pyprof_fold_index_fn(struct pyprof_fold *f, uint32_t slot)
{
	uint32_t i = pyprof_fold_hash(0, f->fn[slot].number);

	while (f->fn_index[i & f->fn_mask])
		i++;
	f->fn_index[i & f->fn_mask] = slot;
}

static inline void pyprof_fold_index_edge(struct pyprof_fold *f, uint32_t e)
{
	uint32_t i = pyprof_fold_hash(f->edge[e].caller, f->fn[f->edge[e].callee].number);

	while (f->edge_index[i & f->edge_mask])
		i++;
	f->edge_index[i & f->edge_mask] = e;
}

/* Is this the edge from a slot to a function? Edge 0 is none. */
static inline bool pyprof_fold_is_edge(const struct pyprof_fold *f, uint32_t e, uint32_t caller,
				       uint32_t number)
{
	return e && f->edge[e].caller == caller && f->fn[f->edge[e].callee].number == number;
}

static inline uint32_t pyprof_fold_add_fn(struct pyprof_fold *f, uint32_t number)
{
	uint32_t slot = ++f->s.n_fns;

	f->fn[slot] = (struct pyprof_fold_fn){ .number = number, .epoch = f->epoch };
	if (f->fn_before)
		f->fn_before[slot] = f->fn[slot];
	pyprof_fold_index_fn(f, slot);
	return slot;
}

static inline uint32_t pyprof_fold_add_edge(struct pyprof_fold *f, uint32_t caller, uint32_t callee)
{
	uint32_t e = ++f->s.n_edges;

	f->edge[e] =
		(struct pyprof_fold_edge){ .caller = caller, .callee = callee, .epoch = f->epoch };
	if (f->edge_before)
		f->edge_before[e] = f->edge[e];
	pyprof_fold_index_edge(f, e);
	return e;
}

/* The edge from a slot to a function; made where there is none. 0: no room. */
static inline uint32_t pyprof_fold_edge_to(struct pyprof_fold *f, uint32_t caller, uint32_t number)
{
	uint32_t slot;

	for (uint32_t i = pyprof_fold_hash(caller, number);; i++) {
		uint32_t e = f->edge_index[i & f->edge_mask];

		if (!e)
			break;
		if (pyprof_fold_is_edge(f, e, caller, number))
			return e;
	}
	if ((f->s.n_edges == f->cap_edges || f->s.n_fns == f->cap_fns) && !f->grow(f))
		return 0;
	slot = pyprof_fold_find_fn(f, number);
	if (!slot)
		slot = pyprof_fold_add_fn(f, number);
	return pyprof_fold_add_edge(f, caller, slot);
}

/* --- changing --------------------------------------------------------------------------------------- */

/*
 * Before an entry changes for the first time in an epoch, it is kept as it was. The copy must be
 * whole before the mark says that it is there, and the mark must be there before the change: a
 * kill stops the stores at any point, in the order in which they were made.
 */
static inline struct pyprof_fold_fn *pyprof_fold_change_fn(struct pyprof_fold *f, uint32_t slot)
{
	struct pyprof_fold_fn *fn = &f->fn[slot];

	if (f->fn_before && fn->epoch != f->epoch) {
		f->fn_before[slot] = *fn;
		__atomic_store_n(&fn->epoch, f->epoch, __ATOMIC_RELEASE);
		__atomic_thread_fence(__ATOMIC_RELEASE); /* P12 */
	}
	return fn;
}

static inline struct pyprof_fold_edge *pyprof_fold_change_edge(struct pyprof_fold *f, uint32_t e)
{
	struct pyprof_fold_edge *edge = &f->edge[e];

	if (f->edge_before && edge->epoch != f->epoch) {
		f->edge_before[e] = *edge;
		__atomic_store_n(&edge->epoch, f->epoch, __ATOMIC_RELEASE);
		__atomic_thread_fence(__ATOMIC_RELEASE); /* P12 */
	}
	return edge;
}

static inline void pyprof_fold_enter(struct pyprof_fold *f, uint32_t number, uint32_t flags)
{
	uint32_t depth = f->s.depth;
	uint32_t caller = depth ? f->edge[f->stack[depth - 1].edge].callee : 0;
	uint32_t e = f->fn[caller].last_edge;
	struct pyprof_fold_frame *frame;
	struct pyprof_fold_edge *edge;

	if (__builtin_expect(!pyprof_fold_is_edge(f, e, caller, number), 0)) {
		e = pyprof_fold_edge_to(f, caller, number);
		if (!e) {
			f->s.n_lost++;
			return;
		}
		f->fn[caller].last_edge = e; /* a guess: no need to undo it */
	}
	if (__builtin_expect(depth == f->cap_depth, 0) && !f->grow(f)) {
		f->s.n_lost++;
		return;
	}
	f->s.n_found += flags == PYPROF_FRAME_OPEN;
	edge = pyprof_fold_change_edge(f, e);
	edge->level++;
	pyprof_fold_change_fn(f, edge->callee)->level++;
	frame = &f->stack[depth];
	*frame = (struct pyprof_fold_frame){
		.start = f->s.now, .edge = e, .flags = flags, .python = f->s.python
	};
	for (int i = 0; i < PYPROF_COSTS; i++)
		frame->cost[i] = f->s.cost[i];
	f->s.depth = depth + 1;
}

/* What has been counted since the frame began is added to what its cumulative time is added to. */
static inline void pyprof_fold_add_cost(const struct pyprof_fold *f,
					const struct pyprof_fold_frame *frame, uint64_t *cost,
					uint64_t *python)
{
	for (int i = 0; i < PYPROF_COSTS; i++)
		cost[i] += f->s.cost[i] - frame->cost[i];
	*python += f->s.python - frame->python;
}

/* A call has ended: it counts in the self time of its caller, and all around that. */
static inline void pyprof_fold_count_call(struct pyprof_fold *f, uint32_t flags, bool exception)
{
	uint64_t *self = f->s.depth ? f->stack[f->s.depth - 1].self_cost : f->root_cost;
	int language = flags & PYPROF_FRAME_C ? PYPROF_COST_C : PYPROF_COST_PYTHON;
	bool bare = flags & PYPROF_FRAME_BARE;

	f->s.cost[language]++;
	self[language]++;
	f->s.cost[PYPROF_COST_BARE] += bare;
	self[PYPROF_COST_BARE] += bare;
	f->s.cost[PYPROF_COST_EXCEPTION] += exception;
	self[PYPROF_COST_EXCEPTION] += exception;
}

/* Closes the innermost frame now. */
static inline void pyprof_fold_leave_top(struct pyprof_fold *f, bool exception)
{
	uint32_t depth = --f->s.depth;
	const struct pyprof_fold_frame *frame = &f->stack[depth];
	struct pyprof_fold_edge *e = pyprof_fold_change_edge(f, frame->edge);
	struct pyprof_fold_fn *fn = pyprof_fold_change_fn(f, e->callee);
	uint64_t total = f->s.now - frame->start;
	uint64_t self = total - frame->inside;
	uint64_t n = !(frame->flags & PYPROF_FRAME_OPEN);

	f->low_depth = depth < f->low_depth ? depth : f->low_depth;
	if (depth)
		f->stack[depth - 1].inside += total;
	if (!(frame->flags & PYPROF_FRAME_C))
		f->s.python += self;
	if (--fn->level == 0) {
		fn->total += total;
		pyprof_fold_add_cost(f, frame, fn->cost, &fn->python);
	} else {
		fn->n_recursive += n;
	}
	if (--e->level == 0) {
		e->total += total;
		pyprof_fold_add_cost(f, frame, e->cost, &e->python);
	} else {
		e->n_recursive += n;
	}
	e->n_calls += n;
	e->n_exceptions += exception & n;
	e->n_bare += frame->flags / PYPROF_FRAME_BARE & 1;
	e->n_resumes += frame->flags / PYPROF_FRAME_RESUMED & 1;
	e->self += self;
	for (int i = 0; i < PYPROF_COSTS; i++)
		e->self_cost[i] += frame->self_cost[i];
	if (n)
		pyprof_fold_count_call(f, frame->flags, exception);
}

static inline bool pyprof_fold_is_top(const struct pyprof_fold *f, uint32_t number)
{
	uint32_t depth = f->s.depth;

	return depth && f->fn[f->edge[f->stack[depth - 1].edge].callee].number == number;
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
		f->s.n_unmatched++;
		return;
	}
	while (!pyprof_fold_is_top(f, number)) {
		pyprof_fold_leave_top(f, false);
		f->s.n_closed++;
	}
	pyprof_fold_leave_top(f, exception);
}

static inline void pyprof_fold_leave(struct pyprof_fold *f, uint32_t number, bool exception,
				     bool is_c)
{
	if (__builtin_expect(pyprof_fold_is_top(f, number), 1))
		pyprof_fold_leave_top(f, exception);
	else
		pyprof_fold_leave_other(f, number, exception, is_c);
}

/* The thread ends, or its records do: what is running still is closed at the last known time. */
static inline void pyprof_fold_close(struct pyprof_fold *f)
{
	while (f->s.depth) {
		f->s.n_open++;
		pyprof_fold_leave_top(f, false);
	}
}

/* --- records ---------------------------------------------------------------------------------------- */

/* Records that tell of the thread and its clock. */
static inline void pyprof_fold_control(struct pyprof_fold *f, uint64_t r)
{
	uint64_t ticks = pyprof_record_ticks(r);

	switch (pyprof_record_kind(r)) {
	case PYPROF_GAP: /* no time passes: what runs now is told by the records that follow */
		f->s.n_gaps++;
		if ((int64_t)(f->s.base + ticks - f->s.now) > 0)
			f->s.gap_ticks += f->s.base + ticks - f->s.now;
		break;
	case PYPROF_SYNC:
		f->s.base += ticks << PYPROF_SYNC_SHIFT;
		break;
	case PYPROF_THREAD:
		pyprof_fold_close(f);
		f->s.now = f->s.base + ticks;
		f->s.n_threads += pyprof_record_fn(r) != f->s.thread;
		f->s.thread = pyprof_record_fn(r);
		break;
	case PYPROF_THREAD_END:
		if ((int64_t)(f->s.base + ticks - f->s.now) > 0)
			f->s.now = f->s.base + ticks;
		pyprof_fold_close(f);
		break;
	}
}

/* One record. Time never goes back: a clock that did stands still. */
static inline void pyprof_fold_record(struct pyprof_fold *f, uint64_t r)
{
	unsigned kind = pyprof_record_kind(r);
	uint32_t fn = pyprof_record_fn(r);
	uint64_t at = f->s.base + pyprof_record_ticks(r);

	if (__builtin_expect(kind >= PYPROF_THREAD, 0)) {
		pyprof_fold_control(f, r);
		return;
	}
	f->s.n_records++;
	if (__builtin_expect((int64_t)(at - f->s.now) > 0, 1))
		f->s.now = at;
	switch (kind) {
	case PYPROF_CALL:
		pyprof_fold_enter(f, fn, 0);
		break;
	case PYPROF_BARE_CALL:
		pyprof_fold_enter(f, fn, PYPROF_FRAME_BARE);
		break;
	case PYPROF_RESUME:
	case PYPROF_THROW:
		pyprof_fold_enter(f, fn, PYPROF_FRAME_BARE | PYPROF_FRAME_RESUMED);
		break;
	case PYPROF_C_CALL:
		pyprof_fold_enter(f, fn, PYPROF_FRAME_C);
		break;
	case PYPROF_OPEN:
		pyprof_fold_enter(f, fn, PYPROF_FRAME_OPEN);
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

/* A block begins: `base` and `skipped` are its header's. */
static inline void pyprof_fold_block(struct pyprof_fold *f, uint64_t base, uint64_t skipped)
{
	f->s.base = base;
	f->s.skipped_ticks = skipped;
	if (!f->s.n_records)
		f->s.first_ticks = base + skipped;
}

#endif
