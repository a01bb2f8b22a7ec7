/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records -> a calling-context tree: the arithmetic of calls by path. A node is a path of calls
 * from the root. The current node is the stack, so neither frames nor levels nor cumulative times
 * are kept: calls and self times are counted, and all else is derived. fold.h has the same
 * arithmetic for functions and caller edges; the reader runs both over the records of a ring.
 *
 *	root -> thread -> function -> callee -> ...	a parent's number is lower than its child's
 *
 * Three things differ from CPython's Modules/_lsprof.c: a return is matched by its function, not
 * with the top of the stack; every thread has a stack of its own; a class call is counted, though
 * it has no entry in a profile.
 *
 * The nodes hold numbers and no pointers; struct pyprof_tree is a view of them. One thread at a
 * time. Only `grow` may allocate. All times are ticks.
 */
#ifndef PYPROF_TREE_H
#define PYPROF_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "format.h"
#include "order.h"

/* For code that runs for every record; the rest is kept out of line. */
#define PYPROF_TREE_INLINE inline __attribute__((always_inline))
#define PYPROF_TREE_SLOW __attribute__((noinline, unused))

/* --- nodes ------------------------------------------------------------------------------------ */

/* Bits of pyprof_node.fn beside the function's number. */
#define PYPROF_NODE_NUMBER ((1u << PYPROF_FN_BITS) - 1)
#define PYPROF_NODE_C (1u << 24)      /* a C function */
#define PYPROF_NODE_OPEN (1u << 25)   /* it ran already when recording began: time, but no call */
#define PYPROF_NODE_CLASS (1u << 26)  /* a leaf: class calls of the parent, see n_calls */
#define PYPROF_NODE_CARRY (1u << 27)  /* a leaf: counts of the parent, see pyprof_tree_carry */
#define PYPROF_NODE_THREAD (1u << 28) /* the number is a thread's; the root has it too */
#define PYPROF_NODE_WIDE (1u << 31)   /* its children are in buckets, not in a list: a hint */

/* Nodes that are not calls of a function. */
#define PYPROF_NODE_SPECIAL (PYPROF_NODE_CLASS | PYPROF_NODE_CARRY | PYPROF_NODE_THREAD)

/* One calling context. */
struct pyprof_node {
	uint32_t parent; /* constant; lower than its own number */
	uint32_t fn;	 /* constant except for PYPROF_NODE_WIDE */
	uint32_t epoch;	 /* the tree's, when it changed last */
	/* Links. Every use is checked; they are made again when there is room for more nodes. */
	uint32_t first;	  /* the head of its list of children; of a wide node, a guess */
	uint32_t next;	  /* the next one in the parent's list, or in the bucket */
	uint32_t follow;  /* a guess: the node that its parent called after it */
	uint64_t n_calls; /* with resumes, as cProfile counts them; of class calls: their units */
	uint64_t self;
	uint64_t distance;     /* reuse distances of its events, added up */
	uint32_t n_direct;     /* of n_calls, direct calls and resumes */
	uint32_t n_resumes;    /* of n_calls, those that resumed a suspended generator */
	uint32_t n_exceptions; /* calls that were left by an exception */
	uint32_t n_high;       /* calls whose end had PYPROF_HIGH_OFFSET */
};

_Static_assert(sizeof(struct pyprof_node) == 64, "a cache line");

struct pyprof_tree_state {
	uint64_t base, now, n_records;
	uint64_t n_unmatched; /* returns without a call */
	uint64_t n_closed;    /* calls without a return, ended with their caller ... */
	uint64_t n_open;  /* ... at a blind interval, a pause, or the end of thread or records */
	uint64_t n_found; /* calls that ran already when recording began */
	uint64_t first_ticks; /* clock reading of the ring's first record */
	uint64_t skipped_ticks;
	uint64_t n_blind_intervals;
	uint64_t blind_interval_ticks;
	uint32_t n_nodes;
	uint32_t current;   /* its path is the stack ... */
	uint32_t base_node; /* ... down from this one: of the thread, or the root */
	uint32_t thread;
	uint32_t n_threads;
};

