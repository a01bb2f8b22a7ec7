/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pyprof/ring.h"
#include "pyprof/table.h"

#ifndef FIRST_ENTRIES /* fuzzing begins with few: a table that grows has more to it, and takes less time */
#define FIRST_ENTRIES 1024u
#endif
#define MAX_ENTRIES (1u << 28)
#define MAX_CALLS (1ull << 52) /* of one ring: years of calls */

/* --- growing ------------------------------------------------------------------------------------ */

static bool resize_fns(struct pyprof_fold *f, uint32_t cap)
{
	struct pyprof_fold_fn *fn = realloc(f->fn, (cap + 1ull) * sizeof(*fn));
	uint32_t *index = calloc(cap * 2ull, sizeof(*index));

	if (fn)
		f->fn = fn;
	if (!fn || !index) {
		free(index);
		return false;
	}
	if (!f->cap_fns)
		f->fn[0] = (struct pyprof_fold_fn){ 0 };
	free(f->fn_index);
	f->fn_index = index;
	f->fn_mask = cap * 2 - 1;
	f->cap_fns = cap;
	for (uint32_t slot = 1; slot <= f->s.n_fns; slot++)
		pyprof_fold_index_fn(f, slot);
	return true;
}

static bool resize_edges(struct pyprof_fold *f, uint32_t cap)
{
	struct pyprof_fold_edge *edge = realloc(f->edge, (cap + 1ull) * sizeof(*edge));
	uint32_t *index = calloc(cap * 2ull, sizeof(*index));

	if (edge)
		f->edge = edge;
	if (!edge || !index) {
		free(index);
		return false;
	}
	if (!f->cap_edges)
		f->edge[0] = (struct pyprof_fold_edge){ 0 };
	free(f->edge_index);
	f->edge_index = index;
	f->edge_mask = cap * 2 - 1;
	f->cap_edges = cap;
	for (uint32_t e = 1; e <= f->s.n_edges; e++)
		pyprof_fold_index_edge(f, e);
	return true;
}

static bool resize_stack(struct pyprof_fold *f, uint32_t cap)
{
	struct pyprof_fold_frame *stack =
		realloc(f->stack ? f->stack - 1 : NULL, (cap + 1ull) * sizeof(*stack));

	if (!stack)
		return false;
	*stack = pyprof_fold_root();
	f->stack = stack + 1;
	f->cap_depth = cap;
	return true;
}

static bool grow(struct pyprof_fold *f)
{
	if (f->s.n_fns == f->cap_fns && !resize_fns(f, f->cap_fns * 2))
		return false;
	if (f->s.n_edges == f->cap_edges && !resize_edges(f, f->cap_edges * 2))
		return false;
	return f->s.depth < f->cap_depth || resize_stack(f, f->cap_depth * 2);
}

int tables_init(struct pyprof_fold *f)
{
	memset(f, 0, sizeof(*f));
	f->grow = grow;
	if (resize_fns(f, FIRST_ENTRIES) && resize_edges(f, FIRST_ENTRIES) &&
	    resize_stack(f, FIRST_ENTRIES))
		return 0;
	tables_fini(f);
	return -ENOMEM;
}

void tables_fini(struct pyprof_fold *f)
{
	free(f->fn);
	free(f->edge);
	free(f->fn_index);
	free(f->edge_index);
	free(f->stack ? f->stack - 1 : NULL);
	memset(f, 0, sizeof(*f));
}

int tables_copy(struct pyprof_fold *to, const struct pyprof_fold *from)
{
	size_t fn_bytes = (from->s.n_fns + 1ull) * sizeof(*from->fn);
	size_t edge_bytes = (from->s.n_edges + 1ull) * sizeof(*from->edge);

	*to = (struct pyprof_fold){ .s = from->s,
				    .n_cut = from->n_cut,
				    .weight = from->weight,
				    .max_between = from->max_between,
				    .max_gap = from->max_gap };
	to->fn = malloc(fn_bytes);
	to->edge = malloc(edge_bytes);
	if (!to->fn || !to->edge) {
		tables_fini(to);
		return -ENOMEM;
	}
	memcpy(to->fn, from->fn, fn_bytes);
	memcpy(to->edge, from->edge, edge_bytes);
	return 0;
}

