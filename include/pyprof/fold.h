/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records -> tables: the arithmetic of a profile, written once for both sides. Results equal those
 * of CPython's Modules/_lsprof.c: recursion and callers are counted per thread, per function and
 * per edge, and the time of a recursive call is not counted again in the cumulative time. Two
 * things differ: a return is matched by its function, not with the top of the stack, and every
 * thread has a stack of its own.
 *
 * The tables hold indices and no pointers, so they can lie in private memory (the reader) or in the
 * recording (the target, see struct pyprof_fold_table); struct pyprof_fold is a view of them. One
 * thread at a time, with or without the GIL. Only `grow` may allocate. All times are ticks.
 *
 *	caller slot --edge--> callee slot	slot 0 is the root, which calls the outermost frames
 */
#ifndef PYPROF_FOLD_H
#define PYPROF_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format.h"
#include "order.h"

/* For code that runs for every record; the rest is kept out of line. */
#define PYPROF_FOLD_INLINE inline __attribute__((always_inline))

enum {
	PYPROF_FRAME_OPEN = 1,	 /* it ran already when recording began: time, but no call */
	PYPROF_FRAME_C = 2,	 /* a C function */
	PYPROF_FRAME_DIRECT = 4, /* a direct call, or a resume */
	PYPROF_FRAME_RESUMED = 8,
};

struct pyprof_fold {
	struct pyprof_fold_fn *fn;     /* fn[0] is the root */
	struct pyprof_fold_edge *edge; /* edge[0] is unused */
	/* The before-images of this epoch; NULL if folds cannot be undone. */
	struct pyprof_fold_fn *fn_before;
	struct pyprof_fold_edge *edge_before;
	uint32_t *fn_index;   /* open addressing: slot by number, 0 free (0 is the root) */
	uint32_t *edge_index; /* open addressing: edge by (caller slot, number), 0 free */
	struct pyprof_fold_frame *stack; /* stack[-1] is the root's */
	uint32_t cap_fns, cap_edges;	 /* room for slots and edges 1 .. cap */
	uint32_t fn_mask, edge_mask;	 /* size of the index - 1; at least 2 * cap */
	/*
	 * The odd multiplier of the indices' hash. A reader's is random, so that numbers chosen to
	 * collide cannot make it slow.
	 */
	uint64_t multiplier;
	uint32_t cap_depth, low_depth; /* the lowest depth since the owner set it */
	uint32_t epoch;		       /* number of the current block, if entries can be undone */
	struct pyprof_fold_state s;
	const int32_t *weight;		 /* header.overhead_weight */
	uint32_t max_distance, max_idle; /* header.* */
	/*
	 * Enlarges what has reached its cap, for one more function, edge or frame. False: it
	 * cannot, and the record is lost. Set by the owner of the tables.
	 */
	bool (*grow)(struct pyprof_fold *f);
};

/* --- finding ---------------------------------------------------------------------------------- */

#define PYPROF_FOLD_MULTIPLIER 0x9e3779b97f4a7c15ull

static inline uint32_t pyprof_fold_hash(const struct pyprof_fold *f, uint32_t caller,
					uint32_t number)
{
	return (uint32_t)((((uint64_t)caller << 24 ^ number) * f->multiplier) >> 32);
}

/* Returns the slot of a function, or 0 if it has none. */
static inline uint32_t pyprof_fold_find_fn(const struct pyprof_fold *f, uint32_t number)
{
	for (uint32_t i = pyprof_fold_hash(f, 0, number);; i++) {
		uint32_t slot = f->fn_index[i & f->fn_mask];

		if (!slot || f->fn[slot].number == number)
			return slot;
	}
}

static inline void pyprof_fold_index_fn(struct pyprof_fold *f, uint32_t slot)
{
	uint32_t i = pyprof_fold_hash(f, 0, f->fn[slot].number);

	while (f->fn_index[i & f->fn_mask])
		i++;
	f->fn_index[i & f->fn_mask] = slot;
}

/*
 * Returns the callee's slot. Another process may write to the tables, against the rules. So each
 * number that leads to an entry is read once, and no value of it leads outside of the tables.
 */
static inline uint32_t pyprof_fold_callee(const struct pyprof_fold *f, uint32_t e)
{
	uint32_t slot = __atomic_load_n(&f->edge[e].callee, __ATOMIC_RELAXED);

	return slot <= f->cap_fns ? slot : 0;
}