struct pyprof_tree {
	struct pyprof_node *node; /* node[0] is the root */
	uint32_t cap;		  /* there is room for so many */
	/* Heads of lists by the hash of (parent, fn): children of nodes that have many. */
	uint32_t *bucket;
	uint32_t bucket_mask; /* their number - 1; a power of two */
	/*
	 * The odd multiplier of the hash. A reader's is random, so that numbers chosen to collide
	 * cannot make it slow.
	 */
	uint64_t multiplier;
	/*
	 * n_records when a function was last called, by its number and last_mask: functions may
	 * share an entry.
	 */
	uint32_t *last_record;
	uint32_t last_mask;
	uint32_t epoch; /* changes with each batch of records, of fewer than 2^31 */
	uint64_t guess; /* offset of a field in the nodes: a hint which one is entered next */
	struct pyprof_tree_state s;
	uint32_t max_distance, max_idle; /* header.* */
	/* Makes room for one more node. False: it cannot. */
	bool (*grow)(struct pyprof_tree *t);
};

/* A parent with more children than this has them in buckets. */
#define PYPROF_TREE_WIDE 8u

/* Makes a tree of a root. Call it once there is room for one node. */
static inline void pyprof_tree_plant(struct pyprof_tree *t)
{
	t->node[0] = (struct pyprof_node){ .fn = PYPROF_NODE_THREAD | PYPROF_NODE_NUMBER };
	t->s = (struct pyprof_tree_state){ .n_nodes = 1 };
	t->guess = offsetof(struct pyprof_node, first);
}

/*
 * Returns the parent's number. A damaged node leads neither outside of the nodes nor round in a
 * circle.
 */
static inline uint32_t pyprof_tree_parent(const struct pyprof_tree *t, uint32_t n)
{
	uint32_t parent = __atomic_load_n(&t->node[n].parent, __ATOMIC_RELAXED);

	return parent < n ? parent : 0;
}

/* The number of calls on the stack. */
static inline uint32_t pyprof_tree_depth(const struct pyprof_tree *t)
{
	uint32_t depth = 0;

	for (uint32_t n = t->s.current; n > t->s.base_node; n = pyprof_tree_parent(t, n))
		depth++;
	return depth;
}

/* --- finding ---------------------------------------------------------------------------------- */

static inline uint32_t *pyprof_tree_bucket(const struct pyprof_tree *t, uint32_t parent,
					   uint32_t fn)
{
	uint32_t hash = (uint32_t)((((uint64_t)parent << 32 ^ fn) * t->multiplier) >> 32);

	return &t->bucket[hash & t->bucket_mask];
}

static inline bool pyprof_tree_is(const struct pyprof_tree *t, uint32_t n, uint32_t parent,
				  uint32_t fn)
{
	return t->node[n].parent == parent && (t->node[n].fn & ~PYPROF_NODE_WIDE) == fn;
}

/* Puts a node in front of a list. */
static inline void pyprof_tree_push(struct pyprof_tree *t, uint32_t *head, uint32_t n)
{
	t->node[n].next = *head;
	*head = n;
}

/* Looks in the list of children, and moves what it finds to the front. 0: not found. */
static inline uint32_t pyprof_tree_find_listed(struct pyprof_tree *t, uint32_t parent, uint32_t fn,
					       uint32_t *n_children)
{
	uint32_t *head = &t->node[parent].first, *link = head, n;

	for (*n_children = 0; (n = *link) && n < t->s.n_nodes && *n_children <= PYPROF_TREE_WIDE;
	     ++*n_children) {
		if (pyprof_tree_is(t, n, parent, fn)) {
			*link = t->node[n].next;
			pyprof_tree_push(t, head, n);
			return n;
		}
		link = &t->node[n].next;
	}
	return 0;
}

