/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contexts.h"

#include <errno.h>
#include <stdlib.h>

#include "base/seed.h"

#define FIRST_NODES 64u

/* --- nodes ------------------------------------------------------------------------------------ */

static uint32_t hash(uint32_t parent, uint32_t fn, uint32_t level)
{
	uint64_t word = ((uint64_t)parent << 32 | fn) * seed_odd[0];

	return (uint32_t)(((word >> 7 ^ word ^ level) * seed_odd[1]) >> 32);
}

static void enter(struct contexts *c, uint32_t n)
{
	const struct context *x = &c->node[n];
	uint32_t i = hash(x->parent, x->fn, x->flags & CONTEXT_LEVELS);

	while (c->index[i & (c->cap_index - 1)])
		i++;
	c->index[i & (c->cap_index - 1)] = n + 1;
}

static bool resize(struct contexts *c, uint32_t cap)
{
	struct context *node = reallocarray(c->node, cap, sizeof(*node));
	uint32_t *index = calloc(2ull * cap, sizeof(*index));

	if (node)
		c->node = node;
	if (!node || !index) {
		free(index);
		return false;
	}
	free(c->index);
	c->index = index;
	c->cap = cap;
	c->cap_index = 2 * cap;
	for (uint32_t n = 1; n < c->n_nodes; n++)
		enter(c, n);
	return true;
}

int contexts_init(struct contexts *c)
{
	const struct text none = { "", 0 };

	*c = (struct contexts){ .n_nodes = 0 };
	profile_init(&c->names);
	if (!resize(c, FIRST_NODES))
		return -ENOMEM;
	c->node[0] = (struct context){ .flags = 0 };
	c->n_nodes = 1;
	return profile_caller_add(&c->names, none, 0, none) == SIZE_MAX ? -ENOMEM : 0;
}

void contexts_fini(struct contexts *c)
{
	profile_fini(&c->names);
	free(c->node);
	free(c->index);
	*c = (struct contexts){ .n_nodes = 0 };
}

uint32_t contexts_child(struct contexts *c, uint32_t parent, uint32_t fn, uint32_t level)
{
	uint32_t entry, n;

	for (uint32_t i = hash(parent, fn, level); (entry = c->index[i & (c->cap_index - 1)]);
	     i++) {
		const struct context *x = &c->node[entry - 1];

		if (x->parent == parent && x->fn == fn && (x->flags & CONTEXT_LEVELS) == level)
			return entry - 1;
	}
	if (c->n_nodes == c->cap && (c->cap >= CONTEXTS_MAX || !resize(c, c->cap * 2)))
		return 0;
	n = c->n_nodes++;
	c->node[n] = (struct context){ .parent = parent, .fn = fn, .flags = level };
	enter(c, n);
	return n;
}

uint32_t contexts_level(struct contexts *c, uint32_t parent, struct text label, uint32_t level)
{
	const struct text none = { "", 0 };
	size_t fn = profile_caller_add(&c->names, none, 0, label);

	return fn == SIZE_MAX ? 0 : contexts_child(c, parent, (uint32_t)fn, level);
}

void contexts_count(struct contexts *c, uint32_t node, const struct context *more)
{
	struct context *x = &c->node[node];

	x->n_calls += more->n_calls;
	x->n_exceptions += more->n_exceptions;
	x->self_s += more->self_s;
	x->self_overhead_s += more->self_overhead_s;
	x->flags |= more->flags & CONTEXT_OPEN;
	x->id = more->id ? more->id : x->id;
}

/* --- other trees ------------------------------------------------------------------------------ */

/* Adds the own time of a function that is left out to its caller. Its calls are not counted. */
static void give_time(struct contexts *c, uint32_t node, const struct context *from)
{
	c->node[node].self_s += from->self_s;
	c->node[node].self_overhead_s += from->self_overhead_s;
}

int contexts_map(struct contexts *to, const struct contexts *from, const uint32_t *map)
{
	uint32_t *place = calloc(from->n_nodes + 1ull, sizeof(*place));
	int err = place ? 0 : -ENOMEM;

	for (uint32_t n = 1; n < from->n_nodes && !err; n++) {
		const struct context *x = &from->node[n];
		uint32_t fn = map[x->fn], at = place[x->parent];

		place[n] = at;
		if (fn == CONTEXTS_LEAVE_OUT) {
			give_time(to, at, x);
			continue;
		}
		place[n] = contexts_child(to, at, fn, x->flags & CONTEXT_LEVELS);
		if (!place[n])
			err = -ENOMEM;
		else
			contexts_count(to, place[n], x);
	}
	free(place);
	return err;
}

int contexts_below(struct contexts *to, const struct contexts *from, const bool *wanted)
{
	uint32_t *place = calloc(from->n_nodes + 1ull, sizeof(*place));
	int err = place ? 0 : -ENOMEM;

	for (uint32_t n = 1; n < from->n_nodes && !err; n++) {
		const struct context *x = &from->node[n];
		bool has_path = !((x->flags | from->node[x->parent].flags) & CONTEXT_FOLDED);

		if (!place[x->parent] && !(wanted[x->fn] && has_path))
			continue;
		place[n] = contexts_child(to, place[x->parent], x->fn, 0);
		if (!place[n])
			err = -ENOMEM;
		else
			contexts_count(to, place[n], x);
	}
	free(place);
	return err;
}

