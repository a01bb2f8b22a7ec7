/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/seed.h"
#include "pyprof/order.h"
#include "pyprof/table.h"

#ifndef FIRST_ENTRIES /* fuzzing sets a small number, which is faster and tests growing */
#define FIRST_ENTRIES 1024u
#endif
#define MAX_TRIES 1000
#define MAX_CALLS (1ull << 52) /* of one ring; more would take years */

/* --- growing ---------------------------------------------------------------------------------- */

static bool resize_fns(struct pyprof_fold *f, uint32_t cap)
{
	struct pyprof_fold_fn *fn = realloc(f->fn, (cap + 1ull) * sizeof(*fn));
	uint32_t *index = calloc(cap * 2ull, sizeof(*index));

	if (fn)
		f->fn = fn;
	if (!fn || !index) {
		free(index);
		return false;
	}
	if (!f->cap_fns)
		f->fn[0] = (struct pyprof_fold_fn){ 0 };
	free(f->fn_index);
	f->fn_index = index;
	f->fn_mask = cap * 2 - 1;
	f->cap_fns = cap;
	for (uint32_t slot = 1; slot <= f->s.n_fns; slot++)
		pyprof_fold_index_fn(f, slot);
	return true;
}

static bool resize_edges(struct pyprof_fold *f, uint32_t cap)
{
	struct pyprof_fold_edge *edge = realloc(f->edge, (cap + 1ull) * sizeof(*edge));
	uint32_t *index = calloc(cap * 2ull, sizeof(*index));

	if (edge)
		f->edge = edge;
	if (!edge || !index) {
		free(index);
		return false;
	}
	if (!f->cap_edges)
		f->edge[0] = (struct pyprof_fold_edge){ 0 };
	free(f->edge_index);
	f->edge_index = index;
	f->edge_mask = cap * 2 - 1;
	f->cap_edges = cap;
	for (uint32_t e = 1; e <= f->s.n_edges; e++)
		pyprof_fold_index_edge(f, e);
	return true;
}

static bool resize_stack(struct pyprof_fold *f, uint32_t cap)
{
	struct pyprof_fold_frame *stack =
		realloc(f->stack ? f->stack - 1 : NULL, (cap + 1ull) * sizeof(*stack));

	if (!stack)
		return false;
	*stack = pyprof_fold_root();
	f->stack = stack + 1;
	f->cap_depth = cap;
	return true;
}

static bool grow(struct pyprof_fold *f)
{
	if (f->s.n_fns == f->cap_fns && !resize_fns(f, f->cap_fns * 2))
		return false;
	if (f->s.n_edges == f->cap_edges && !resize_edges(f, f->cap_edges * 2))
		return false;
	return f->s.depth < f->cap_depth || resize_stack(f, f->cap_depth * 2);
}

int tables_init(struct pyprof_fold *f)
{
	memset(f, 0, sizeof(*f));
	f->grow = grow;
	f->multiplier = seed_odd[0];
	if (resize_fns(f, FIRST_ENTRIES) && resize_edges(f, FIRST_ENTRIES) &&
	    resize_stack(f, FIRST_ENTRIES))
		return 0;
	tables_fini(f);
	return -ENOMEM;
}

void tables_fini(struct pyprof_fold *f)
{
	free(f->fn);
	free(f->edge);
	free(f->fn_index);
	free(f->edge_index);
	free(f->stack ? f->stack - 1 : NULL);
	memset(f, 0, sizeof(*f));
}

/* Empties an index of n entries, one by one if they are few. */
static void clear_index(uint32_t *index, uint32_t mask, uint32_t n,
			uint32_t (*hash_of)(const struct pyprof_fold *f, uint32_t i),
			const struct pyprof_fold *f)
{
	if (n > mask / 64) {
		memset(index, 0, (mask + 1ull) * sizeof(*index));
		return;
	}
	for (uint32_t i = 1; i <= n; i++) {
		uint32_t at = hash_of(f, i);

		while (index[at & mask] != i)
			at++;
		index[at & mask] = 0;
	}
}

