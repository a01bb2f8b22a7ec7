/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reuse.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SWEEPS 20 /* from the root down: what is deeper is most often in some loop */

struct counts {
	const struct pyprof_fold *f;
	double *n;	/* by slot: calls of it */
	double *outer;	/* by slot: of these, not recursive */
	double *within; /* by slot: calls that were made within these */
	double all;
};

/* `cost` counts calls by weight, about in proportion. */
static void count(struct counts *c)
{
	const struct pyprof_fold *f = c->f;
	double weight = (double)(int64_t)f->s.cost;

	for (uint32_t i = 1; i <= f->s.n_edges; i++) {
		c->n[f->edge[i].callee] += (double)f->edge[i].n_calls;
		c->all += (double)f->edge[i].n_calls;
	}
	for (uint32_t slot = 0; slot <= f->s.n_fns; slot++)
		c->all += (double)f->fn[slot].n_others;
	for (uint32_t slot = 1; slot <= f->s.n_fns; slot++) {
		double calls = (double)(int64_t)f->fn[slot].cost / weight * c->all;

		c->outer[slot] = c->n[slot] - (double)f->fn[slot].n_recursive;
		c->within[slot] = calls >= 0 && calls <= c->all ? calls : c->all;
	}
}

static double log_ratio(double a, double b)
{
	return a > b && b > 0 ? log(a / b) : 0;
}

static bool is_loop(const struct counts *c, const struct pyprof_fold_edge *e)
{
	return e->caller && (double)e->n_calls >= 2 * c->outer[e->caller];
}

static void start(const struct counts *c, double *edge)
{
	for (uint32_t i = 1; i <= c->f->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &c->f->edge[i];

		edge[i] = log_ratio(is_loop(c, e) ? c->within[e->caller] : c->all,
				    (double)e->n_calls);
	}
}

/* `most`: what a function's distance is at most. `added`: an edge's, to that of its caller. */
static void sweep(const struct counts *c, const double *most, const double *added, double *edge,
		  double *fn)
{
	const struct pyprof_fold *f = c->f;

	memset(fn, 0, (f->s.n_fns + 1ull) * sizeof(*fn));
	for (uint32_t i = 1; i <= f->s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];

		if (e->n_calls)
			fn[e->callee] += (double)e->n_calls / c->n[e->callee] * edge[i];
	}
	for (uint32_t slot = 1; slot <= f->s.n_fns; slot++)
		fn[slot] = fmin(fn[slot], most[slot]);
	for (uint32_t i = 1; i <= f->s.n_edges; i++) {
		uint32_t caller = f->edge[i].caller;

		if (caller && !is_loop(c, &f->edge[i]))
			edge[i] = fmin(edge[i], fn[caller] + added[i]);
	}
}

int reuse_find(const struct pyprof_fold *f, double *edge, double *fn)
{
	size_t n_fns = f->s.n_fns + 1ull, n_edges = f->s.n_edges + 1ull;
	double *room = calloc(4 * n_fns + n_edges, sizeof(*room));
	struct counts c = { .f = f, .n = room, .outer = room + n_fns, .within = room + 2 * n_fns };
	double *most = room + 3 * n_fns, *added = most + n_fns;

	if (!room)
		return -ENOMEM;
	count(&c);
	start(&c, edge);
	for (uint32_t slot = 1; slot < n_fns; slot++)
		most[slot] = log_ratio(c.all, c.n[slot]);
	for (uint32_t i = 1; i < n_edges; i++)
		added[i] = log_ratio(c.n[f->edge[i].caller], (double)f->edge[i].n_calls);
	for (int i = 0; i < SWEEPS; i++)
		sweep(&c, most, added, edge, fn);
	free(room);
	return 0;
}
