/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "group.h"

#include <errno.h>
#include <stdlib.h>

#include "contexts_sum.h"
#include "group_bounds.h"
#include "imports.h"
#include "module.h"

#define TEXT(s) ((struct text){ s, sizeof(s) - 1 })

struct groups {
	const struct grouping *how;
	const struct profile *p;
	bool is_whole; /* the contexts of all calls are known */
	struct modules modules;
	bool *is_import; /* by function of `p` */
	struct profile to;
	uint32_t *group;   /* by function of `p`: index into `to` */
	size_t *n_members; /* by group */
	size_t cap_members;
};

/* --- which group ------------------------------------------------------------------------------ */

/* Returns the group's name; "" if the function is a group of its own. */
static int name_of(struct groups *g, size_t fn, struct text *name)
{
	const struct profile_fn *f = &g->p->fn[fn];
	int err = 0;

	*name = TEXT("");
	if (g->is_import[fn]) {
		*name = TEXT("<import>");
		return 0;
	}
	switch (g->how->by) {
	case GROUP_FUNCTION:
		return 0;
	case GROUP_MODULE:
		err = modules_name(&g->modules, f, name);
		break;
	case GROUP_PACKAGE:
		err = modules_package(&g->modules, f, name);
		break;
	case GROUP_FILE:
		*name = f->file;
		break;
	}
	if (!name->n)
		*name = TEXT("?");
	else if (g->how->strip_dirs && name->n > 1)
		*name = text_base_name(*name);
	return err;
}

static size_t add_group(struct groups *g, size_t fn, struct text name)
{
	const struct profile_fn *f = &g->p->fn[fn];
	struct profile_fn key = { .file = TEXT("~"), .name = name };

	if (!name.n)
		key = *f;
	return f->listed ? profile_fn_add(&g->to, key.file, key.line, key.name, key.qualname)
			 : profile_caller_add(&g->to, key.file, key.line, key.name);
}

static int find_group(struct groups *g, size_t fn)
{
	struct text name;
	size_t at, *more;
	int err = name_of(g, fn, &name);

	if (err)
		return err;
	at = add_group(g, fn, name);
	if (at >= CONTEXTS_LEAVE_OUT)
		return -ENOMEM;
	if (at >= g->cap_members) {
		more = reallocarray(g->n_members, 2 * at + 64, sizeof(*more));
		if (!more)
			return -ENOMEM;
		memset(more + g->cap_members, 0, (2 * at + 64 - g->cap_members) * sizeof(*more));
		g->n_members = more;
		g->cap_members = 2 * at + 64;
	}
	g->n_members[at]++;
	g->group[fn] = (uint32_t)at;
	return 0;
}

/* Finds the groups of all functions: first of the listed ones, whose order is kept. */
static int find_groups(struct groups *g)
{
	const struct profile *p = g->p;
	int err = 0;

	for (size_t i = 0; i < p->n_listed && !err; i++)
		err = find_group(g, p->listed[i]);
	for (size_t i = 0; i < p->n_fns && !err; i++) {
		if (!p->fn[i].listed)
			err = find_group(g, i);
	}
	return err;
}

static int groups_init(struct groups *g)
{
	int err;

	profile_init(&g->to);
	err = modules_init(&g->modules, g->p, g->how->by == GROUP_PACKAGE);
	g->is_import = calloc(g->p->n_fns + 1, sizeof(*g->is_import));
	g->group = calloc(g->p->n_fns + 1, sizeof(*g->group));
	if (!err && (!g->is_import || !g->group))
		err = -ENOMEM;
	if (!err && g->how->imports)
		err = imports_find(g->p, &g->modules, g->is_import);
	return err ? err : find_groups(g);
}

static void groups_fini(struct groups *g)
{
	modules_fini(&g->modules);
	profile_fini(&g->to);
	free(g->is_import);
	free(g->group);
	free(g->n_members);
}

/* --- sums ------------------------------------------------------------------------------------- */

/* A group of one function has all numbers of it. Else its nested calls are not known here. */
static struct profile_counts sum_of(const struct profile_counts *c, bool whole)
{
	struct profile_counts sum = *c;

	if (!whole) {
		sum.n_primitive = 0;
		sum.total_s = sum.total_overhead_s = 0;
	}
	return sum;
}

static int add_edges(struct groups *g, size_t fn)
{
	const struct profile_fn *f = &g->p->fn[fn];
	uint32_t callee = g->group[fn];
	int err = 0;

	for (size_t i = 0; i < f->n_callers && !err; i++) {
		const struct profile_edge *e = &f->caller[i];
		uint32_t caller = g->group[e->caller];
		bool whole = g->n_members[caller] == 1 && g->n_members[callee] == 1;
		struct profile_counts sum = sum_of(&e->counts, whole);

		if (g->is_whole) /* add_from sets it */
			sum = (struct profile_counts){ .n_calls = 0 };

		err = e->only_calls ? profile_edge_add_calls(&g->to, caller, callee, sum.n_calls)
				    : profile_edge_add(&g->to, caller, callee, &sum);
	}
	return err;
}

