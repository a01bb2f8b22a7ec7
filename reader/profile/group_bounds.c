/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "group_bounds.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Seconds, corrected and the overhead that was subtracted. */
struct span {
	double s, overhead_s;
};

struct bounds {
	struct span self, out, in;
	double largest; /* cumulative time of one of its functions */
	uint64_t n_calls;
	uint64_t n_inside; /* calls from its own functions */
	uint64_t n_primitive;
	uint32_t n_from, n_to; /* edges from and to other groups that are not removed yet */
	bool cyclic;
};

struct work {
	struct profile *to;
	const struct profile *p;
	const uint32_t *group;
	struct bounds *of; /* by group */
	double *below;	   /* by function: recorded time of the calls that it made */
	uint32_t *queue;   /* of groups */
	struct span all;
	bool complete; /* the callers of all functions are known */
};

static void add(struct span *to, double s, double overhead_s)
{
	to->s += s;
	to->overhead_s += overhead_s;
}

static void add_total(struct span *to, const struct profile_counts *c)
{
	add(to, c->total_s, c->total_overhead_s);
}

/* --- sums ------------------------------------------------------------------------------------- */

/* The callers of a function: those in its own group, and in others. */
struct callers {
	struct span inside, outside;
	uint64_t n_inside, n_outside;
};

static struct callers callers_of(const struct work *w, size_t fn)
{
	const struct profile_fn *f = &w->p->fn[fn];
	struct callers sum = { .n_inside = 0 };

	for (size_t i = 0; i < f->n_callers; i++) {
		const struct profile_edge *e = &f->caller[i];
		bool inside = w->group[e->caller] == w->group[fn];

		add_total(inside ? &sum.inside : &sum.outside, &e->counts);
		*(inside ? &sum.n_inside : &sum.n_outside) += e->counts.n_calls;
	}
	return sum;
}

static void add_in(struct bounds *b, const struct profile_counts *c, const struct callers *by)
{
	struct span in = { c->total_s, c->total_overhead_s };

	if (by->n_inside + by->n_outside >= c->n_calls) {
		if (by->outside.s < in.s)
			in = by->outside;
	} else if (c->n_primitive == c->n_calls && by->inside.s < in.s) {
		/* No call is nested, so those without a caller are what remains. */
		add(&in, -by->inside.s, -by->inside.overhead_s);
	}
	add(&b->in, in.s, in.overhead_s);
}

static void add_function(struct work *w, size_t fn)
{
	const struct profile_counts *c = &w->p->fn[fn].counts;
	struct bounds *b = &w->of[w->group[fn]];
	struct callers by = callers_of(w, fn);
	uint64_t n_others = c->n_calls > by.n_inside ? c->n_calls - by.n_inside : 0;

	add(&b->self, c->self_s, c->self_overhead_s);
	add(&w->all, c->self_s, c->self_overhead_s);
	add_in(b, c, &by);
	b->largest = fmax(b->largest, c->total_s);
	b->n_calls += c->n_calls;
	b->n_inside += by.n_inside;
	b->n_primitive += c->n_primitive < n_others ? c->n_primitive : n_others;
}

static void add_callers(struct work *w, size_t fn)
{
	const struct profile_fn *f = &w->p->fn[fn];

	for (size_t i = 0; i < f->n_callers; i++) {
		const struct profile_edge *e = &f->caller[i];

		w->below[e->caller] += e->counts.total_s + e->counts.total_overhead_s;
		w->complete &= !e->only_calls;
		if (w->group[e->caller] != w->group[fn])
			add_total(&w->of[w->group[e->caller]].out, &e->counts);
	}
}

/* The edges of a function contain all its time, unless edges are missing. */
static bool has_all_edges(const struct work *w, size_t fn)
{
	const struct profile_counts *c = &w->p->fn[fn].counts;
	double total = c->total_s + c->total_overhead_s, self = c->self_s + c->self_overhead_s;

	return total <= (self + w->below[fn]) * (1 + 1e-9) + 1e-9;
}

static void add_up(struct work *w)
{
	w->complete = true;
	for (size_t i = 0; i < w->p->n_fns; i++) {
		add_function(w, i);
		add_callers(w, i);
	}
	for (size_t i = 0; i < w->p->n_fns; i++)
		w->complete &= has_all_edges(w, i);
}

/* --- cycles ----------------------------------------------------------------------------------- */

/* True if the edge is one between different groups that has calls in `p`. */
static bool leads(const struct work *w, size_t caller, size_t callee,
		  const struct profile_counts *c)
{
	return w->group[caller] != w->group[callee] && (c->n_calls || c->total_s > 0);
}

static void count_edges(struct work *w)
{
	for (size_t i = 0; i < w->p->n_fns; i++) {
		for (size_t k = 0; k < w->p->fn[i].n_callers; k++) {
			const struct profile_edge *e = &w->p->fn[i].caller[k];

			if (!leads(w, e->caller, i, &e->counts))
				continue;
			w->of[w->group[e->caller]].n_to++;
			w->of[w->group[i]].n_from++;
		}
	}
}

/* The edges between functions of different groups, listed by group at one of their ends. */
struct ends {
	size_t *first;	 /* by group, and one more */
	uint32_t *other; /* groups at the other end */
};