static uint32_t fn_hash(const struct pyprof_fold *f, uint32_t slot)
{
	return pyprof_fold_hash(f, 0, f->fn[slot].number);
}

static uint32_t edge_hash(const struct pyprof_fold *f, uint32_t e)
{
	return pyprof_fold_hash(f, f->edge[e].caller, f->fn[f->edge[e].callee].number);
}

void tables_clear(struct pyprof_fold *f)
{
	clear_index(f->fn_index, f->fn_mask, f->s.n_fns, fn_hash, f);
	clear_index(f->edge_index, f->edge_mask, f->s.n_edges, edge_hash, f);
	f->s = (struct pyprof_fold_state){ .base = f->s.base,
					   .now = f->s.now,
					   .first_ticks = f->s.now + f->s.skipped_ticks,
					   .skipped_ticks = f->s.skipped_ticks };
	f->fn[0] = (struct pyprof_fold_fn){ 0 };
	f->stack[-1] = pyprof_fold_root();
}

/* --- loading ---------------------------------------------------------------------------------- */

static bool find_table(struct pyprof_table_layout *l, const struct attach *a, uint64_t offset)
{
	/* The cast drops const, because the layout has no const pointers. Nothing is written. */
	struct pyprof_fold_table *t = (struct pyprof_fold_table *)attach_at(a, offset, sizeof(*t));

	return t && pyprof_table_find(t, attach_bytes(a) - offset, l);
}

/* Returns the two states of a table with this layout, indexed by the parity of the block number. */
static const struct pyprof_fold_state *states_of(const struct pyprof_table_layout *l)
{
	return ((const struct pyprof_fold_table *)l->fn - 1)->state;
}

static uint32_t power_of_two(uint32_t at_least, uint32_t n)
{
	while (n < at_least)
		n *= 2;
	return n;
}

/* Makes room for the entries and frames of the table, and for at least one more of each. */
static int make_room(struct pyprof_fold *f, const struct pyprof_fold_state *s)
{
	if (s->n_fns >= f->cap_fns && !resize_fns(f, power_of_two(s->n_fns + 1, f->cap_fns)))
		return -ENOMEM;
	if (s->n_edges >= f->cap_edges &&
	    !resize_edges(f, power_of_two(s->n_edges + 1, f->cap_edges)))
		return -ENOMEM;
	if (s->depth >= f->cap_depth && !resize_stack(f, power_of_two(s->depth + 1, f->cap_depth)))
		return -ENOMEM;
	return 0;
}

/*
 * True if the contents of this table and of the other rings' tables fit into the data of the file.
 */
static bool fits_file(const struct tables_source *s, const struct pyprof_fold_state *state)
{
	return drain_count_table(s->ring, state->n_fns * sizeof(struct pyprof_fold_fn) +
						  state->n_edges * sizeof(struct pyprof_fold_edge) +
						  state->depth * sizeof(struct pyprof_fold_frame));
}

/* True if the ring has not replaced the table. Call it after the checks of ring.folded. */
static bool is_current(const struct tables_source *s)
{
	return pyprof_get(&s->ring->ring->fold) == s->offset;
}

/* Invalid data is an error only if the target has folded no block since it was read. */
static int invalid_unless_overtaken(const struct tables_source *s)
{
	return drain_folded_by_now(s->ring->ring) == s->folded ? -EINVAL : -EAGAIN;
}

/*
 * State and stack exist twice, by parity. The fold of the block after the next one overwrites
 * these. So the copy is valid if the next block is not folded afterwards, which the caller checks.
 */
static void take_state(struct pyprof_fold_state *state, const struct pyprof_table_layout *t,
		       struct tables_source *s)
{
	s->folded = pyprof_observe(&s->ring->ring->folded); /* C9 */
	pyprof_copy(state, &states_of(t)[s->folded & 1], sizeof(*state));
}

int tables_read_state(struct pyprof_fold_state *state, struct tables_source *s)
{
	struct pyprof_table_layout t;

	if (!find_table(&t, s->ring->attach, s->offset))
		return invalid_unless_overtaken(s);
	take_state(state, &t, s);
	return drain_folded_by_now(s->ring->ring) == s->folded && is_current(s) ? 0 : -EAGAIN;
}

