/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tree_model.h"

#include <stdlib.h>

#include "calls.h"

/* A function, by its number. */
struct function {
	const struct name *name;
	double n_high, n_all; /* its call-site events with a known offset, and those of them ... */
	double high_sites;    /* ... that are high: calls_high_sites() */
};

struct work {
	const struct tree_model *m;
	const struct pyprof_tree *t;
	struct function *fn; /* fn[0]: the caller of outermost calls */
	double *overhead_s;  /* by node */
};

static bool is_call(const struct pyprof_node *x)
{
	return !(x->fn & PYPROF_NODE_SPECIAL);
}

/* Index into `fn`: 0 for the root and threads. */
static uint32_t fn_of(const struct pyprof_node *x)
{
	return is_call(x) ? x->fn & PYPROF_NODE_NUMBER : 0;
}

static const struct pyprof_node *parent_of(const struct work *w, uint32_t n)
{
	return &w->t->node[pyprof_tree_parent(w->t, n)];
}

static struct function *make_functions(const struct work *w)
{
	struct function *fn;
	uint32_t most = 0;

	for (uint32_t n = 1; n < w->t->s.n_nodes; n++)
		most = fn_of(&w->t->node[n]) > most ? fn_of(&w->t->node[n]) : most;
	fn = calloc(most + 1ull, sizeof(*fn));
	for (uint32_t n = 1; fn && n < w->t->s.n_nodes; n++) {
		uint32_t number = fn_of(&w->t->node[n]);

		if (number && !fn[number].name)
			fn[number].name = names_fn(w->m->names, number);
	}
	return fn;
}

static void find_high_sites(const struct work *w)
{
	for (uint32_t n = 1; n < w->t->s.n_nodes; n++) {
		const struct pyprof_node *x = &w->t->node[n];
		struct function *caller = &w->fn[fn_of(parent_of(w, n))];

		if (x->fn & PYPROF_NODE_CLASS) {
			caller->n_high += (double)x->n_high;
			caller->n_all += (double)x->n_calls / PYPROF_CLASS_UNITS;
		} else if (is_call(x) && w->fn[fn_of(x)].name->kind == PYPROF_NAME_C) {
			caller->n_high += (double)x->n_high;
			caller->n_all += (double)x->n_calls;
		}
	}
	for (uint32_t n = 0; n < w->t->s.n_nodes; n++) {
		struct function *f = &w->fn[fn_of(&w->t->node[n])];

		f->high_sites = calls_high_sites(w->m->monitoring, f->name, f->n_high, f->n_all);
	}
}

/* Adds to what the caller's own time contains, unless it is the root or a thread. */
static void add_to_caller(const struct work *w, uint32_t n, double seconds)
{
	uint32_t parent = pyprof_tree_parent(w->t, n);

	if (is_call(&w->t->node[parent]))
		w->overhead_s[parent] += seconds;
}

/* `call`: the node of the calls; `x`: their counts, of which each stands for `unit` of them. */
static void add_calls(const struct work *w, uint32_t call, const struct pyprof_node *x,
		      uint64_t unit)
{
	const struct function *caller = &w->fn[fn_of(parent_of(w, call))];
	const struct calls calls = { .n = x->n_calls * unit,
				     .n_direct = x->n_direct * unit,
				     .n_resumes = x->n_resumes * unit,
				     .n_exceptions = x->n_exceptions * unit,
				     .n_high = x->n_high * unit,
				     .callee = w->fn[fn_of(&w->t->node[call])].name,
				     .caller = caller->name,
				     .high_sites = caller->high_sites };
	struct overhead o = calls_overhead(w->m->calibration, w->m->monitoring, &calls);

	w->overhead_s[call] += o.in_s;
	add_to_caller(w, call, o.out_s + (double)x->distance * w->m->calibration->cold);
}

static void add_node(const struct work *w, uint32_t n)
{
	const struct pyprof_node *x = &w->t->node[n];
	uint32_t parent = pyprof_tree_parent(w->t, n);

	if (is_call(x))
		add_calls(w, n, x, 1);
	else if (x->fn & PYPROF_NODE_CLASS)
		add_to_caller(w, n, calls_class_overhead(w->m->calibration, x->n_calls, x->n_high));
	else if (x->fn & PYPROF_NODE_CARRY && is_call(&w->t->node[parent]))
		add_calls(w, parent, x, PYPROF_NODE_HALF);
}

/* The part of the rest of a Python self time by which slow bytecode lengthens it. */
static void add_bytecode(const struct work *w)
{
	double part = 1 - 1 / w->m->calibration->bytecode;

	for (uint32_t n = 1; n < w->t->s.n_nodes; n++) {
		const struct pyprof_node *x = &w->t->node[n];

		if (is_call(x) && w->fn[fn_of(x)].name->kind != PYPROF_NAME_C)
			w->overhead_s[n] +=
				((double)x->self * w->m->seconds_per_tick - w->overhead_s[n]) *
				part;
	}
}

double *tree_model(const struct tree_model *m, const struct pyprof_tree *t)
{
	struct work w = { .m = m, .t = t };

	w.fn = make_functions(&w);
	w.overhead_s = calloc(t->s.n_nodes + 1ull, sizeof(*w.overhead_s));
	if (!w.fn || !w.overhead_s) {
		free(w.fn);
		free(w.overhead_s);
		return NULL;
	}
	find_high_sites(&w);
	for (uint32_t n = 1; n < t->s.n_nodes; n++)
		add_node(&w, n);
	add_bytecode(&w);
	free(w.fn);
	return w.overhead_s;
}
