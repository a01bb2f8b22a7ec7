/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "killpoint.h"
#define PYPROF_TESTPOINT(name) KILLPOINT(name)

#include "fold.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "process.h"
#include "pyprof/clock.h"
#include "region.h"
#include "sandbox.h"

#define FIRST_FNS 64u
#define FIRST_EDGES 128u
#define FIRST_DEPTH 64u
#define NAP_NS 50000

/* --- tables that grow ------------------------------------------------------------------------------ */

static void copy_table(struct pyprof_table *t, const struct pyprof_table_layout *to,
		       struct pyprof_fold_table *new)
{
	const struct pyprof_fold *v = &t->view;
	const struct pyprof_fold_table *old = t->table;
	struct pyprof_table_layout from =
		pyprof_table_layout(t->table, v->cap_fns, v->cap_edges, v->cap_depth);
	size_t fns = v->s.n_fns + 1, edges = v->s.n_edges + 1;

	memcpy(to->fn, from.fn, fns * sizeof(*to->fn));
	memcpy(to->fn_before, from.fn_before, fns * sizeof(*to->fn));
	memcpy(to->edge, from.edge, edges * sizeof(*to->edge));
	memcpy(to->edge_before, from.edge_before, edges * sizeof(*to->edge));
	for (int i = 0; i < 2; i++) {
		memcpy(to->stack[i], from.stack[i], v->cap_depth * sizeof(*to->stack[i]));
		new->state[i] = old->state[i];
		new->n_cut[i] = old->n_cut[i];
	}
}

/* A table with these caps takes the place of the one there is, in the midst of a fold too. */
static bool replace_table(struct pyprof_table *t, uint32_t fns, uint32_t edges, uint32_t depth)
{
	struct pyprof_table_layout to = pyprof_table_layout(NULL, fns, edges, depth);
	uint64_t offset = region_alloc(to.bytes);
	struct pyprof_fold_table *new = region_at(offset);
	struct pyprof_fold *v = &t->view;

	if (!offset || !pyprof_table_resize(v, fns, edges, depth))
		return false;
	to = pyprof_table_layout(new, fns, edges, depth);
	new->extent.kind = PYPROF_EXTENT_FOLD;
	new->extent.bytes = to.bytes;
	new->cap_fns = fns;
	new->cap_edges = edges;
	new->cap_depth = depth;
	if (t->table)
		copy_table(t, &to, new);
	KILLPOINT("table-copied");
	pyprof_publish(&t->ring->fold, offset); /* P10 */
	KILLPOINT("table-published");
	pyprof_table_use(t, new, fns, edges, depth);
	for (uint32_t slot = 1; slot <= v->s.n_fns; slot++)
		pyprof_fold_index_fn(v, slot);
	for (uint32_t e = 1; e <= v->s.n_edges; e++)
		pyprof_fold_index_edge(v, e);
	return true;
}

static bool grow(struct pyprof_fold *v)
{
	struct pyprof_table *t = (struct pyprof_table *)v;
	uint32_t fns = v->s.n_fns == v->cap_fns ? v->cap_fns * 2 : v->cap_fns;
	uint32_t edges = v->s.n_edges == v->cap_edges ? v->cap_edges * 2 : v->cap_edges;
	/* What is deep is likely to be a recursion, and a frame takes little. */
	uint32_t depth = v->s.depth == v->cap_depth ? v->cap_depth * 4 : v->cap_depth;

	return replace_table(t, fns, edges, depth);
}

/* --- the claim ---------------------------------------------------------------------------------------- */

static uint64_t own_consumer(void)
{
	return PYPROF_CONSUMER(region.pid, region.header->process_start);
}

/* A reader that has ended cannot give its claim back; one of another PID namespace is taken at its word. */
static bool is_dead(uint64_t consumer)
{
	pid_t pid = (pid_t)(consumer >> 32);
	bool filtered;
	uint64_t start;

	if (sandbox_is_closed() || !process_has_descriptors())
		return false;
	filtered = process_is_filtered();
	if (!filtered && kill(pid, 0) < 0 && errno == ESRCH)
		return true;
	if (process_is_zombie(pid))
		return true;
	start = process_start(pid);
	if (!start)
		return filtered && region.header->process_start; /* /proc is there, and tells */
	return (uint32_t)start != (uint32_t)consumer;
}

static void nap(void)
{
	struct timespec ts = { .tv_nsec = NAP_NS };

	if (!sandbox_is_closed() && !process_is_filtered())
		nanosleep(&ts, NULL);
}