/* Looks in the bucket. A damaged list may be a circle. */
static inline uint32_t pyprof_tree_find_in_bucket(const struct pyprof_tree *t, uint32_t parent,
						  uint32_t fn)
{
	uint32_t left = t->s.n_nodes;

	for (uint32_t n = *pyprof_tree_bucket(t, parent, fn); n && n < t->s.n_nodes && left--;
	     n = t->node[n].next) {
		if (pyprof_tree_is(t, n, parent, fn))
			return n;
	}
	return 0;
}

/* Moves the listed children of a node that has too many to buckets. */
static inline void pyprof_tree_widen(struct pyprof_tree *t, uint32_t parent)
{
	uint32_t n = t->node[parent].first;

	for (uint32_t i = 0; i <= PYPROF_TREE_WIDE && n && n < t->s.n_nodes; i++) {
		uint32_t next = t->node[n].next;

		pyprof_tree_push(
			t, pyprof_tree_bucket(t, parent, t->node[n].fn & ~PYPROF_NODE_WIDE), n);
		n = next;
	}
	t->node[parent].fn |= PYPROF_NODE_WIDE;
	t->node[parent].first = 0;
}

/* Lets the parent find a new child. `n_children`: the length of the parent's list. */
static inline void pyprof_tree_link(struct pyprof_tree *t, uint32_t n, uint32_t n_children)
{
	uint32_t parent = pyprof_tree_parent(t, n);
	const struct pyprof_node *x = &t->node[n];

	if (n_children >= PYPROF_TREE_WIDE && !(t->node[parent].fn & PYPROF_NODE_WIDE))
		pyprof_tree_widen(t, parent);
	if (t->node[parent].fn & PYPROF_NODE_WIDE)
		pyprof_tree_push(t, pyprof_tree_bucket(t, parent, x->fn & ~PYPROF_NODE_WIDE), n);
	else
		pyprof_tree_push(t, &t->node[parent].first, n);
}

/* Returns the child of a node, which is made if it does not exist. 0: there is no room. */
static PYPROF_TREE_SLOW uint32_t pyprof_tree_child(struct pyprof_tree *t, uint32_t parent,
						   uint32_t fn)
{
	uint32_t n, n_children = 0;

	if (t->node[parent].fn & PYPROF_NODE_WIDE)
		n = pyprof_tree_find_in_bucket(t, parent, fn);
	else
		n = pyprof_tree_find_listed(t, parent, fn, &n_children);
	if (n)
		return n;
	if (t->s.n_nodes == t->cap && !t->grow(t))
		return 0;
	n = t->s.n_nodes++;
	t->node[n] = (struct pyprof_node){ .parent = parent, .fn = fn, .epoch = t->epoch };
	pyprof_tree_link(t, n, n_children);
	return n;
}

/* Makes all links, guesses and buckets again. */
static PYPROF_TREE_SLOW void pyprof_tree_relink(struct pyprof_tree *t)
{
	memset(t->bucket, 0, (t->bucket_mask + 1ull) * sizeof(*t->bucket));
	for (uint32_t n = 0; n < t->s.n_nodes; n++) {
		struct pyprof_node *x = &t->node[n];

		x->fn &= ~PYPROF_NODE_WIDE;
		x->first = x->next = x->follow = 0;
	}
	for (uint32_t n = 1; n < t->s.n_nodes; n++) {
		uint32_t n_children = 0;

		for (uint32_t c = t->node[pyprof_tree_parent(t, n)].first; c; c = t->node[c].next)
			n_children++;
		pyprof_tree_link(t, n, n_children);
	}
}

/* --- changing --------------------------------------------------------------------------------- */

/* The counts of a node that have 32 bits. */
#define PYPROF_NODE_SMALL(x) ((x)->n_direct | (x)->n_resumes | (x)->n_exceptions | (x)->n_high)
#define PYPROF_NODE_HALF (1u << 31)

/*
 * Moves 2^31 of each count that has them to a leaf, which counts such moves. Without room for the
 * leaf the next batch tries again, which is in time: it has fewer records. May move the nodes.
 */
