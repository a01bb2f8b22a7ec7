/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shape.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_CHAIN 16 /* C functions that call each other; such chains are rare, or circles */

struct shape {
	const struct profile *from;
	struct profile to;
	size_t *map; /* converts indices of `from` to those of `to`; SIZE_MAX: not added yet */
	struct profile_counts *extra; /* by function: self times of the C functions it called */
};

static int shape_init(struct shape *s, const struct profile *p)
{
	profile_init(&s->to);
	s->from = p;
	s->map = reallocarray(NULL, p->n_fns + 1, sizeof(*s->map));
	s->extra = calloc(p->n_fns + 1, sizeof(*s->extra));
	for (size_t i = 0; s->map && i < p->n_fns; i++)
		s->map[i] = SIZE_MAX;
	return s->map && s->extra ? 0 : -ENOMEM;
}

/* Replaces the old profile by the new one, unless `err` is set. Returns `err`. */
static int shape_finish(struct shape *s, struct profile *p, int err)
{
	free(s->map);
	free(s->extra);
	if (err) {
		profile_fini(&s->to);
		return err;
	}
	profile_fini(p);
	*p = s->to;
	return 0;
}

static int add_listed(struct shape *s, size_t fn)
{
	const struct profile_fn *f = &s->from->fn[fn];

	s->map[fn] = profile_fn_add(&s->to, f->file, f->line, f->name, f->qualname);
	if (s->map[fn] == SIZE_MAX)
		return -ENOMEM;
	s->to.fn[s->map[fn]].counts = f->counts;
	return 0;
}

int shape_no_subcalls(struct profile *p)
{
	struct shape s;
	int err = shape_init(&s, p);

	for (size_t i = 0; i < p->n_listed && !err; i++)
		err = add_listed(&s, p->listed[i]);
	return shape_finish(&s, p, err);
}

/* --- without C functions ---------------------------------------------------------------------- */

/* True if all calls of the function came from its first caller. */
static bool has_one_caller(const struct profile_fn *fn)
{
	return fn->n_callers == 1 && fn->caller[0].counts.n_calls == fn->counts.n_calls;
}

/*
 * Returns the function that counts as the caller of what `fn` called. This is `fn` itself, or for a
 * C function the Python function that called it, unless it has several callers. SIZE_MAX: no
 * function called the C function.
 */
static size_t nearest_caller(const struct profile *p, size_t fn)
{
	size_t at = fn;

	for (int i = 0; i < MAX_CHAIN; i++) {
		if (!profile_fn_is_c(&p->fn[at]))
			return at;
		if (!p->fn[at].n_callers)
			return p->fn[at].listed ? SIZE_MAX : fn;
		if (!has_one_caller(&p->fn[at]))
			return fn;
		at = p->fn[at].caller[0].caller;
	}
	return fn;
}

static void add_times(struct profile_counts *to, double self_s, double self_overhead_s)
{
	to->self_s += self_s;
	to->self_overhead_s += self_overhead_s;
}

/* Adds the self time of a C function to its callers, to each the time that it spent there. */
static void give_time(struct shape *s, const struct profile_fn *c)
{
	for (size_t i = 0; i < c->n_callers; i++) {
		const struct profile_edge *e = &c->caller[i];
		size_t to = nearest_caller(s->from, e->caller);
		double share = c->counts.n_calls
				       ? (double)e->counts.n_calls / (double)c->counts.n_calls
				       : 0;

		if (to == SIZE_MAX)
			continue;
		if (e->only_calls)
			add_times(&s->extra[to], c->counts.self_s * share,
				  c->counts.self_overhead_s * share);
		else
			add_times(&s->extra[to], e->counts.self_s, e->counts.self_overhead_s);
	}
}

/* Returns the time in callees as recorded, so with overhead. */
static double time_below(const struct profile_counts *c)
{
	double below = c->total_s + c->total_overhead_s - c->self_s - c->self_overhead_s;

	return below > 0 ? below : 0;
}

/* Returns a caller's share of a function: by the time below it, or by calls if that is 0. */
static double share_of(const struct profile_fn *fn, const struct profile_edge *e)
{
	double all = time_below(&fn->counts), sum = 0;

	for (size_t i = 0; i < fn->n_callers; i++)
		sum += time_below(&fn->caller[i].counts);
	if (all < sum)
		all = sum;
	if (all > 0)
		return time_below(&e->counts) / all;
	return fn->counts.n_calls ? (double)e->counts.n_calls / (double)fn->counts.n_calls : 0;
}

static int add_caller(struct shape *s, size_t callee, const struct profile_edge *e)
{
	const struct profile_fn *fn = &s->from->fn[callee];
	struct profile_counts counts = e->counts;
	size_t caller = nearest_caller(s->from, e->caller);
	const struct profile_fn *f;

	if (caller == SIZE_MAX)
		return 0;
	f = &s->from->fn[caller];
	if (s->map[caller] == SIZE_MAX)
		s->map[caller] = profile_caller_add(&s->to, f->file, f->line, f->name);
	if (s->map[caller] == SIZE_MAX)
		return -ENOMEM;
	if (e->only_calls)
		return profile_edge_add_calls(&s->to, s->map[caller], s->map[callee],
					      counts.n_calls);
	if (s->extra[callee].self_s != 0 || s->extra[callee].self_overhead_s != 0) {
		double share = share_of(fn, e);

		add_times(&counts, s->extra[callee].self_s * share,
			  s->extra[callee].self_overhead_s * share);
	}
	return profile_edge_add(&s->to, s->map[caller], s->map[callee], &counts);
}

static int add_python(struct shape *s, size_t fn)
{
	int err = add_listed(s, fn);

	if (!err)
		add_times(&s->to.fn[s->map[fn]].counts, s->extra[fn].self_s,
			  s->extra[fn].self_overhead_s);
	return err;
}

int shape_no_builtins(struct profile *p)
{
	struct shape s;
	int err = shape_init(&s, p);

	for (size_t i = 0; i < p->n_listed && !err; i++) {
		if (profile_fn_is_c(&p->fn[p->listed[i]]))
			give_time(&s, &p->fn[p->listed[i]]);
	}
	for (size_t i = 0; i < p->n_listed && !err; i++) {
		if (!profile_fn_is_c(&p->fn[p->listed[i]]))
			err = add_python(&s, p->listed[i]);
	}
	for (size_t i = 0; i < p->n_listed && !err; i++) {
		const struct profile_fn *fn = &p->fn[p->listed[i]];

		for (size_t k = 0; !profile_fn_is_c(fn) && k < fn->n_callers && !err; k++)
			err = add_caller(&s, p->listed[i], &fn->caller[k]);
	}
	return shape_finish(&s, p, err);
}