/* Takes the state twice: once to make room, which takes time, and then again to use it. */
int tables_load_state(struct pyprof_fold *f, struct tables_source *s)
{
	struct pyprof_fold_state state;
	struct pyprof_table_layout t;

	if (!find_table(&t, s->ring->attach, s->offset))
		return invalid_unless_overtaken(s);
	for (int i = 0; i < 2; i++) {
		int err;

		take_state(&state, &t, s);
		if (!pyprof_table_holds(&t, &state) || !fits_file(s, &state))
			return invalid_unless_overtaken(s);
		err = make_room(f, &state);
		if (err)
			return err;
	}
	pyprof_copy(f->stack, t.stack[s->folded & 1], state.depth * sizeof(*f->stack));
	if (drain_folded_by_now(s->ring->ring) != s->folded || !is_current(s))
		return -EAGAIN;
	f->s = state; /* until here the tables are empty, like their indices */
	return 0;
}

/* --- entries ---------------------------------------------------------------------------------- */

#define UNKNOWN UINT64_MAX

/* One entry of the table, and its destination. */
struct entry {
	void *to;
	const void *now, *before;
	const uint32_t *epoch, *epoch_before; /* of `now` and `before` */
	uint64_t known; /* the epoch of `to`, if an earlier attempt has read it; or UNKNOWN */
	size_t bytes;
};

/* Returns the block number of an epoch, which holds only its lower 32 bits. */
static uint64_t sequence_of(const struct tables_source *s, uint32_t epoch)
{
	return s->folded + (uint64_t)(int64_t)(int32_t)(epoch - (uint32_t)s->folded);
}

/*
 * Reads an entry that has changed after block s->folded. If the block that changed it last is
 * folded, the entry is whole as of that block, provided that its epoch is still the same. If that
 * block is being folded, the before-image is whole, provided that the block is still not folded.
 * After the table was replaced, its epochs do not change any more, so is_current is checked too.
 */
static int read_late(struct tables_source *s, const struct entry *e, uint64_t *as_of)
{
	for (int tries = 0; tries < MAX_TRIES; tries++) {
		uint32_t epoch = pyprof_marked(e->epoch);
		uint64_t changed = sequence_of(s, epoch);

		s->torn |= !s->ring->attach->live && changed > s->folded + 1;
		if (changed > pyprof_observe(&s->ring->ring->folded)) { /* C9 */
			pyprof_copy(e->to, e->before, e->bytes);
			*as_of = sequence_of(s, __atomic_load_n(e->epoch_before, __ATOMIC_RELAXED));
			if (drain_folded_by_now(s->ring->ring) >= changed)
				continue;
		} else {
			pyprof_copy(e->to, e->now, e->bytes);
			*as_of = changed;
			pyprof_fence_after_use(); /* C12 */
			if (pyprof_marked(e->epoch) != epoch)
				continue;
		}
		if (!is_current(s))
			return -EAGAIN;
		if (*as_of < s->folded)
			*as_of = s->folded;
		return 0;
	}
	return -EAGAIN;
}

/*
 * Reads an entry as of block s->folded or a later one; *as_of says which. The epoch is set before
 * the entry changes (P12), so it is checked after the entry was read. It is also checked before,
 * to skip the read if the entry is known to be changing.
 */
static int read_entry(struct tables_source *s, const struct entry *e, uint64_t *as_of)
{
	uint32_t epoch = pyprof_marked(e->epoch);

	*as_of = s->folded;
	if (e->known == epoch) { /* unchanged since an earlier attempt read it */
		if (!pyprof_table_is_undone(epoch, s->folded))
			return 0;
		*as_of = sequence_of(s, epoch);
		return is_current(s) ? 0 : -EAGAIN;
	}
	if (!pyprof_table_is_undone(epoch, s->folded)) {
		pyprof_copy(e->to, e->now, e->bytes);
		pyprof_fence_after_use(); /* C12 */
		if (!pyprof_table_is_undone(pyprof_marked(e->epoch), s->folded))
			return 0;
	}
	return read_late(s, e, as_of);
}

