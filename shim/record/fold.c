/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "system/killpoint.h"
#define PYPROF_TESTPOINT(name) KILLPOINT(name)

#include "fold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "blocks.h"
#include "pyprof/clock.h"
#include "recording.h"
#include "region.h"
#include "system/log.h"
#include "system/process.h"
#include "system/sandbox.h"

#define FIRST_FNS 16u
#define FIRST_EDGES 32u
#define FIRST_DEPTH 16u
#define NAP_NS 50000
#define SPIN_NS 20 /* a turn without a nap takes at least this long */

/* --- tables that grow ------------------------------------------------------------------------- */

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
	}
}

/*
 * Called after the store that makes readers stop looking at what is reused, a block or a table. A
 * table's memory is reused before the block's fence only if the same fold makes a fourth table,
 * which no litmus test does.
 */
static void before_reuse(void)
{
	pyprof_fence_before_reuse(); /* P11 */
}

static void give_back(struct pyprof_fold_table *old, uint64_t bytes)
{
	before_reuse();
	recording.table_bytes -= bytes;
	region_free(region_offset(old), bytes);
}

/*
 * Replaces the table by one with these caps, or makes the first one; also in the middle of a fold.
 * False: no space or no memory.
 */
static bool replace_table(struct pyprof_table *t, uint32_t fns, uint32_t edges, uint32_t depth)
{
	struct pyprof_table_layout to = pyprof_table_layout(NULL, fns, edges, depth);
	struct pyprof_fold_table *old = t->table;
	uint64_t offset = region_alloc(to.bytes);
	struct pyprof_fold_table *new = region_at(offset);
	struct pyprof_fold *v = &t->view;
	uint64_t old_bytes = pyprof_table_layout(old, v->cap_fns, v->cap_edges, v->cap_depth).bytes;

	if (!offset)
		return false;
	if (!pyprof_table_resize(v, fns, edges, depth)) {
		region_free(offset, to.bytes);
		return false;
	}
	to = pyprof_table_layout(new, fns, edges, depth);
	new->extent.kind = PYPROF_EXTENT_FOLD;
	new->extent.bytes = to.bytes;
	recording.table_bytes += to.bytes;
	new->cap_fns = fns;
	new->cap_edges = edges;
	new->cap_depth = depth;
	if (old)
		copy_table(t, &to, new);
	KILLPOINT("table-copied");
	pyprof_publish(&t->ring->fold, offset); /* P10 */
	KILLPOINT("table-published");
	pyprof_table_use(t, new, fns, edges, depth);
	for (uint32_t slot = 1; slot <= v->s.n_fns; slot++)
		pyprof_fold_index_fn(v, slot);
	for (uint32_t e = 1; e <= v->s.n_edges; e++)
		pyprof_fold_index_edge(v, e);
	if (old)
		give_back(old, old_bytes);
	return true;
}

/*
 * Returns the next cap for `n` entries. Arrays that are more than half full grow along with the
 * full one, because a table is copied as a whole. If the tables of all rings take much of the
 * budget, only what is full grows, and by less.
 */
static uint32_t next_cap(uint32_t cap, uint32_t n)
{
	if (blocks_are_mostly_tables())
		return n == cap ? cap + cap / 4 + 1 : cap;
	return n > cap / 2 ? cap * 2 : cap;
}

static bool grow(struct pyprof_fold *v)
{
	struct pyprof_table *t = (struct pyprof_table *)v;
	bool full = v->s.n_fns == v->cap_fns || v->s.n_edges == v->cap_edges;
	uint32_t fns = full ? next_cap(v->cap_fns, v->s.n_fns) : v->cap_fns;
	uint32_t edges = full ? next_cap(v->cap_edges, v->s.n_edges) : v->cap_edges;
	/* A deep stack is probably recursion, and a frame is small. */
	uint32_t depth = v->s.depth == v->cap_depth ? v->cap_depth * 4 : v->cap_depth;

	return replace_table(t, fns, edges, depth);
}

/* --- the claim -------------------------------------------------------------------------------- */

static uint64_t own_consumer(void)
{
	return PYPROF_CONSUMER(region.pid, region.process_start);
}

/*
 * True if the claim's holder has ended: it cannot give the claim back. Readers in other PID
 * namespaces never hold claims.
 */
static bool is_dead(uint64_t consumer)
{
	return !sandbox_is_closed() && process_has_descriptors() &&
	       process_has_ended((pid_t)(consumer >> 32), (uint32_t)consumer);
}

/* A wait that ends by the clock and by the time waited: the clock may stand still (libfaketime). */
struct wait {
	uint64_t until_ns; /* CLOCK_MONOTONIC */
	uint64_t left_ns;
};

static struct wait wait_for(uint64_t ns)
{
	return (struct wait){ pyprof_clock_ns(CLOCK_MONOTONIC) + ns, ns };
}

/*
 * Waits a little. False: the time is over. Under a filter it spins, because a nap is a system call.
 */
static bool wait_on(struct wait *w)
{
	struct timespec ts = { .tv_nsec = NAP_NS };
	bool naps = !process_is_filtered();
	uint64_t waited_ns = naps ? NAP_NS : SPIN_NS;

	if (w->left_ns < waited_ns || pyprof_clock_ns(CLOCK_MONOTONIC) > w->until_ns)
		return false;
	w->left_ns -= waited_ns;
	if (naps)
		nanosleep(&ts, NULL);
	return true;
}

