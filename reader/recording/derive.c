/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "derive.h"

#include <errno.h>
#include <stdlib.h>

#include "base/seed.h"

#define FIRST_ENTRIES_DERIVED 64u

/* --- functions and edges ---------------------------------------------------------------------- */

static uint32_t hash(uint32_t a, uint32_t b)
{
	return (uint32_t)((((uint64_t)a << 32 ^ b) * seed_odd[0]) >> 32);
}

static void enter_fn(struct derived *d, uint32_t at)
{
	uint32_t i = hash(0, d->fn[at].number), mask = 2 * d->cap_fns - 1;

	while (d->fn_index[i & mask])
		i++;
	d->fn_index[i & mask] = at;
}

static void enter_edge(struct derived *d, uint32_t at)
{
	uint32_t i = hash(d->edge[at].caller, d->edge[at].callee), mask = 2 * d->cap_edges - 1;

	while (d->edge_index[i & mask])
		i++;
	d->edge_index[i & mask] = at;
}

static bool resize_fns(struct derived *d, uint32_t cap)
{
	struct derived_fn *fn = reallocarray(d->fn, cap, sizeof(*fn));
	uint32_t *index = calloc(2ull * cap, sizeof(*index));

	if (fn)
		d->fn = fn;
	if (!fn || !index) {
		free(index);
		return false;
	}
	free(d->fn_index);
	d->fn_index = index;
	d->cap_fns = cap;
	for (uint32_t i = 1; i <= d->n_fns; i++)
		enter_fn(d, i);
	return true;
}

static bool resize_edges(struct derived *d, uint32_t cap)
{
	struct derived_edge *edge = reallocarray(d->edge, cap, sizeof(*edge));
	uint32_t *index = calloc(2ull * cap, sizeof(*index));

	if (edge)
		d->edge = edge;
	if (!edge || !index) {
		free(index);
		return false;
	}
	free(d->edge_index);
	d->edge_index = index;
	d->cap_edges = cap;
	for (uint32_t i = 1; i <= d->n_edges; i++)
		enter_edge(d, i);
	return true;
}

/* Returns the index of a function, which is added if it is missing. 0 without memory. */
static uint32_t add_fn(struct derived *d, uint32_t number)
{
	uint32_t at;

	for (uint32_t i = hash(0, number); (at = d->fn_index[i & (2 * d->cap_fns - 1)]); i++) {
		if (d->fn[at].number == number)
			return at;
	}
	if (d->n_fns + 1 == d->cap_fns && !resize_fns(d, d->cap_fns * 2))
		return 0;
	at = ++d->n_fns;
	d->fn[at] = (struct derived_fn){ .number = number };
	enter_fn(d, at);
	return at;
}

/* Does the same for an edge. */
static uint32_t add_edge(struct derived *d, uint32_t caller, uint32_t callee)
{
	uint32_t at;

	for (uint32_t i = hash(caller, callee); (at = d->edge_index[i & (2 * d->cap_edges - 1)]);
	     i++) {
		if (d->edge[at].caller == caller && d->edge[at].callee == callee)
			return at;
	}
	if (d->n_edges + 1 == d->cap_edges && !resize_edges(d, d->cap_edges * 2))
		return 0;
	at = ++d->n_edges;
	d->edge[at] = (struct derived_edge){ .caller = caller, .callee = callee };
	enter_edge(d, at);
	return at;
}

/* --- the walk --------------------------------------------------------------------------------- */

/* A node, while deriving. */
struct place {
	uint32_t edge;	      /* 0: not a call, or left out */
	uint32_t first, next; /* children */
	uint64_t total;
	double total_overhead_s;
};

struct walk {
	struct derived *d;
	const struct pyprof_tree *t;
	const struct derive_request *request;
	struct place *place;
};

/* Links the children of each node, in the order of their numbers. */
static void link_children(struct walk *w)
{
	for (uint32_t n = w->t->s.n_nodes; n-- > 1;) {
		uint32_t parent = pyprof_tree_parent(w->t, n);

		w->place[n].next = w->place[parent].first;
		w->place[parent].first = n;
	}
}

/* Returns the node that counts as the caller of `n`, perhaps the root or a thread. */
static uint32_t caller_of(const struct walk *w, uint32_t n)
{
	uint32_t parent = pyprof_tree_parent(w->t, n), at = parent;

	while (w->request->through_c && w->t->node[at].fn & PYPROF_NODE_C)
		at = pyprof_tree_parent(w->t, at);
	return w->place[at].edge ? at : parent;
}

/* True for calls below the thread that is requested. */
static bool is_wanted(const struct walk *w, uint32_t n)
{
	uint32_t parent = pyprof_tree_parent(w->t, n);

	if (w->t->node[n].fn & PYPROF_NODE_SPECIAL)
		return false;
	return !w->request->thread || w->place[parent].edge || parent == w->request->thread;
}

