/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contexts_sum.h"

#include <errno.h>
#include <stdlib.h>

#define NO_CALLER CONTEXTS_LEAVE_OUT
#define NO_EDGE SIZE_MAX

struct place {
	uint32_t callee; /* function, or NO_CALLER: it is left out */
	uint32_t caller; /* function, or NO_CALLER */
	size_t edge;	 /* number of the edge, or NO_EDGE */
};

struct walk {
	struct profile *to;
	const struct contexts *c;
	struct place *place; /* by node */
	size_t *first_edge;  /* by function: the number of its first edge */
	uint32_t *fn_level;
	uint32_t *edge_level;
};

bool contexts_any_folded(const struct contexts *c)
{
	for (uint32_t n = 1; n < c->n_nodes; n++) {
		if (c->node[n].flags & CONTEXT_FOLDED)
			return true;
	}
	return false;
}

/* Finds the function and the caller of each node, and makes their edges. */
static int find_callers(struct walk *w, const uint32_t *fn)
{
	const struct profile_counts none = { .n_calls = 0 };
	uint32_t *above = calloc(w->c->n_nodes, sizeof(*above)); /* by node: its function, or its
								    caller if it is left out */
	int err = above ? 0 : -ENOMEM;

	if (above)
		above[0] = NO_CALLER;
	for (uint32_t n = 1; n < w->c->n_nodes && !err; n++) {
		const struct context *x = &w->c->node[n];
		struct place *p = &w->place[n];

		p->caller = above[x->parent];
		p->callee = x->flags & CONTEXT_LEVELS ? NO_CALLER : fn[x->fn];
		above[n] = x->flags & CONTEXT_LEVELS ? NO_CALLER
			   : p->callee == NO_CALLER  ? p->caller
						     : p->callee;
		if (p->callee != NO_CALLER && p->caller != NO_CALLER)
			err = profile_edge_add(w->to, p->caller, p->callee, &none);
	}
	free(above);
	return err;
}

/* Numbers the edges, which do not move any more. */
static int number_edges(struct walk *w)
{
	size_t n_edges = 0;

	w->first_edge = calloc(w->to->n_fns + 1, sizeof(*w->first_edge));
	w->fn_level = calloc(w->to->n_fns + 1, sizeof(*w->fn_level));
	if (!w->first_edge || !w->fn_level)
		return -ENOMEM;
	for (size_t i = 0; i < w->to->n_fns; i++) {
		w->first_edge[i] = n_edges;
		n_edges += w->to->fn[i].n_callers;
	}
	w->edge_level = calloc(n_edges + 1, sizeof(*w->edge_level));
	if (!w->edge_level)
		return -ENOMEM;
	for (uint32_t n = 1; n < w->c->n_nodes; n++) {
		struct place *p = &w->place[n];
		const struct profile_edge *e = NULL;

		if (p->callee != NO_CALLER && p->caller != NO_CALLER)
			e = profile_edge_find(w->to, p->caller, p->callee);
		p->edge = e ? w->first_edge[p->callee] + (size_t)(e - w->to->fn[p->callee].caller)
			    : NO_EDGE;
	}
	return 0;
}

static void count(struct profile_counts *to, const struct context *x, bool outermost)
{
	const struct profile_counts more = {
		.n_calls = x->n_calls,
		.n_primitive = outermost ? x->n_calls : 0,
		.n_exceptions = x->n_exceptions,
		.self_s = x->self_s,
		.self_overhead_s = x->self_overhead_s,
		.total_s = outermost ? x->total_s : 0,
		.total_overhead_s = outermost ? x->total_overhead_s : 0,
	};

	profile_counts_add(to, &more);
}

static void enter(const struct walk *w, uint32_t n)
{
	const struct place *p = &w->place[n];
	struct profile_fn *fn;

	if (p->callee == NO_CALLER)
		return;
	fn = &w->to->fn[p->callee];
	count(&fn->counts, &w->c->node[n], !w->fn_level[p->callee]++);
	if (p->edge != NO_EDGE)
		count(&fn->caller[p->edge - w->first_edge[p->callee]].counts, &w->c->node[n],
		      !w->edge_level[p->edge]++);
}

static void leave(const struct walk *w, uint32_t n)
{
	const struct place *p = &w->place[n];

	if (p->callee == NO_CALLER)
		return;
	w->fn_level[p->callee]--;
	if (p->edge != NO_EDGE)
		w->edge_level[p->edge]--;
}

/* Visits all nodes, callers around their callees. */
static void walk(const struct walk *w)
{
	const struct context *node = w->c->node;
	uint32_t n = 0;
	bool down = true;

	for (;;) {
		if (down && n)
			enter(w, n);
		if (down && node[n].first && !(node[n].flags & CONTEXT_FOLDED)) {
			n = node[n].first;
			continue;
		}
		if (!n)
			return;
		leave(w, n);
		down = node[n].next != 0;
		n = down ? node[n].next : node[n].parent;
	}
}

int contexts_sum(struct profile *to, const struct contexts *c, const uint32_t *fn)
{
	struct walk w = { .to = to, .c = c };
	int err = -ENOMEM;

	w.place = calloc(c->n_nodes + 1ull, sizeof(*w.place));
	if (w.place)
		err = find_callers(&w, fn);
	if (!err)
		err = number_edges(&w);
	if (!err)
		walk(&w);
	free(w.place);
	free(w.first_edge);
	free(w.fn_level);
	free(w.edge_level);
	return err;
}