static PYPROF_TREE_SLOW void pyprof_tree_carry(struct pyprof_tree *t, uint32_t n)
{
	uint32_t c = pyprof_tree_child(t, n, PYPROF_NODE_CARRY);
	struct pyprof_node *x = &t->node[n], *carry = &t->node[c];

	if (!c)
		return;
	carry->epoch = t->epoch;
	carry->n_direct += x->n_direct >> 31;
	carry->n_resumes += x->n_resumes >> 31;
	carry->n_exceptions += x->n_exceptions >> 31;
	carry->n_high += x->n_high >> 31;
	x->n_direct &= ~PYPROF_NODE_HALF;
	x->n_resumes &= ~PYPROF_NODE_HALF;
	x->n_exceptions &= ~PYPROF_NODE_HALF;
	x->n_high &= ~PYPROF_NODE_HALF;
}

static PYPROF_TREE_SLOW void pyprof_tree_begin_change(struct pyprof_tree *t, uint32_t n)
{
	t->node[n].epoch = t->epoch;
	if (__builtin_expect(PYPROF_NODE_SMALL(&t->node[n]) & PYPROF_NODE_HALF, 0))
		pyprof_tree_carry(t, n);
}

/* Call it before a change of a node's numbers. May move the nodes. */
static PYPROF_TREE_INLINE void pyprof_tree_change(struct pyprof_tree *t, uint32_t n)
{
	if (__builtin_expect(t->node[n].epoch != t->epoch, 0))
		pyprof_tree_begin_change(t, n);
}

/* --- records ---------------------------------------------------------------------------------- */

/* The part of the state that the loop over records keeps in registers. */
struct pyprof_tree_run {
	struct pyprof_node *node, *current;
	uint32_t *guess;
	uint64_t now; /* less the base */
	uint64_t n_records;
};

static PYPROF_TREE_INLINE void pyprof_tree_load(const struct pyprof_tree *t,
						struct pyprof_tree_run *r)
{
	r->node = t->node;
	r->current = &t->node[t->s.current];
	r->guess = (uint32_t *)(void *)((char *)t->node + t->guess);
	r->now = t->s.now - t->s.base;
	r->n_records = t->s.n_records;
}

static PYPROF_TREE_INLINE void pyprof_tree_store(struct pyprof_tree *t,
						 const struct pyprof_tree_run *r)
{
	t->s.current = (uint32_t)(r->current - r->node);
	t->guess = (uint64_t)((char *)r->guess - (char *)r->node);
	t->s.now = r->now + t->s.base;
	t->s.n_records = r->n_records;
}

/* Makes a node the current one. Its callee is likely to be the first one of the last time. */
static inline void pyprof_tree_move_to(struct pyprof_tree *t, uint32_t n)
{
	t->s.current = n;
	pyprof_tree_change(t, n);
	t->guess = n * sizeof(struct pyprof_node) + offsetof(struct pyprof_node, first);
}

/* Hints at the node that is called after `n`. */
static inline void pyprof_tree_guess_after(struct pyprof_tree *t, uint32_t n)
{
	t->guess = n * sizeof(struct pyprof_node) + offsetof(struct pyprof_node, follow);
}

/* Adds time to the current node, up to `at`. */
static inline void pyprof_tree_pass(struct pyprof_tree *t, uint64_t at)
{
	if ((int64_t)(at - t->s.now) <= 0)
		return;
	pyprof_tree_change(t, t->s.current);
	t->node[t->s.current].self += at - t->s.now;
	t->s.now = at;
}

/*
 * Ends all calls at `at`, or now if that is later: at the end of the thread or of its records, or
 * where returns were not recorded.
 */
static PYPROF_TREE_SLOW void pyprof_tree_close(struct pyprof_tree *t, uint64_t at)
{
	pyprof_tree_pass(t, at);
	t->s.n_open += pyprof_tree_depth(t);
	pyprof_tree_move_to(t, t->s.base_node);
}