/* Finds function and edge of each node. Callers have lower numbers. */
static int find_edges(struct walk *w)
{
	struct derived *d = w->d;

	for (uint32_t n = 1; n < w->t->s.n_nodes; n++) {
		uint32_t caller, fn;

		if (!is_wanted(w, n))
			continue;
		caller = w->place[caller_of(w, n)].edge;
		fn = add_fn(d, w->t->node[n].fn & PYPROF_NODE_NUMBER);
		w->place[n].edge = fn ? add_edge(d, d->edge[caller].callee, fn) : 0;
		if (!w->place[n].edge)
			return -ENOMEM;
	}
	return 0;
}

/* Adds up what lies within each node. */
static void sum_totals(struct walk *w)
{
	const double *overhead_s = w->request->overhead_s;

	for (uint32_t n = w->t->s.n_nodes; n-- > 1;) {
		struct place *p = &w->place[n], *parent = &w->place[pyprof_tree_parent(w->t, n)];

		if (!p->edge)
			continue;
		p->total += w->t->node[n].self;
		p->total_overhead_s += overhead_s ? overhead_s[n] : 0;
		parent->total += p->total;
		parent->total_overhead_s += p->total_overhead_s;
	}
}

static void count(const struct walk *w, struct derived_counts *to, uint32_t n, bool outermost)
{
	const struct pyprof_node *x = &w->t->node[n];
	const struct place *p = &w->place[n];

	to->n_calls += x->n_calls;
	to->n_resumes += x->n_resumes;
	to->n_exceptions += x->n_exceptions;
	to->self += x->self;
	if (w->request->overhead_s)
		to->self_overhead_s += w->request->overhead_s[n];
	if (outermost) {
		to->total += p->total;
		to->total_overhead_s += p->total_overhead_s;
	} else {
		to->n_recursive += x->n_calls;
		to->n_recursive_resumes += x->n_resumes;
	}
}

/* Adds counts of 2^31 to those of the node that they were carried from. */
static void count_carry(const struct walk *w, uint32_t n)
{
	const struct pyprof_node *x = &w->t->node[n];
	uint32_t edge = w->place[pyprof_tree_parent(w->t, n)].edge;
	struct derived_edge *e = &w->d->edge[edge];
	struct derived_fn *fn = &w->d->fn[e->callee];

	if (!edge)
		return;
	e->counts.n_resumes += (uint64_t)x->n_resumes << 31;
	e->counts.n_exceptions += (uint64_t)x->n_exceptions << 31;
	fn->counts.n_resumes += (uint64_t)x->n_resumes << 31;
	fn->counts.n_exceptions += (uint64_t)x->n_exceptions << 31;
	if (fn->level > 1)
		fn->counts.n_recursive_resumes += (uint64_t)x->n_resumes << 31;
	if (e->level > 1)
		e->counts.n_recursive_resumes += (uint64_t)x->n_resumes << 31;
}

static void enter(const struct walk *w, uint32_t n)
{
	struct derived_edge *e = &w->d->edge[w->place[n].edge];
	struct derived_fn *fn = &w->d->fn[e->callee];

	if (w->t->node[n].fn & PYPROF_NODE_CARRY)
		count_carry(w, n);
	if (!w->place[n].edge)
		return;
	count(w, &e->counts, n, !e->level++);
	count(w, &fn->counts, n, !fn->level++);
}

static void leave(const struct walk *w, uint32_t n)
{
	struct derived_edge *e = &w->d->edge[w->place[n].edge];

	if (!w->place[n].edge)
		return;
	e->level--;
	w->d->fn[e->callee].level--;
}

/* Visits all nodes, callers around their callees. */
static void walk(const struct walk *w)
{
	uint32_t n = 0;
	bool down = true;

	for (;;) {
		if (down && n)
			enter(w, n);
		if (down && w->place[n].first) {
			n = w->place[n].first;
			continue;
		}
		if (!n)
			return;
		leave(w, n);
		down = w->place[n].next != 0;
		n = down ? w->place[n].next : pyprof_tree_parent(w->t, n);
	}
}

int derive(struct derived *d, const struct pyprof_tree *t, const struct derive_request *q)
{
	struct walk w = { .d = d, .t = t, .request = q };
	int err = 0;

	*d = (struct derived){ .n_fns = 0 };
	w.place = calloc(t->s.n_nodes + 1ull, sizeof(*w.place));
	if (!w.place || !resize_fns(d, FIRST_ENTRIES_DERIVED) ||
	    !resize_edges(d, FIRST_ENTRIES_DERIVED))
		err = -ENOMEM;
	if (!err) {
		d->fn[0] = (struct derived_fn){ .number = 0 };
		d->edge[0] = (struct derived_edge){ .caller = 0 };
		link_children(&w);
		err = find_edges(&w);
	}
	if (!err) {
		sum_totals(&w);
		walk(&w);
	}
	free(w.place);
	return err;
}

void derived_fini(struct derived *d)
{
	free(d->fn);
	free(d->edge);
	free(d->fn_index);
	free(d->edge_index);
	*d = (struct derived){ .n_fns = 0 };
}