static int add_sums(struct groups *g)
{
	int err = 0;

	for (size_t i = 0; i < g->p->n_fns && !err; i++) {
		uint32_t at = g->group[i];
		struct profile_counts sum = sum_of(&g->p->fn[i].counts, g->n_members[at] == 1);

		profile_counts_add(&g->to.fn[at].counts, &sum);
		err = add_edges(g, i);
	}
	return err;
}

/* --- cumulative times ------------------------------------------------------------------------- */

static void add_nested(struct profile_counts *to, const struct profile_counts *from)
{
	to->n_primitive += from->n_primitive;
	to->total_s += from->total_s;
	to->total_overhead_s += from->total_overhead_s;
	if (to->n_primitive > to->n_calls)
		to->n_primitive = to->n_calls;
}

/* Adds what `from`, with the functions of g->to, says of groups that have several functions. */
static void add_from(struct groups *g, const struct profile *from)
{
	for (size_t i = 0; i < from->n_fns; i++) {
		const struct profile_fn *f = &from->fn[i];

		if (g->n_members[i] > 1) {
			add_nested(&g->to.fn[i].counts, &f->counts);
			g->to.fn[i].is_bound |= f->is_bound;
		}
		for (size_t k = 0; k < f->n_callers; k++) {
			const struct profile_edge *e = &f->caller[k];
			struct profile_edge *at = profile_edge_find(&g->to, e->caller, i);

			if (at && g->is_whole)
				at->counts = e->counts;
			else if (at && (g->n_members[i] > 1 || g->n_members[e->caller] > 1))
				add_nested(&at->counts, &e->counts);
		}
	}
}

/* Makes functions with the keys of `like`, without numbers. */
static int copy_keys(struct profile *to, const struct profile *like)
{
	for (size_t i = 0; i < like->n_fns; i++) {
		const struct profile_fn *f = &like->fn[i];

		if (profile_caller_add(to, f->file, f->line, f->name) != i)
			return -ENOMEM;
	}
	return 0;
}

/* Finds the functions of the contexts' names in `p`: index, or CONTEXTS_LEAVE_OUT. For free(). */
static uint32_t *functions_of(const struct contexts *c, const struct profile *p)
{
	uint32_t *fn = calloc(c->names.n_fns + 1, sizeof(*fn));

	for (size_t i = 0; fn && i < c->names.n_fns; i++) {
		const struct profile_fn *f = &c->names.fn[i];
		size_t at = profile_find(p, f->file, f->line, f->name);

		fn[i] = at == SIZE_MAX ? CONTEXTS_LEAVE_OUT : (uint32_t)at;
	}
	return fn;
}

/* Adds up all contexts: for functions of `like`, where fn[] says which one counts. */
static int sum_contexts(struct profile *sum, const struct profile *like, const struct contexts *c,
			const uint32_t *fn)
{
	int err = copy_keys(sum, like);

	return err ? err : contexts_sum(sum, c, fn);
}

static int add_contexts(struct groups *g, const struct contexts *c, const uint32_t *fn)
{
	uint32_t *group = calloc(c->names.n_fns + 1, sizeof(*group));
	struct profile sum;
	int err = group ? 0 : -ENOMEM;

	profile_init(&sum);
	for (size_t i = 0; i < c->names.n_fns && !err; i++)
		group[i] = fn[i] == CONTEXTS_LEAVE_OUT ? fn[i] : g->group[fn[i]];
	if (!err)
		err = sum_contexts(&sum, &g->to, c, group);
	if (!err)
		add_from(g, &sum);
	profile_fini(&sum);
	free(group);
	return err;
}

static uint64_t less_count(uint64_t n, uint64_t by)
{
	return n > by ? n - by : 0;
}

static double less_time(double s, double by)
{
	return s > by ? s - by : 0;
}

static struct profile_counts less(const struct profile_counts *c, const struct profile_counts *by)
{
	return (struct profile_counts){
		.n_calls = less_count(c->n_calls, by->n_calls),
		.n_primitive = less_count(c->n_primitive, by->n_primitive),
		.self_s = less_time(c->self_s, by->self_s),
		.total_s = less_time(c->total_s, by->total_s),
		.self_overhead_s = less_time(c->self_overhead_s, by->self_overhead_s),
		.total_overhead_s = less_time(c->total_overhead_s, by->total_overhead_s),
	};
}

/* Makes `rest` what p has beyond `known`, whose functions are the same. */
static int subtract(struct profile *rest, const struct profile *p, const struct profile *known)
{
	int err = copy_keys(rest, p);

	for (size_t i = 0; i < p->n_fns && !err; i++) {
		const struct profile_fn *f = &p->fn[i];

		rest->fn[i].counts = less(&f->counts, &known->fn[i].counts);
		for (size_t k = 0; k < f->n_callers && !err; k++) {
			const struct profile_edge *e = &f->caller[k];
			const struct profile_edge *by = profile_edge_find(known, e->caller, i);
			struct profile_counts counts =
				by ? less(&e->counts, &by->counts) : e->counts;

			err = e->only_calls
				      ? profile_edge_add_calls(rest, e->caller, i, counts.n_calls)
				      : profile_edge_add(rest, e->caller, i, &counts);
		}
	}
	return err;
}