void tables_clear(struct pyprof_fold *f)
{
	f->s = (struct pyprof_fold_state){ .base = f->s.base,
					   .now = f->s.now,
					   .first_ticks = f->s.now + f->s.skipped_ticks,
					   .skipped_ticks = f->s.skipped_ticks };
	f->n_cut = 0;
	f->fn[0] = (struct pyprof_fold_fn){ 0 };
	f->stack[-1] = pyprof_fold_root();
	memset(f->fn_index, 0, (f->fn_mask + 1ull) * sizeof(*f->fn_index));
	memset(f->edge_index, 0, (f->edge_mask + 1ull) * sizeof(*f->edge_index));
}

/* --- loading -------------------------------------------------------------------------------------- */

/* A checked copy of a table's state, and where its arrays lie. */
struct source {
	struct pyprof_fold_state state;
	uint64_t n_cut;
	const struct pyprof_fold_fn *fn, *fn_before;
	const struct pyprof_fold_edge *edge, *edge_before;
	const struct pyprof_fold_frame *stack;
	uint32_t folded;
};

static bool find_arrays(struct source *s, const struct attach *a, uint64_t offset, uint64_t folded)
{
	const struct pyprof_fold_table *t = attach_at(a, offset, sizeof(*t));
	struct pyprof_fold_table head = { .cap_fns = 0 };
	uint64_t at = offset + sizeof(*t);
	uint64_t fn_bytes, edge_bytes, stack_bytes;

	if (!t)
		return false;
	pyprof_copy(&head, t, offsetof(struct pyprof_fold_table, state));
	pyprof_copy(&s->state, &t->state[folded & 1], sizeof(s->state));
	s->n_cut = pyprof_get(&t->n_cut[folded & 1]);
	s->folded = (uint32_t)folded;
	if (head.extent.kind != PYPROF_EXTENT_FOLD || head.cap_fns > MAX_ENTRIES ||
	    head.cap_edges > MAX_ENTRIES || head.cap_depth > MAX_ENTRIES)
		return false;
	fn_bytes = (head.cap_fns + 1ull) * sizeof(*s->fn);
	edge_bytes = (head.cap_edges + 1ull) * sizeof(*s->edge);
	stack_bytes = (uint64_t)head.cap_depth * sizeof(*s->stack);
	s->fn = attach_at(a, at, fn_bytes);
	s->fn_before = attach_at(a, at += fn_bytes, fn_bytes);
	s->edge = attach_at(a, at += fn_bytes, edge_bytes);
	s->edge_before = attach_at(a, at += edge_bytes, edge_bytes);
	s->stack = attach_at(a, at + edge_bytes + (folded & 1) * stack_bytes, stack_bytes);
	return s->fn && s->fn_before && s->edge && s->edge_before && s->stack &&
	       s->state.n_fns <= head.cap_fns && s->state.n_edges <= head.cap_edges &&
	       s->state.depth <= head.cap_depth;
}

/*
 * An entry as the last fold left it. The mark is set before the entry changes (P12), so it is looked at behind
 * the entry, and before it as well: what is known to be changing is not read.
 */
static void read_entry(const struct source *s, void *to, const void *entry, const void *before,
		       const uint32_t *epoch, size_t bytes)
{
	if (!pyprof_table_is_undone(pyprof_marked(epoch), s->folded)) {
		pyprof_copy(to, entry, bytes);
		pyprof_fence_after_use(); /* C12 */
		if (!pyprof_table_is_undone(pyprof_marked(epoch), s->folded))
			return;
	}
	pyprof_copy(to, before, bytes);
}