/* Changes to a thread, whose stack is empty. False: there is no room. */
static inline bool pyprof_tree_begin_thread(struct pyprof_tree *t, uint32_t thread)
{
	uint32_t n = pyprof_tree_child(t, 0, PYPROF_NODE_THREAD | thread);

	t->s.n_threads += thread != t->s.thread;
	t->s.thread = thread;
	t->s.base_node = n;
	pyprof_tree_move_to(t, n);
	return n != 0;
}

/*
 * Counts a class call of the current node: `units` is its overhead, see PYPROF_CLASS_UNITS. False:
 * there is no room.
 */
static inline bool pyprof_tree_count_class_call(struct pyprof_tree *t, uint32_t units, bool high)
{
	uint32_t n = pyprof_tree_child(t, t->s.current, PYPROF_NODE_CLASS);

	if (!n)
		return false;
	pyprof_tree_change(t, n);
	t->node[n].n_calls += units;
	t->node[n].n_high += high;
	return true;
}

/*
 * A blind interval takes no time from the running calls; the records that follow say which run
 * then. One that a recording begins with, in a forked child, has no known length.
 */
static inline void pyprof_tree_blind(struct pyprof_tree *t, bool begins, uint64_t at)
{
	if (begins) {
		pyprof_tree_pass(t, at);
		return;
	}
	t->s.n_blind_intervals++;
	if ((int64_t)(at - t->s.now) > 0 && t->s.n_records)
		t->s.blind_interval_ticks += at - t->s.now;
}

/* Records about the thread and its clock. False: there is no room. */
static PYPROF_TREE_SLOW bool pyprof_tree_control(struct pyprof_tree *t, uint64_t r)
{
	uint32_t number = pyprof_record_fn(r);
	uint64_t ticks = pyprof_record_ticks(r);

	switch (pyprof_record_kind(r)) {
	case PYPROF_BLIND:
		pyprof_tree_blind(t, number == PYPROF_BLIND_BEGINS, t->s.base + ticks);
		break;
	case PYPROF_SYNC:
		if (number)
			return pyprof_tree_count_class_call(t, number, r & PYPROF_HIGH_OFFSET);
		t->s.base += ticks << PYPROF_SYNC_SHIFT;
		break;
	case PYPROF_THREAD: /* after a blind interval or a pause, or another thread's */
		pyprof_tree_close(t, t->s.now);
		t->s.now = t->s.base + ticks;
		return pyprof_tree_begin_thread(t, number);
	case PYPROF_THREAD_END:
		pyprof_tree_close(t, t->s.base + ticks);
		break;
	}
	return true;
}

/*
 * Sets of kinds that end a call, one bit each, and one bit each with PYPROF_HIGH_OFFSET. RARE: ends
 * that are counted.
 */
#define PYPROF_TREE_ENDS(kinds) ((uint32_t)(kinds) | (uint32_t)(kinds) << PYPROF_HIGH_OFFSET)
#define PYPROF_TREE_ENDS_EXCEPTION PYPROF_TREE_ENDS(PYPROF_KINDS_EXCEPTION)
#define PYPROF_TREE_ENDS_C PYPROF_TREE_ENDS(PYPROF_KINDS_END_OF_C)
#define PYPROF_TREE_ENDS_RARE (PYPROF_TREE_ENDS_EXCEPTION | ~0u << PYPROF_HIGH_OFFSET)

/* `end`: bits 0..4 of the record that ended the call. */
static PYPROF_TREE_INLINE void pyprof_tree_count_end(struct pyprof_node *x, unsigned end)
{
	if (__builtin_expect(PYPROF_TREE_ENDS_RARE >> end & 1, 0) && !(x->fn & PYPROF_NODE_OPEN)) {
		x->n_exceptions += PYPROF_TREE_ENDS_EXCEPTION >> end & 1;
		x->n_high += end >= PYPROF_HIGH_OFFSET;
	}
}