static inline void pyprof_fold_index_edge(struct pyprof_fold *f, uint32_t e)
{
	uint32_t i = pyprof_fold_hash(f, f->edge[e].caller, f->fn[pyprof_fold_callee(f, e)].number);

	while (f->edge_index[i & f->edge_mask])
		i++;
	f->edge_index[i & f->edge_mask] = e;
}

/* Returns the frame for stack[-1]. Records never have this number. */
static inline struct pyprof_fold_frame pyprof_fold_root(void)
{
	return (struct pyprof_fold_frame){ .number = UINT32_MAX };
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

/*
 * Returns the edge from a slot to a function, which is made if it does not exist; 0: it cannot be.
 */
static __attribute__((noinline, unused)) uint32_t pyprof_fold_edge_to(struct pyprof_fold *f,
								      uint32_t caller,
								      uint32_t number)
{
	uint32_t slot;

	for (uint32_t i = pyprof_fold_hash(f, caller, number);; i++) {
		uint32_t e = f->edge_index[i & f->edge_mask];

		if (!e)
			break;
		if (f->edge[e].caller == caller && f->fn[pyprof_fold_callee(f, e)].number == number)
			return e;
	}
	if ((f->s.n_edges == f->cap_edges || f->s.n_fns == f->cap_fns) && !f->grow(f))
		return 0;
	slot = pyprof_fold_find_fn(f, number);
	if (!slot)
		slot = pyprof_fold_add_fn(f, number);
	return pyprof_fold_add_edge(f, caller, slot);
}

/* --- changing --------------------------------------------------------------------------------- */

/*
 * Marks an entry whose before-image is complete, before the entry changes for the first time in an
 * epoch. The before-image must be whole before the epoch says so, and the epoch must be stored
 * before the change: a kill stops the stores at any point, in program order.
 */
static inline void pyprof_fold_mark(uint32_t *mark, uint32_t epoch)
{
	pyprof_mark(mark, epoch);
	pyprof_fence_before_reuse(); /* P12 */
}

static inline struct pyprof_fold_fn *pyprof_fold_change_fn(struct pyprof_fold *f, uint32_t slot)
{
	struct pyprof_fold_fn *fn = &f->fn[slot];

	if (__builtin_expect(fn->epoch != f->epoch, 0) && f->fn_before) {
		f->fn_before[slot] = *fn;
		pyprof_fold_mark(&fn->epoch, f->epoch);
	}
	return fn;
}

static inline struct pyprof_fold_edge *pyprof_fold_change_edge(struct pyprof_fold *f, uint32_t e)
{
	struct pyprof_fold_edge *edge = &f->edge[e];

	if (__builtin_expect(edge->epoch != f->epoch, 0) && f->edge_before) {
		f->edge_before[e] = *edge;
		pyprof_fold_mark(&edge->epoch, f->epoch);
	}
	return edge;
}

/* Returns the caller's slot. `through_c`: the innermost Python function, if there is one. */
static PYPROF_FOLD_INLINE uint32_t pyprof_fold_caller(const struct pyprof_fold *f, bool through_c)
{
	int32_t top = (int32_t)f->s.depth - 1, at = top;

	while (through_c && at >= 0 && f->stack[at].flags & PYPROF_FRAME_C)
		at--;
	return f->stack[at >= 0 ? at : top].slot;
}

static PYPROF_FOLD_INLINE void pyprof_fold_count_distance(struct pyprof_fold *f,
							  struct pyprof_fold_edge *e, uint64_t n)
{
	e->distance += n;
	f->s.distance += n;
}

/* Returns the reuse distance of an edge in events, at most max_distance. */
static PYPROF_FOLD_INLINE uint64_t pyprof_fold_distance(const struct pyprof_fold *f,
							const struct pyprof_fold_edge *e)
{
	uint64_t n = f->s.n_records - e->last_record;

	return n < f->max_distance ? n : f->max_distance;
}

/*
 * Counts a lost call, and its return with it. The return will be counted as unmatched, so that is
 * subtracted in advance: while the call runs, n_unmatched is one too low; see
 * pyprof_fold_settle_losses.
 */
static __attribute__((noinline, unused)) void pyprof_fold_lose_call(struct pyprof_fold *f)
{
	f->s.n_lost += 2;
	f->s.n_unmatched--;
}

/* At the end: a lost call that still runs has no return, so that was not an event. */
static inline void pyprof_fold_settle_losses(struct pyprof_fold_state *s)
{
	if ((int64_t)s->n_unmatched < 0) {
		s->n_lost += s->n_unmatched;
		s->n_unmatched = 0;
	}
}

/* Pushes a frame. `idle`: the idle ticks that count, in events. */
static PYPROF_FOLD_INLINE void pyprof_fold_enter(struct pyprof_fold *f, uint32_t number,
						 uint32_t flags, bool through_c, uint64_t idle)
{
	uint32_t depth = f->s.depth;
	uint32_t caller = pyprof_fold_caller(f, through_c);
	uint32_t e = __atomic_load_n(&f->fn[caller].last_edge, __ATOMIC_RELAXED);
	struct pyprof_fold_frame *frame;
	struct pyprof_fold_edge *edge;
	uint32_t slot;

	if (__builtin_expect(f->fn[caller].last_number != number || e - 1 >= f->cap_edges, 0)) {
		e = pyprof_fold_edge_to(f, caller, number);
		if (!e) {
			pyprof_fold_lose_call(f);
			return;
		}
		f->fn[caller].last_edge = e; /* a guess, which needs no undo */
		f->fn[caller].last_number = number;
	}
	if (__builtin_expect(depth == f->cap_depth, 0) && !f->grow(f)) {
		pyprof_fold_lose_call(f);
		return;
	}
	slot = pyprof_fold_callee(f, e);
	edge = pyprof_fold_change_edge(f, e);
	edge->level++;
	if (__builtin_expect(flags == PYPROF_FRAME_OPEN, 0))
		f->s.n_found++;
	else
		pyprof_fold_count_distance(f, edge, pyprof_fold_distance(f, edge) + idle);
	edge->last_record = f->s.n_records;
	pyprof_fold_change_fn(f, slot)->level++;
	frame = &f->stack[depth];
	frame->start = f->s.now;
	frame->inside = 0;
	frame->edge = e;
	frame->slot = slot;
	frame->number = number;
	frame->flags = flags;
	frame->self_cost = 0;
	frame->cost = f->s.cost;
	frame->python = f->s.python;
	frame->distance = f->s.distance;
	f->s.depth = depth + 1;
}

/*
 * Sets of kinds that end a call, one bit each, and one bit each with PYPROF_HIGH_OFFSET. ODD: ends
 * that need pyprof_fold_count_rare.
 */
#define PYPROF_ENDS(kinds) ((uint32_t)(kinds) | (uint32_t)(kinds) << PYPROF_HIGH_OFFSET)
#define PYPROF_ENDS_EXCEPTION PYPROF_ENDS(PYPROF_KINDS_EXCEPTION)
#define PYPROF_ENDS_C PYPROF_ENDS(PYPROF_KINDS_END_OF_C)
#define PYPROF_ENDS_RARE (PYPROF_ENDS_EXCEPTION | ~0u << PYPROF_HIGH_OFFSET)

/*
 * Counts the rare attributes of an ended call. `end`: bits 0..4 of the record that ended it.
 * Returns its extra weight.
 */
static inline int64_t pyprof_fold_count_rare(const struct pyprof_fold *f,
					     struct pyprof_fold_edge *e, uint32_t flags,
					     unsigned end)
{
	bool bare = flags & PYPROF_FRAME_DIRECT, exception = PYPROF_ENDS_EXCEPTION >> end & 1;

	e->n_exceptions += exception;
	e->n_direct += bare;
	e->n_resumes += (flags & PYPROF_FRAME_RESUMED) != 0;
	e->n_high += end >= PYPROF_HIGH_OFFSET;
	return (int64_t)(bare ? f->weight[PYPROF_OVERHEAD_DIRECT] : 0) +
	       (exception ? f->weight[PYPROF_OVERHEAD_EXCEPTION] : 0);
}

/* Ends the innermost frame now. `end`: bits 0..4 of the record that ends it; `idle`: as above. */
static PYPROF_FOLD_INLINE void pyprof_fold_leave_top(struct pyprof_fold *f, unsigned end,
						     uint64_t idle)
{
	uint32_t depth = --f->s.depth;
	const struct pyprof_fold_frame *frame = &f->stack[depth];
	struct pyprof_fold_frame *parent = &f->stack[(int32_t)depth - 1];
	struct pyprof_fold_edge *e = pyprof_fold_change_edge(f, frame->edge);
	struct pyprof_fold_fn *fn = pyprof_fold_change_fn(f, frame->slot);
	uint32_t flags = frame->flags;
	uint64_t total = f->s.now - frame->start;
	uint64_t self = total - frame->inside;
	uint64_t n = !(flags & PYPROF_FRAME_OPEN);
	int64_t weight =
		f->weight[flags & PYPROF_FRAME_C ? PYPROF_OVERHEAD_C : PYPROF_OVERHEAD_PYTHON];

	f->low_depth = depth < f->low_depth ? depth : f->low_depth;
	parent->inside += total;
	if (!(flags & PYPROF_FRAME_C))
		f->s.python += self;
	e->n_calls += n;
	e->self += self;
	e->self_cost += frame->self_cost;
	if (--fn->level == 0) {
		fn->total += total;
		fn->cost += f->s.cost - frame->cost;
		fn->python += f->s.python - frame->python;
		fn->distance_within += f->s.distance - frame->distance;
	} else {
		fn->n_recursive += n;
	}
	if (--e->level == 0) {
		e->total += total;
		e->cost += f->s.cost - frame->cost;
		e->python += f->s.python - frame->python;
		e->distance_within += f->s.distance - frame->distance;
	} else {
		e->n_recursive += n;
	}
	pyprof_fold_count_distance(f, e, idle); /* the caller's overhead, as that of what follows */
	if (__builtin_expect(PYPROF_ENDS_RARE >> end & 1 || flags & ~PYPROF_FRAME_C, 0)) {
		if (!n)
			return;
		weight += pyprof_fold_count_rare(f, e, flags, end);
		fn->n_recursive_resumes += flags & PYPROF_FRAME_RESUMED && fn->level;
	}
	parent->self_cost += (uint64_t)weight;
	f->s.cost += (uint64_t)weight;
}

static inline bool pyprof_fold_is_top(const struct pyprof_fold *f, uint32_t number)
{
	return f->stack[(int32_t)f->s.depth - 1].number == number;
}

/*
 * A return whose call is not on top. For a C function, its call is missing (3.12.0 to 3.12.4 omit
 * some), or it was entered before recording began. For a Python function further down, the returns
 * of the frames above are missing, and they end now.
 */
static __attribute__((noinline, unused)) void pyprof_fold_leave_other(struct pyprof_fold *f,
								      uint32_t number, unsigned end)
{
	uint32_t slot = pyprof_fold_find_fn(f, number);

	if (PYPROF_ENDS_C >> end & 1 || !slot || !f->fn[slot].level) {
		f->s.n_unmatched++;
		return;
	}
	while (f->s.depth && !pyprof_fold_is_top(f, number)) {
		pyprof_fold_leave_top(f, PYPROF_RETURN, 0);
		f->s.n_closed++;
	}
	if (f->s.depth) /* the levels may differ from the stack in a damaged table */
		pyprof_fold_leave_top(f, end, 0);
}

/*
 * Ends all frames at `now`: at the end of the thread or of its records, or where returns were not
 * recorded. At the end of the records, the reader first moves `now` to the end of the process, or
 * to the present.
 */
static __attribute__((noinline, unused)) void pyprof_fold_close(struct pyprof_fold *f)
{
	f->s.n_open += f->s.depth;
	while (f->s.depth)
		pyprof_fold_leave_top(f, PYPROF_RETURN, 0);
}

/* --- records ---------------------------------------------------------------------------------- */

/*
 * Counts a class call: it has no entry in the profile, but has overhead. Its weight is `n` of
 * PYPROF_CLASS_UNITS parts of a call of a C function.
 */
static inline void pyprof_fold_count_class_call(struct pyprof_fold *f, uint32_t n, bool far)
{
	struct pyprof_fold_frame *frame = &f->stack[(int32_t)f->s.depth - 1];
	int64_t weight = (int64_t)n * f->weight[PYPROF_OVERHEAD_C] / (int64_t)PYPROF_CLASS_UNITS;

	pyprof_fold_change_fn(f, frame->slot)->n_class_units += n;
	f->fn[frame->slot].n_high_class_calls += far;
	frame->self_cost += (uint64_t)weight;
	f->s.cost += (uint64_t)weight;
}

/*
 * A blind interval takes no time from the running frames; the records that follow say which run
 * then. One that a recording begins with, in a forked child, has no known length.
 */
static inline void pyprof_fold_blind(struct pyprof_fold *f, bool begins, uint64_t now)
{
	bool later = (int64_t)(now - f->s.now) > 0;

	if (begins) {
		f->s.now = later ? now : f->s.now;
		return;
	}
	f->s.n_blind_intervals++;
	if (later && f->s.n_records)
		f->s.blind_interval_ticks += now - f->s.now;
}

/* Records about the thread and its clock. */
static __attribute__((noinline, unused)) void pyprof_fold_control(struct pyprof_fold *f, uint64_t r)
{
	uint64_t ticks = pyprof_record_ticks(r);

	switch (pyprof_record_kind(r)) {
	case PYPROF_BLIND:
		pyprof_fold_blind(f, pyprof_record_fn(r) == PYPROF_BLIND_BEGINS, f->s.base + ticks);
		break;
	case PYPROF_SYNC:
		if (pyprof_record_fn(r))
			pyprof_fold_count_class_call(f, pyprof_record_fn(r),
						     r & PYPROF_HIGH_OFFSET);
		else
			f->s.base += ticks << PYPROF_SYNC_SHIFT;
		break;
	case PYPROF_THREAD: /* after a blind interval or a pause, or another thread's */
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

static inline uint32_t pyprof_fold_flags(unsigned kind)
{
	static const uint8_t flags[1u << PYPROF_KIND_BITS] = {
		[PYPROF_DIRECT_CALL] = PYPROF_FRAME_DIRECT,
		[PYPROF_RESUME] = PYPROF_FRAME_DIRECT | PYPROF_FRAME_RESUMED,
		[PYPROF_THROW] = PYPROF_FRAME_DIRECT | PYPROF_FRAME_RESUMED,
		[PYPROF_C_CALL] = PYPROF_FRAME_C,
		[PYPROF_OPEN] = PYPROF_FRAME_OPEN,
	};

	return flags[kind];
}

/*
 * Adds one record. Time never runs backwards: if the clock did, `now` stands still. Constants:
 * `through_c`: callees of a C function are counted for the Python function that called it, while
 * times stay unchanged; `counts_idle`: true if max_idle is not 0, to save the arithmetic otherwise.
 */
static PYPROF_FOLD_INLINE void pyprof_fold_record_as(struct pyprof_fold *f, uint64_t r,
						     bool through_c, bool counts_idle)
{
	unsigned kind = pyprof_record_kind(r);
	uint32_t fn = pyprof_record_fn(r);
	uint64_t at = f->s.base + pyprof_record_ticks(r);
	unsigned end = r & (2 * PYPROF_HIGH_OFFSET - 1);
	uint64_t idle = at - f->s.now;

	if (__builtin_expect(kind >= PYPROF_THREAD, 0)) {
		pyprof_fold_control(f, r);
		return;
	}
	f->s.n_records++;
	if (__builtin_expect((int64_t)idle > 0, 1))
		f->s.now = at;
	else
		idle = 0;
	idle = counts_idle ? (idle < f->max_idle ? idle : f->max_idle) >> PYPROF_IDLE_SHIFT : 0;
	if (PYPROF_KINDS_BEGIN >> kind & 1)
		pyprof_fold_enter(f, fn, pyprof_fold_flags(kind), through_c, idle);
	else if (__builtin_expect(pyprof_fold_is_top(f, fn), 1))
		pyprof_fold_leave_top(f, end, idle);
	else
		pyprof_fold_leave_other(f, fn, end);
}

/* Begins a block. `base` and `skipped` are those of its header. */
static inline void pyprof_fold_block(struct pyprof_fold *f, uint64_t base, uint64_t skipped)
{
	f->s.base = base;
	f->s.skipped_ticks = skipped;
	if (!f->s.n_records)
		f->s.first_ticks = base + skipped;
}

#endif