static int add_late(struct tables_source *s, uint32_t slot, bool is_edge, const void *entry,
		    uint64_t as_of)
{
	struct tables_late *more = s->late;

	if (s->n_late == s->cap_late) {
		size_t cap = s->cap_late ? s->cap_late * 2 : 64;

		more = reallocarray(s->late, cap, sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->late = more;
		s->cap_late = cap;
	}
	more += s->n_late++;
	*more = (struct tables_late){ .sequence = as_of, .slot = slot, .is_edge = is_edge };
	if (is_edge)
		memcpy(&more->edge, entry, sizeof(more->edge));
	else
		memcpy(&more->fn, entry, sizeof(more->fn));
	return 0;
}

/* Returns how many entries are known after `i` was read, or after reading it failed. */
static uint32_t known_to(uint32_t before, uint32_t i, int err)
{
	if (err)
		return before < i ? before : i - 1;
	return before > i ? before : i;
}

static int read_fns(struct pyprof_fold *f, struct tables_source *s,
		    const struct pyprof_table_layout *t)
{
	int err = 0;

	for (uint32_t i = 1; i <= f->s.n_fns && !err; i++) {
		const struct entry e = { .to = &f->fn[i],
					 .now = &t->fn[i],
					 .before = &t->fn_before[i],
					 .epoch = &t->fn[i].epoch,
					 .epoch_before = &t->fn_before[i].epoch,
					 .known = i <= s->n_fns ? f->fn[i].epoch : UNKNOWN,
					 .bytes = sizeof(*f->fn) };
		uint64_t as_of;

		err = read_entry(s, &e, &as_of);
		if (!err && as_of != s->folded)
			err = add_late(s, i, false, e.to, as_of);
		s->n_fns = known_to(s->n_fns, i, err);
	}
	return err;
}

static int read_edges(struct pyprof_fold *f, struct tables_source *s,
		      const struct pyprof_table_layout *t)
{
	int err = 0;

	for (uint32_t i = 1; i <= f->s.n_edges && !err; i++) {
		const struct entry e = { .to = &f->edge[i],
					 .now = &t->edge[i],
					 .before = &t->edge_before[i],
					 .epoch = &t->edge[i].epoch,
					 .epoch_before = &t->edge_before[i].epoch,
					 .known = i <= s->n_edges ? f->edge[i].epoch : UNKNOWN,
					 .bytes = sizeof(*f->edge) };
		uint64_t as_of;

		err = read_entry(s, &e, &as_of);
		if (!err && as_of != s->folded)
			err = add_late(s, i, true, e.to, as_of);
		s->n_edges = known_to(s->n_edges, i, err);
	}
	return err;
}

static bool index_fns(struct pyprof_fold *f)
{
	for (uint32_t i = 1; i <= f->s.n_fns; i++) {
		f->fn[i].level = 0; /* check_stack sets it */
		f->fn[i].last_edge = 0;
		if (pyprof_fold_find_fn(f, f->fn[i].number))
			return false;
		pyprof_fold_index_fn(f, i);
	}
	return true;
}

/* True if the counts of an edge are possible, and their sums cannot overflow. */
static bool is_possible(const struct pyprof_fold_edge *e)
{
	return e->n_calls <= MAX_CALLS && e->n_recursive <= e->n_calls &&
	       e->n_exceptions <= e->n_calls && e->n_resumes <= e->n_calls &&
	       e->n_direct <= e->n_calls && e->n_high <= e->n_calls;
}

/*
 * True if the index has an edge with this caller and callee. Duplicates are refused, because many
 * of them would make the index slow.
 */
static bool has_edge(const struct pyprof_fold *f, const struct pyprof_fold_edge *edge)
{
	uint32_t at = pyprof_fold_hash(f, edge->caller, f->fn[edge->callee].number);
	uint32_t i;

	while ((i = f->edge_index[at++ & f->edge_mask])) {
		if (f->edge[i].caller == edge->caller && f->edge[i].callee == edge->callee)
			return true;
	}
	return false;
}

static bool index_edges(struct pyprof_fold *f)
{
	uint64_t n_calls = 0;

	for (uint32_t i = 1; i <= f->s.n_edges; i++) {
		struct pyprof_fold_edge *e = &f->edge[i];

		e->level = 0;
		n_calls += e->n_calls;
		if (!e->callee || e->callee > f->s.n_fns || e->caller > f->s.n_fns ||
		    !is_possible(e) || n_calls > MAX_CALLS || has_edge(f, e))
			return false;
		pyprof_fold_index_edge(f, i);
	}
	return true;
}

static bool check_stack(struct pyprof_fold *f)
{
	uint32_t caller = 0;

	for (uint32_t i = 0; i < f->s.depth; i++) {
		struct pyprof_fold_frame *frame = &f->stack[i];

		if (!frame->edge || frame->edge > f->s.n_edges ||
		    f->edge[frame->edge].caller != caller)
			return false;
		caller = f->edge[frame->edge].callee;
		frame->slot = caller;
		frame->number = f->fn[caller].number;
		f->edge[frame->edge].level++;
		f->fn[caller].level++;
	}
	return true;
}

/* Empties the tables and their indices. */
static void make_empty(struct pyprof_fold *f)
{
	memset(&f->s, 0, sizeof(f->s));
	memset(f->fn_index, 0, (f->fn_mask + 1ull) * sizeof(*f->fn_index));
	memset(f->edge_index, 0, (f->edge_mask + 1ull) * sizeof(*f->edge_index));
}

static int by_sequence(const void *a, const void *b)
{
	const struct tables_late *x = a, *y = b;

	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

int tables_load_entries(struct pyprof_fold *f, struct tables_source *s)
{
	struct pyprof_table_layout t;
	int err = find_table(&t, s->ring->attach, s->offset) && pyprof_table_holds(&t, &f->s)
			  ? 0
			  : invalid_unless_overtaken(s);

	s->n_late = s->n_applied = 0;
	err = err ? err : read_fns(f, s, &t);
	err = err ? err : read_edges(f, s, &t);
	if (err)
		memset(&f->s, 0, sizeof(f->s));
	else if (s->n_late)
		qsort(s->late, s->n_late, sizeof(*s->late), by_sequence);
	return err;
}

int tables_index(struct pyprof_fold *f, struct tables_source *s)
{
	/*
	 * The last call over a late edge before s->folded is unknown, so its reuse distance counts
	 * from here.
	 */
	for (size_t i = 0; i < s->n_late; i++)
		if (s->late[i].is_edge)
			f->edge[s->late[i].slot].last_record = f->s.n_records;
	if (index_fns(f) && index_edges(f) && check_stack(f))
		return 0;
	make_empty(f);
	return invalid_unless_overtaken(s);
}

uint64_t tables_latest(const struct tables_source *s)
{
	return s->n_late ? s->late[s->n_late - 1].sequence : s->folded;
}

int tables_apply_late(struct pyprof_fold *f, struct tables_source *s, uint64_t sequence)
{
	for (; s->n_applied < s->n_late; s->n_applied++) {
		struct tables_late *l = &s->late[s->n_applied];
		struct pyprof_fold_edge *e = &f->edge[l->slot];
		struct pyprof_fold_fn *fn = &f->fn[l->slot];

		if (l->sequence > sequence)
			break;
		if (l->is_edge) {
			if (l->edge.caller != e->caller || l->edge.callee != e->callee ||
			    !is_possible(&l->edge))
				return -EINVAL;
			l->edge.level = e->level;
			*e = l->edge;
		} else {
			if (l->fn.number != fn->number)
				return -EINVAL;
			l->fn.level = fn->level;
			l->fn.last_edge = fn->last_edge;
			l->fn.last_number = fn->last_number;
			*fn = l->fn;
		}
	}
	return 0;
}

void tables_source_fini(struct tables_source *s)
{
	free(s->late);
	s->late = NULL;
}
