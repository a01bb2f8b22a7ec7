/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "add_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recording/command.h"
#include "recording/trees.h"

#define LEFT_OUT UINT32_MAX /* as a node's place: it belongs to a thread that is not wanted */

/* Adds a process or a thread, and frees the label. NULL: no memory. */
static uint32_t add_label(struct contexts *c, uint32_t parent, char *label, uint32_t level,
			  uint32_t id)
{
	struct text text = { label, label ? strlen(label) : 0 };
	uint32_t at = label ? contexts_level(c, parent, text, level) : 0;

	if (at)
		c->node[at].id = id;
	free(label);
	return at;
}

uint32_t add_tree_process(struct contexts *c, const struct pyprof_header *h)
{
	char *label = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&label, &n);

	if (!to)
		return 0;
	command_print(to, h, 0);
	fprintf(to, " (%" PRIu32 ")", h->pid);
	if (fclose(to)) {
		free(label);
		return 0;
	}
	return add_label(c, 0, label, CONTEXT_PROCESS, h->pid);
}

static uint32_t add_thread(const struct add_tree *a, uint32_t number)
{
	const struct name *n = names_thread(a->names, number);
	char *label;
	int bytes;

	if (a->wants_thread && !a->wants_thread(a->arg, number))
		return LEFT_OUT;
	if (!n || !n->line)
		bytes = asprintf(&label, "thread #%" PRIu32, number);
	else if (!n->name.n)
		bytes = asprintf(&label, "thread %" PRId32, n->line);
	else
		bytes = asprintf(&label, "%.*s (%" PRId32 ")", (int)n->name.n, n->name.bytes,
				 n->line);
	return add_label(a->contexts, a->process, bytes < 0 ? NULL : label, CONTEXT_THREAD,
			 n && n->line > 0 ? (uint32_t)n->line : 0);
}

static uint32_t add_level(const struct add_tree *a, uint32_t parent, uint32_t fn)
{
	const struct text folded = { "(folded)", 8 };

	if ((fn & ~PYPROF_NODE_WIDE) == TREES_FOLDED)
		return contexts_level(a->contexts, parent, folded, CONTEXT_FOLDED);
	return add_thread(a, fn & PYPROF_NODE_NUMBER);
}

static void count(const struct add_tree *a, uint32_t at, const struct pyprof_node *x)
{
	struct context more = {
		.n_calls = x->n_calls - (a->true_calls ? x->n_resumes : 0),
		.n_exceptions = x->n_exceptions,
		.self_s = (double)x->self * a->seconds_per_tick,
	};

	contexts_count(a->contexts, at, &more);
}

/* Adds counts of 2^31 to the node that they were carried from. */
static void add_carry(const struct add_tree *a, uint32_t at, const struct pyprof_node *x)
{
	struct context *to = &a->contexts->node[at];

	to->n_exceptions += (uint64_t)x->n_exceptions << 31;
	if (a->true_calls)
		to->n_calls -= (uint64_t)x->n_resumes << 31;
}

/* Functions of the profile by number, as far as they have been looked up: index + 1. */
struct known {
	uint32_t *fn;
	size_t n;
};

static uint32_t find_fn(const struct add_tree *a, struct known *known, uint32_t number)
{
	uint32_t *more;
	size_t at;

	if (number >= known->n) {
		more = reallocarray(known->fn, number + 1024ull, sizeof(*more));
		if (!more)
			return 0;
		memset(more + known->n, 0, (number + 1024ull - known->n) * sizeof(*more));
		known->fn = more;
		known->n = number + 1024ull;
	}
	if (known->fn[number])
		return known->fn[number];
	at = labels_add(a->labels, a->names, &a->contexts->names, number);
	known->fn[number] = at < CONTEXTS_LEAVE_OUT - 1 ? (uint32_t)at + 1 : 0;
	return known->fn[number];
}

/* Returns the place of a node among the contexts, LEFT_OUT, or 0 without memory. */
static uint32_t add_node(const struct add_tree *a, struct known *known, const struct pyprof_node *x,
			 uint32_t parent)
{
	uint32_t fn, at;

	if (parent == LEFT_OUT || x->fn & PYPROF_NODE_CLASS)
		return LEFT_OUT;
	if (x->fn & PYPROF_NODE_CARRY) {
		add_carry(a, parent, x);
		return LEFT_OUT;
	}
	if (x->fn & PYPROF_NODE_THREAD)
		return add_level(a, parent, x->fn);
	fn = find_fn(a, known, x->fn & PYPROF_NODE_NUMBER);
	at = fn ? contexts_child(a->contexts, parent, fn - 1, 0) : 0;
	if (at)
		count(a, at, x);
	return at;
}

static void mark_running(const struct add_tree *a, const struct pyprof_tree *t,
			 const uint32_t *place, uint32_t running)
{
	for (uint32_t n = running; n > t->s.base_node; n = pyprof_tree_parent(t, n)) {
		if (place[n] != LEFT_OUT)
			a->contexts->node[place[n]].flags |= CONTEXT_OPEN;
	}
}

int add_tree(const struct add_tree *a, struct pyprof_tree *t, uint64_t end, bool running)
{
	uint32_t *place, current = t->s.current;
	struct known known = { NULL, 0 };
	int err = 0;

	if (!a->contexts || !t->node)
		return 0;
	pyprof_tree_close(t, end);
	place = calloc(t->s.n_nodes, sizeof(*place));
	if (!place)
		return -ENOMEM;
	place[0] = a->process;
	for (uint32_t n = 1; n < t->s.n_nodes && !err; n++) {
		place[n] = add_node(a, &known, &t->node[n], place[t->node[n].parent]);
		err = place[n] ? 0 : -ENOMEM;
	}
	if (!err && running)
		mark_running(a, t, place, current);
	free(known.fn);
	free(place);
	return err;
}