static int list_ends(const struct work *w, struct ends *l, bool of_callers)
{
	size_t n = w->to->n_fns, sum = 0;

	l->first = calloc(n + 2, sizeof(*l->first));
	if (!l->first)
		return -ENOMEM;
	for (size_t g = 0; g < n; g++) {
		l->first[g] = sum;
		sum += of_callers ? w->of[g].n_to : w->of[g].n_from;
	}
	l->first[n] = sum;
	l->other = calloc(sum + 1, sizeof(*l->other));
	if (!l->other)
		return -ENOMEM;
	for (size_t i = 0; i < w->p->n_fns; i++) {
		for (size_t k = 0; k < w->p->fn[i].n_callers; k++) {
			const struct profile_edge *e = &w->p->fn[i].caller[k];
			uint32_t from = w->group[of_callers ? e->caller : i];

			if (leads(w, e->caller, i, &e->counts))
				l->other[l->first[from]++] = w->group[of_callers ? i : e->caller];
		}
	}
	for (size_t g = n; g > 0; g--)
		l->first[g] = l->first[g - 1];
	l->first[0] = 0;
	return 0;
}

/* Removes groups without edges from (or to) others until each has one, or is in a cycle. */
static int peel(struct work *w, bool of_callers)
{
	struct ends l = { NULL, NULL };
	size_t n = 0;
	int err = list_ends(w, &l, of_callers);

	for (uint32_t g = 0; g < w->to->n_fns && !err; g++) {
		struct bounds *b = &w->of[g];

		if (of_callers ? !b->n_from : !b->n_to)
			w->queue[n++] = g;
	}
	for (size_t at = 0; at < n && !err; at++) {
		uint32_t g = w->queue[at];

		w->of[g].cyclic = false;
		for (size_t i = l.first[g]; i < l.first[g + 1]; i++) {
			struct bounds *b = &w->of[l.other[i]];

			if (!--*(of_callers ? &b->n_from : &b->n_to))
				w->queue[n++] = l.other[i];
		}
	}
	free(l.first);
	free(l.other);
	return err;
}

/* Marks the groups that may call themselves through others. */
static int find_cycles(struct work *w)
{
	int err;

	for (size_t g = 0; g < w->to->n_fns; g++)
		w->of[g].cyclic = true;
	count_edges(w);
	err = peel(w, true);
	for (size_t g = 0; g < w->to->n_fns; g++)
		w->of[g].n_from = w->of[g].n_to = 0;
	count_edges(w);
	return err ? err : peel(w, false);
}

/* --- bounds ----------------------------------------------------------------------------------- */

static bool is_exact(const struct work *w, size_t g)
{
	return w->complete && !w->of[g].cyclic;
}

static struct span bound_of(const struct work *w, size_t g)
{
	const struct bounds *b = &w->of[g];
	struct span bound = b->in, out = b->self;

	add(&out, b->out.s, b->out.overhead_s);
	if (is_exact(w, g) || (w->complete && out.s < bound.s))
		bound = out;
	if (w->all.s < bound.s)
		bound = w->all;
	bound.s = fmax(bound.s, fmax(b->largest, b->self.s));
	return bound;
}

/* True if the number of calls or the time may be less than the bound. */
static bool is_loose(const struct work *w, size_t g, double s)
{
	const struct bounds *b = &w->of[g];
	double least = fmax(b->largest, b->self.s);

	return !is_exact(w, g) && (s > least * (1 + 1e-9) + 1e-12 || b->n_primitive > 1);
}

static void bound_functions(struct work *w)
{
	for (size_t g = 0; g < w->to->n_fns; g++) {
		struct bounds *b = &w->of[g];
		struct profile_fn *fn = &w->to->fn[g];
		struct span bound = bound_of(w, g);

		if (is_exact(w, g))
			b->n_primitive = b->n_calls > b->n_inside ? b->n_calls - b->n_inside : 0;
		fn->counts.total_s += bound.s;
		fn->counts.total_overhead_s += bound.overhead_s;
		fn->counts.n_primitive += b->n_primitive;
		fn->is_bound |= is_loose(w, g, bound.s);
		b->in = bound; /* limits the edges into the group */
	}
}

/* Adds the edges; the time of each is at most that of the group that was called. */
static int bound_edges(struct work *w)
{
	int err = 0;

	for (size_t i = 0; i < w->p->n_fns && !err; i++) {
		for (size_t k = 0; k < w->p->fn[i].n_callers && !err; k++) {
			const struct profile_edge *e = &w->p->fn[i].caller[k];

			err = profile_edge_add(w->to, w->group[e->caller], w->group[i], &e->counts);
		}
	}
	for (size_t g = 0; g < w->to->n_fns && !err; g++) {
		for (size_t k = 0; k < w->to->fn[g].n_callers; k++) {
			struct profile_counts *c = &w->to->fn[g].caller[k].counts;

			c->total_s = fmin(c->total_s, w->of[g].in.s);
		}
	}
	return err;
}

int group_bounds(struct profile *to, const struct profile *p, const uint32_t *group)
{
	struct work w = { .to = to, .p = p, .group = group };
	int err = -ENOMEM;

	w.of = calloc(to->n_fns + 1, sizeof(*w.of));
	w.below = calloc(p->n_fns + 1, sizeof(*w.below));
	w.queue = calloc(to->n_fns + 1, sizeof(*w.queue));
	if (w.of && w.below && w.queue) {
		add_up(&w);
		err = find_cycles(&w);
	}
	if (!err) {
		bound_functions(&w);
		err = bound_edges(&w);
	}
	free(w.of);
	free(w.below);
	free(w.queue);
	return err;
}