/* Takes the claim. False: a living reader keeps it longer than `patience_ns`. */
static bool claim(struct pyprof_table *t, uint64_t patience_ns)
{
	uint64_t self = own_consumer();
	struct wait wait;
	bool waits = false;

	for (;;) {
		uint64_t holder = pyprof_get(&t->ring->consumer);

		if (holder && is_dead(holder)) {
			if (pyprof_claim(&t->ring->consumer, holder, self)) {
				t->table = NULL; /* it may have left a half-done fold */
				return true;
			}
		} else if (pyprof_claim(&t->ring->consumer, 0, self)) {
			t->stuck = 0;
			return true;
		}
		if (holder && holder == t->stuck)
			return false;
		if (!waits) {
			waits = true;
			wait = wait_for(patience_ns);
			pyprof_set(&t->ring->n_waits, t->ring->n_waits + 1);
		}
		if (!wait_on(&wait)) {
			t->stuck = patience_ns < FOLD_PATIENCE_NS ? 0 : holder;
			return false;
		}
	}
}

static bool take_over(struct pyprof_table *t, uint64_t offset)
{
	struct pyprof_fold_table *table = region_check(offset, sizeof(*table));

	if (table && pyprof_table_take_over(t, table, region.used_bytes - offset))
		return true;
	recording_is_damaged("a fold table that the shim has not written");
	return false;
}

/* Sets the view to the table's state; makes a table if the ring has none. */
static bool bring_up_to_date(struct pyprof_table *t)
{
	uint64_t offset = pyprof_get(&t->ring->fold);

	t->view.grow = grow;
	t->view.weight = region.header->overhead_weight;
	t->view.max_distance = region.header->max_distance;
	t->view.max_idle = region.header->max_idle;
	/*
	 * The fold offset was damaged if the view has a table already: its contents do not fit into
	 * a first one.
	 */
	if (!offset && !t->view.cap_fns)
		return replace_table(t, FIRST_FNS, FIRST_EDGES, FIRST_DEPTH);
	if (pyprof_get(&t->ring->folded) == t->folded && t->table && !t->ring->wants_table)
		return true;
	return take_over(t, offset);
}

void fold_prepare(struct pyprof_table *t)
{
	if (t->ring->fold || !claim(t, FOLD_PATIENCE_NS))
		return;
	bring_up_to_date(t);
	pyprof_unclaim(&t->ring->consumer);
}

/* Enlarges a table that a reader found too small, for a block full of new functions and edges. */
static void make_room_for_reader(struct pyprof_table *t)
{
	struct pyprof_fold *v = &t->view;

	if (!pyprof_get(&t->ring->wants_table))
		return;
	replace_table(t, v->cap_fns * 2, v->cap_edges * 2, v->cap_depth * 2);
	pyprof_set(&t->ring->wants_table, 0);
}

/* --- blocks ----------------------------------------------------------------------------------- */

static bool is_folded(const struct pyprof_table *t, const struct pyprof_block *b)
{
	return pyprof_observe(&t->ring->folded) >= b->sequence; /* C9 */
}

/* Gives a reader that has folded before the time to fold this block too. */
static void wait_for_reader(const struct pyprof_table *t, const struct pyprof_block *b,
			    uint64_t wait_ns)
{
	struct wait wait = wait_for(wait_ns);

	while (!is_folded(t, b) && !pyprof_get(&t->ring->wants_table) && wait_on(&wait))
		;
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
	 * A dead holder may have folded this block and begun the next one. That is undone in any
	 * case: a reader that knows the table as of this block would continue in the half-done one.
	 */
	*cause = PYPROF_LOST_STORAGE;
	if (!t->table || !is_folded(t, b))
		ok = bring_up_to_date(t);
	if (ok && !is_folded(t, b)) {
		make_room_for_reader(t);
		KILLPOINT("fold-begin");
		pyprof_table_fold(t, b, b->sequence, REGION_BLOCK_BYTES);
		pyprof_table_commit(t, b->sequence);
	}
	pyprof_unclaim(&t->ring->consumer);
	return ok;
}

uint64_t fold_oldest(struct pyprof_table *t, uint64_t wait_ns, uint64_t patience_ns,
		     enum pyprof_loss *cause)
{
	uint64_t offset = t->ring->first_block;
	const struct pyprof_block *b = region_check(offset, REGION_BLOCK_BYTES);

	if (!b || b->kind != PYPROF_EXTENT_BLOCK ||
	    (b->next && !region_check(b->next, REGION_BLOCK_BYTES))) {
		if (offset)
			recording_is_damaged("a block that the shim has not written");
		*cause = PYPROF_LOST_STORAGE;
		return 0;
	}
	if (wait_ns && !is_folded(t, b))
		wait_for_reader(t, b, wait_ns);
	if (!is_folded(t, b) && !fold_block(t, b, patience_ns, cause))
		return 0;
	pyprof_publish(&t->ring->first_block, b->next); /* P3 */
	before_reuse();
	KILLPOINT("block-taken-out");
	return offset;
}

uint64_t fold_table_bytes(const struct pyprof_table *t)
{
	const struct pyprof_fold_table *table = region_check(t->ring->fold, sizeof(*table));

	return table && table->extent.bytes <= region.used_bytes ? table->extent.bytes : 0;
}