/* Adds bounds for the calls that have no contexts. */
static int add_rest(struct groups *g, const struct contexts *c, const uint32_t *fn)
{
	struct profile known, rest, bounds;
	int err;

	profile_init(&known);
	profile_init(&rest);
	profile_init(&bounds);
	err = fn ? sum_contexts(&known, g->p, c, fn) : copy_keys(&known, g->p);
	if (!err)
		err = subtract(&rest, g->p, &known);
	if (!err)
		err = copy_keys(&bounds, &g->to);
	if (!err)
		err = group_bounds(&bounds, &rest, g->group);
	if (!err)
		add_from(g, &bounds);
	profile_fini(&known);
	profile_fini(&rest);
	profile_fini(&bounds);
	return err;
}

static int add_nested_calls(struct groups *g, struct contexts *c)
{
	uint32_t *fn = NULL;
	int err = 0;

	if (c->node) {
		contexts_finish(c);
		fn = functions_of(c, g->p);
		err = fn ? add_contexts(g, c, fn) : -ENOMEM;
	}
	if (!err && !g->is_whole)
		err = add_rest(g, c, fn);
	free(fn);
	return err;
}

/* --- contexts --------------------------------------------------------------------------------- */

/* Puts the groups into `names`, as index by function of the contexts. NULL without memory. */
static uint32_t *name_contexts(const struct groups *g, const struct contexts *c,
			       struct profile *names)
{
	uint32_t *map = functions_of(c, g->p);

	for (size_t i = 0; map && i < c->names.n_fns; i++) {
		const struct profile_fn *f = &c->names.fn[i];
		size_t at;

		if (map[i] != CONTEXTS_LEAVE_OUT)
			f = &g->to.fn[g->group[map[i]]];
		at = profile_fn_add(names, f->file, f->line, f->name, f->qualname);
		if (at >= CONTEXTS_LEAVE_OUT) {
			free(map);
			return NULL;
		}
		map[i] = (uint32_t)at;
	}
	return map;
}

/* True if a function and its caller are functions of one group. */
static bool is_joined(const struct contexts *to, uint32_t parent, uint32_t fn, const bool *is_sum)
{
	return parent && is_sum[fn] && to->node[parent].fn == fn &&
	       !(to->node[parent].flags & CONTEXT_LEVELS);
}

static int add_nodes(struct contexts *to, const struct contexts *c, const uint32_t *map,
		     const bool *is_sum)
{
	uint32_t *place = calloc(c->n_nodes + 1ull, sizeof(*place));
	int err = place ? 0 : -ENOMEM;

	for (uint32_t n = 1; n < c->n_nodes && !err; n++) {
		const struct context *x = &c->node[n];
		uint32_t fn = map[x->fn], parent = place[x->parent];

		if (!(x->flags & CONTEXT_LEVELS) && is_joined(to, parent, fn, is_sum))
			place[n] = parent;
		else
			place[n] = contexts_child(to, parent, fn, x->flags & CONTEXT_LEVELS);
		if (!place[n])
			err = -ENOMEM;
		else
			contexts_count(to, place[n], x);
	}
	free(place);
	return err;
}

/* Marks the names of groups that have several functions, or stand for more than one. */
static bool *find_sums(const struct groups *g, const struct contexts *c)
{
	bool *is_sum = calloc(c->names.n_fns + 1, sizeof(*is_sum));

	for (size_t i = 0; is_sum && i < c->names.n_fns; i++) {
		const struct profile_fn *f = &c->names.fn[i];
		size_t at = profile_find(&g->to, f->file, f->line, f->name);

		is_sum[i] =
			at != SIZE_MAX && (g->how->by != GROUP_FUNCTION || g->n_members[at] > 1);
	}
	return is_sum;
}

static int group_contexts(const struct groups *g, struct contexts *c)
{
	struct contexts to;
	uint32_t *map = NULL;
	bool *is_sum = NULL;
	int err = contexts_init(&to);

	if (!err)
		map = name_contexts(g, c, &to.names);
	if (map)
		is_sum = find_sums(g, &to);
	err = is_sum ? add_nodes(&to, c, map, is_sum) : -ENOMEM;
	free(map);
	free(is_sum);
	if (err) {
		contexts_fini(&to);
		return err;
	}
	contexts_fini(c);
	*c = to;
	return 0;
}

int group_apply(struct profile *p, struct contexts *c, bool is_whole, const struct grouping *how)
{
	struct groups g = { .how = how, .p = p, .is_whole = is_whole && c->node };
	int err = groups_init(&g);

	if (!err)
		err = add_sums(&g);
	if (!err)
		err = add_nested_calls(&g, c);
	if (!err && c->node)
		err = group_contexts(&g, c);
	if (!err) {
		profile_fini(p);
		*p = g.to;
		profile_init(&g.to);
	}
	groups_fini(&g);
	return err;
}

size_t group_bound_rows(const struct profile *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_listed; i++)
		n += p->fn[p->listed[i]].is_bound;
	return n;
}