static void read_fn(const struct source *s, struct pyprof_fold_fn *to, uint32_t i)
{
	read_entry(s, to, &s->fn[i], &s->fn_before[i], &s->fn[i].epoch, sizeof(*to));
}

static void read_edge(const struct source *s, struct pyprof_fold_edge *to, uint32_t i)
{
	read_entry(s, to, &s->edge[i], &s->edge_before[i], &s->edge[i].epoch, sizeof(*to));
}

static bool copy_fns(struct pyprof_fold *f, const struct source *s)
{
	for (uint32_t i = 1; i <= s->state.n_fns; i++) {
		read_fn(s, &f->fn[i], i);
		f->fn[i].level = 0; /* the stack tells */
		f->fn[i].last_edge = 0;
		if (pyprof_fold_find_fn(f, f->fn[i].number))
			return false;
		f->s.n_fns = i;
		pyprof_fold_index_fn(f, i);
	}
	return true;
}

/* Counts that calls can have, and sums of them that do not overflow. */
static bool is_possible(const struct pyprof_fold_edge *e)
{
	return e->n_calls <= MAX_CALLS && e->n_recursive <= e->n_calls &&
	       e->n_exceptions <= e->n_calls && e->n_resumes <= e->n_calls &&
	       e->n_bare <= e->n_calls && e->n_far <= e->n_calls;
}

static bool copy_edges(struct pyprof_fold *f, const struct source *s)
{
	uint64_t n_calls = 0;

	for (uint32_t i = 1; i <= s->state.n_edges; i++) {
		struct pyprof_fold_edge *e = &f->edge[i];

		read_edge(s, e, i);
		e->level = 0;
		n_calls += e->n_calls;
		if (!e->callee || e->callee > f->s.n_fns || e->caller > f->s.n_fns ||
		    !is_possible(e) || n_calls > MAX_CALLS)
			return false;
		f->s.n_edges = i;
		pyprof_fold_index_edge(f, i);
	}
	return true;
}

static bool copy_stack(struct pyprof_fold *f, const struct source *s)
{
	uint32_t caller = 0;

	for (uint32_t i = 0; i < s->state.depth; i++) {
		pyprof_copy(&f->stack[i], &s->stack[i], sizeof(f->stack[i]));
		if (!f->stack[i].edge || f->stack[i].edge > f->s.n_edges ||
		    f->edge[f->stack[i].edge].caller != caller)
			return false;
		caller = f->edge[f->stack[i].edge].callee;
		f->stack[i].slot = caller;
		f->stack[i].number = f->fn[caller].number;
		f->edge[f->stack[i].edge].level++;
		f->fn[caller].level++;
		f->s.depth = i + 1;
	}
	return true;
}

static uint32_t power_of_two(uint32_t at_least, uint32_t n)
{
	while (n < at_least)
		n *= 2;
	return n;
}

/* Makes the tables empty again: what the indices led to, too. */
static void forget(struct pyprof_fold *f)
{
	memset(&f->s, 0, sizeof(f->s));
	memset(f->fn_index, 0, (f->fn_mask + 1ull) * sizeof(*f->fn_index));
	memset(f->edge_index, 0, (f->edge_mask + 1ull) * sizeof(*f->edge_index));
}

int tables_load(struct pyprof_fold *f, const struct attach *a, uint64_t offset, uint64_t folded)
{
	struct source s;

	if (!find_arrays(&s, a, offset, folded))
		return -EINVAL;
	if (!resize_fns(f, power_of_two(s.state.n_fns + 1, FIRST_ENTRIES)) ||
	    !resize_edges(f, power_of_two(s.state.n_edges + 1, FIRST_ENTRIES)) ||
	    !resize_stack(f, power_of_two(s.state.depth + 1, FIRST_ENTRIES)))
		return -ENOMEM;
	if (!copy_fns(f, &s) || !copy_edges(f, &s) || !copy_stack(f, &s)) {
		forget(f);
		return -EINVAL;
	}
	f->s = s.state;
	f->n_cut = s.n_cut;
	return 0;
}