/* Converts a function of one tree to one of another. */
typedef uint32_t convert_fn(struct contexts *to, const struct profile_fn *fn);

static uint32_t add_name(struct contexts *to, const struct profile_fn *fn, struct text file)
{
	size_t at = profile_fn_add(&to->names, file, fn->line, fn->name, fn->qualname);

	return at < CONTEXTS_LEAVE_OUT ? (uint32_t)at : CONTEXTS_LEAVE_OUT;
}

static uint32_t keep(struct contexts *to, const struct profile_fn *fn)
{
	return add_name(to, fn, fn->file);
}

static uint32_t without_folder(struct contexts *to, const struct profile_fn *fn)
{
	return add_name(to, fn, text_base_name(fn->file));
}

static int merge(struct contexts *to, const struct contexts *from, convert_fn *convert,
		 bool no_builtins)
{
	uint32_t *map = calloc(from->names.n_fns + 1, sizeof(*map));
	int err = map ? 0 : -ENOMEM;

	for (size_t i = 0; i < from->names.n_fns && !err; i++) {
		map[i] = CONTEXTS_LEAVE_OUT;
		if (no_builtins && profile_fn_is_c(&from->names.fn[i]))
			continue;
		map[i] = convert(to, &from->names.fn[i]);
		if (map[i] == CONTEXTS_LEAVE_OUT)
			err = -ENOMEM;
	}
	if (!err)
		err = contexts_map(to, from, map);
	free(map);
	return err;
}

int contexts_merge(struct contexts *to, const struct contexts *from)
{
	return from->node ? merge(to, from, keep, false) : 0;
}

/* Replaces the tree by a converted one. */
static int replace(struct contexts *c, convert_fn *convert, bool no_builtins)
{
	struct contexts to;
	int err = contexts_init(&to);

	if (!err)
		err = merge(&to, c, convert, no_builtins);
	if (err) {
		contexts_fini(&to);
		return err;
	}
	contexts_fini(c);
	*c = to;
	return 0;
}

int contexts_no_builtins(struct contexts *c)
{
	return c->node ? replace(c, keep, true) : 0;
}

int contexts_strip_dirs(struct contexts *c)
{
	return c->node ? replace(c, without_folder, false) : 0;
}

/* --- times ------------------------------------------------------------------------------------ */

/* Sets factor[fn]: what the correction left of the function's self time. */
static void find_factors(const struct contexts *c, const struct profile *p, double *factor)
{
	for (size_t i = 0; i < c->names.n_fns; i++) {
		const struct profile_fn *fn = &c->names.fn[i];
		size_t at = profile_find(p, fn->file, fn->line, fn->name);
		double raw;

		factor[i] = 1;
		if (at == SIZE_MAX)
			continue;
		raw = p->fn[at].counts.self_s + p->fn[at].counts.self_overhead_s;
		factor[i] = raw > 0 ? p->fn[at].counts.self_s / raw : 1;
	}
}

int contexts_correct(struct contexts *c, const struct profile *p)
{
	double *factor = calloc(c->names.n_fns + 1, sizeof(*factor));

	if (!factor)
		return -ENOMEM;
	find_factors(c, p, factor);
	for (uint32_t n = 1; n < c->n_nodes; n++) {
		struct context *x = &c->node[n];
		double raw = x->self_s;

		x->self_s = x->flags & CONTEXT_LEVELS ? raw : raw * factor[x->fn];
		x->self_overhead_s += raw - x->self_s;
	}
	free(factor);
	return 0;
}

static void count_levels(struct contexts *c)
{
	uint32_t n_threads = 0;

	c->n_processes = c->n_threads = 0;
	for (uint32_t p = c->n_nodes ? c->node[0].first : 0; p; p = c->node[p].next) {
		c->n_processes++;
		n_threads = 0;
		for (uint32_t t = c->node[p].first; t; t = c->node[t].next)
			n_threads++;
		if (n_threads > c->n_threads)
			c->n_threads = n_threads;
	}
}

void contexts_finish(struct contexts *c)
{
	for (uint32_t n = 0; n < c->n_nodes; n++) {
		c->node[n].first = c->node[n].next = 0;
		c->node[n].total_s = c->node[n].self_s;
		c->node[n].total_overhead_s = c->node[n].self_overhead_s;
	}
	for (uint32_t n = c->n_nodes; n-- > 1;) {
		struct context *x = &c->node[n], *parent = &c->node[x->parent];

		x->next = parent->first;
		parent->first = n;
		parent->total_s += x->total_s;
		parent->total_overhead_s += x->total_overhead_s;
	}
	count_levels(c);
}

uint32_t contexts_next(const struct contexts *c, uint32_t node, uint32_t top)
{
	if (c->node[node].first)
		return c->node[node].first;
	while (node != top && !c->node[node].next)
		node = c->node[node].parent;
	return node == top ? 0 : c->node[node].next;
}

bool contexts_shows(const struct contexts *c, uint32_t node)
{
	uint32_t flags = c->node[node].flags;

	if (flags & CONTEXT_PROCESS)
		return c->n_processes > 1;
	return node && (!(flags & CONTEXT_THREAD) || c->n_threads > 1);
}