/* True for a call of this function: in a special node, `fn` has other bits. */
static PYPROF_TREE_INLINE bool pyprof_tree_is_call_of(const struct pyprof_node *x, uint32_t number)
{
	return (x->fn & ~(PYPROF_NODE_C | PYPROF_NODE_OPEN | PYPROF_NODE_WIDE)) == number;
}

/*
 * A return whose call is not the current node. For a C function, its call is missing (3.12.0 to
 * 3.12.4 omit some), or it was entered before recording began. For a Python function further down,
 * the returns of the calls above are missing, and they end now.
 */
static PYPROF_TREE_SLOW void pyprof_tree_leave_other(struct pyprof_tree *t, uint32_t number,
						     unsigned end)
{
	uint32_t n = PYPROF_TREE_ENDS_C >> end & 1 ? 0 : t->s.current, n_above = 0;

	for (; n && !pyprof_tree_is_call_of(&t->node[n], number); n = pyprof_tree_parent(t, n))
		n_above++;
	if (!n) {
		t->s.n_unmatched++;
		return;
	}
	t->s.n_closed += n_above;
	if (PYPROF_TREE_ENDS_RARE >> end & 1)
		pyprof_tree_change(t, n);
	pyprof_tree_count_end(&t->node[n], end);
	pyprof_tree_move_to(t, pyprof_tree_parent(t, n));
	pyprof_tree_guess_after(t, n);
}

/*
 * Makes the callee `fn` of the current node if the guess is wrong, and notes it there. False: there
 * is no room.
 */
static PYPROF_TREE_SLOW bool pyprof_tree_find(struct pyprof_tree *t, uint32_t fn)
{
	uint32_t n = pyprof_tree_child(t, t->s.current, fn);
	uint64_t first =
		t->s.current * sizeof(struct pyprof_node) + offsetof(struct pyprof_node, first);

	if (!n)
		return false;
	if (t->guess != first || t->node[t->s.current].fn & PYPROF_NODE_WIDE)
		*(uint32_t *)(void *)((char *)t->node + t->guess) = n; /* not a list's head */
	pyprof_tree_move_to(t, n);
	return true;
}

/*
 * A call begins: its node becomes the current one. A guess is
 * checked, so a wrong one costs time only.
 */
static PYPROF_TREE_INLINE bool pyprof_tree_enter(struct pyprof_tree *t, struct pyprof_tree_run *r,
						 uint32_t fn)
{
	uint32_t n = __atomic_load_n(r->guess, __ATOMIC_RELAXED);
	struct pyprof_node *x = &r->node[n < t->s.n_nodes ? n : 0];

	if (__builtin_expect((x->fn & ~PYPROF_NODE_WIDE) == fn && x->epoch == t->epoch &&
				     &r->node[x->parent] == r->current,
			     1)) {
		r->current = x;
		r->guess = &x->first;
		return true;
	}
	pyprof_tree_store(t, r);
	if (!pyprof_tree_find(t, fn))
		return false;
	pyprof_tree_load(t, r);
	return true;
}

/* Counts a call of the current node. */
static PYPROF_TREE_INLINE void pyprof_tree_count_call(struct pyprof_tree *t,
						      const struct pyprof_tree_run *r,
						      unsigned kind, uint32_t number, uint64_t idle)
{
	uint32_t *last = &t->last_record[number & t->last_mask];
	uint32_t distance = (uint32_t)r->n_records - *last;
	struct pyprof_node *x = r->current;

	*last = (uint32_t)r->n_records;
	if (__builtin_expect(kind == PYPROF_OPEN, 0)) {
		t->s.n_found++;
		return;
	}
	x->distance += (distance < t->max_distance ? distance : t->max_distance) + idle;
	x->n_calls++;
	if (__builtin_expect(kind != PYPROF_CALL && kind != PYPROF_C_CALL, 0)) {
		x->n_direct++;
		x->n_resumes += kind != PYPROF_DIRECT_CALL;
	}
}