/* The claim, or false when a living reader keeps it for longer than that. */
static bool claim(struct pyprof_table *t, uint64_t patience_ns)
{
	uint64_t self = own_consumer();
	uint64_t until = 0;

	for (;;) {
		uint64_t holder = pyprof_get(&t->ring->consumer);

		if (holder && is_dead(holder)) {
			if (pyprof_claim(&t->ring->consumer, holder, self)) {
				t->table = NULL; /* it may have left something half done */
				return true;
			}
		} else if (pyprof_claim(&t->ring->consumer, 0, self)) {
			t->stuck = 0;
			return true;
		}
		if (holder && holder == t->stuck)
			return false;
		if (!until) {
			until = pyprof_clock_ns(CLOCK_MONOTONIC) + patience_ns;
			pyprof_set(&t->ring->n_waits, t->ring->n_waits + 1);
		} else if (pyprof_clock_ns(CLOCK_MONOTONIC) > until) {
			t->stuck = patience_ns < FOLD_PATIENCE_NS ? 0 : holder;
			return false;
		}
		nap();
	}
}

/* Makes the view stand where the table does; a table is made where there is none. */
static bool bring_up_to_date(struct pyprof_table *t)
{
	t->view.grow = grow;
	t->view.weight = region.header->cost_weight;
	t->view.max_between = region.header->max_between;
	t->view.max_gap = region.header->max_gap;
	if (!t->ring->fold)
		return replace_table(t, FIRST_FNS, FIRST_EDGES, FIRST_DEPTH);
	if (pyprof_get(&t->ring->folded) == t->folded && t->table && !t->ring->wants_table)
		return true;
	if (!pyprof_table_take_over(t, region_at(t->ring->fold),
				    region.reserved_bytes - t->ring->fold)) {
		log_debug("the fold table is not what it was");
		return false;
	}
	return true;
}

void fold_prepare(struct pyprof_table *t)
{
	if (t->ring->fold || !claim(t, FOLD_PATIENCE_NS))
		return;
	bring_up_to_date(t);
	pyprof_unclaim(&t->ring->consumer);
}

/* A reader found the table too small: room for a block full of what it has not seen yet. */
static void make_room_for_reader(struct pyprof_table *t)
{
	struct pyprof_fold *v = &t->view;

	if (!pyprof_get(&t->ring->wants_table))
		return;
	replace_table(t, v->cap_fns * 2, v->cap_edges * 2, v->cap_depth * 2);
	pyprof_set(&t->ring->wants_table, 0);
}

/* --- blocks -------------------------------------------------------------------------------------------- */

static bool is_folded(const struct pyprof_table *t, const struct pyprof_block *b)
{
	return pyprof_observe(&t->ring->folded) >= b->sequence; /* C9 */
}

/* A reader that has been at work is given time to do this block too. */
static void wait_for_reader(const struct pyprof_table *t, const struct pyprof_block *b,
			    uint64_t wait_ns)
{
	uint64_t until = pyprof_clock_ns(CLOCK_MONOTONIC) + wait_ns;

	while (!is_folded(t, b) && !pyprof_get(&t->ring->wants_table) &&
	       pyprof_clock_ns(CLOCK_MONOTONIC) < until)
		nap();
}

static bool fold_block(struct pyprof_table *t, const struct pyprof_block *b, uint64_t patience_ns,
		       enum pyprof_loss *cause)
{
	bool ok = true;

	if (!claim(t, patience_ns)) {
		*cause = PYPROF_LOST_READER;
		return false;
	}
	/*
	 * A dead holder may have folded this block and begun with the next: that is undone in any case, for a
	 * reader that knows the table as of this block would go on in what is half done.
	 */
	*cause = PYPROF_LOST_STORAGE;
	if (!t->table || !is_folded(t, b))
		ok = bring_up_to_date(t);
	if (ok && !is_folded(t, b)) {
		make_room_for_reader(t);
		KILLPOINT("fold-begin");
		pyprof_table_fold(t, b, b->sequence, region.header->block_bytes);
		pyprof_table_commit(t, b->sequence);
	}
	pyprof_unclaim(&t->ring->consumer);
	return ok;
}

uint64_t fold_oldest(struct pyprof_table *t, uint64_t wait_ns, uint64_t patience_ns,
		     enum pyprof_loss *cause)
{
	uint64_t offset = t->ring->first_block;
	const struct pyprof_block *b = region_at(offset);

	if (!offset)
		return 0;
	if (wait_ns && !is_folded(t, b))
		wait_for_reader(t, b, wait_ns);
	if (!is_folded(t, b) && !fold_block(t, b, patience_ns, cause))
		return 0;
	pyprof_publish(&t->ring->first_block, b->next); /* P3 */
	pyprof_fence_before_reuse();			/* P11 */
	KILLPOINT("block-taken-out");
	return offset;
}