/* A call ends: its parent becomes the current node. `end`: bits 0..4 of the record. */
static PYPROF_TREE_INLINE void pyprof_tree_leave(struct pyprof_tree *t, struct pyprof_tree_run *r,
						 uint32_t number, unsigned end, uint64_t idle)
{
	struct pyprof_node *x = r->current;
	uint32_t parent = x->parent;

	if (__builtin_expect(!pyprof_tree_is_call_of(x, number), 0)) {
		pyprof_tree_store(t, r);
		pyprof_tree_leave_other(t, number, end);
		pyprof_tree_load(t, r);
		return;
	}
	x->distance += idle;
	pyprof_tree_count_end(x, end);
	r->guess = &x->follow;
	r->current = &r->node[parent < t->s.n_nodes ? parent : 0];
	if (__builtin_expect(r->current->epoch != t->epoch, 0)) {
		pyprof_tree_store(t, r);
		pyprof_tree_change(t, t->s.current);
		pyprof_tree_load(t, r);
	}
}

/*
 * Adds the event of a record. `counts_idle`: true if max_idle is not 0, to save the arithmetic
 * otherwise. False: there is no room for its node.
 */
static PYPROF_TREE_INLINE bool pyprof_tree_event(struct pyprof_tree *t, struct pyprof_tree_run *r,
						 uint64_t record, bool counts_idle)
{
	unsigned kind = pyprof_record_kind(record);
	uint32_t number = pyprof_record_fn(record);
	uint64_t at = pyprof_record_ticks(record), passed = at - r->now, idle = 0;

	if (__builtin_expect((int64_t)passed > 0, 1))
		r->now = at;
	else
		passed = 0;
	if (counts_idle)
		idle = (passed < t->max_idle ? passed : t->max_idle) >> PYPROF_IDLE_SHIFT;
	r->n_records++;
	r->current->self += passed;
	if (PYPROF_KINDS_BEGIN >> kind & 1) {
		uint32_t fn = number | (kind == PYPROF_C_CALL ? PYPROF_NODE_C : 0) |
			      (kind == PYPROF_OPEN ? PYPROF_NODE_OPEN : 0);

		if (!pyprof_tree_enter(t, r, fn))
			return false;
		pyprof_tree_count_call(t, r, kind, number, idle);
	} else {
		pyprof_tree_leave(t, r, number, record & (2 * PYPROF_HIGH_OFFSET - 1), idle);
	}
	return true;
}

static PYPROF_TREE_INLINE bool pyprof_tree_records_as(struct pyprof_tree *t, const uint64_t *record,
						      const uint64_t *end, bool counts_idle)
{
	struct pyprof_tree_run r;
	uint64_t word;
	bool ok = true;

	pyprof_tree_change(t, t->s.current);
	pyprof_tree_load(t, &r);
	for (; ok && record < end && (word = pyprof_take(record)); record++) {
		if (__builtin_expect(pyprof_record_kind(word) < PYPROF_THREAD, 1)) {
			ok = pyprof_tree_event(t, &r, word, counts_idle);
		} else {
			pyprof_tree_store(t, &r);
			ok = pyprof_tree_control(t, word);
			pyprof_tree_load(t, &r);
		}
	}
	pyprof_tree_store(t, &r);
	return ok;
}

/*
 * Adds the records of a batch, up to the first that is 0. False: there was no room for a node, and
 * the tree is then invalid.
 */
static inline bool pyprof_tree_records(struct pyprof_tree *t, const uint64_t *record,
				       const uint64_t *end)
{
	return t->max_idle ? pyprof_tree_records_as(t, record, end, true)
			   : pyprof_tree_records_as(t, record, end, false);
}

/* Begins a block of records. `base` and `skipped` are those of its header. */
static inline void pyprof_tree_block(struct pyprof_tree *t, uint64_t base, uint64_t skipped)
{
	t->s.base = base;
	t->s.skipped_ticks = skipped;
	if (!t->s.n_records)
		t->s.first_ticks = base + skipped;
}

#endif
