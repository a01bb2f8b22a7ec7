/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fold tables. A fold may be cut off at any record and at any step of the commit. The next owner
 * must then find exactly the state after the last complete fold.
 */
#include <check.h>

#include <errno.h>

#include "pyprof/table.h"
#include "recording/tables.h"
#include "tests/run.h"

#define BLOCK_BYTES 2048u
#define N_RECORDS ((BLOCK_BYTES - sizeof(struct pyprof_block)) / 8)
#define N_BLOCKS 24
#define CAP_FNS 64u
#define CAP_EDGES 1024u
#define CAP_DEPTH 4096u

static struct pyprof_block *block[N_BLOCKS + 1];
static struct pyprof_ring ring;
static struct pyprof_fold_table *memory;
static uint64_t memory_bytes;
static const int32_t weight[PYPROF_OVERHEADS] = { 18, 11, -5, 7 };

/* --- a consistent stream of events, from a fixed seed ----------------------------------------- */

static uint64_t seed = 20260101;

static uint32_t roll(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull; /* Knuth, MMIX */
	return (uint32_t)(seed >> 33) % n;
}

static unsigned far(void)
{
	return roll(3) ? 0 : PYPROF_HIGH_OFFSET;
}

static void make_blocks(void)
{
	static uint32_t stack[1 << 16];
	uint32_t depth = 0;
	uint64_t now = 1000;

	for (uint32_t i = 1; i <= N_BLOCKS; i++) {
		struct pyprof_block *b = calloc(1, BLOCK_BYTES);

		b->sequence = i;
		b->base_ticks = now;
		for (size_t k = 0; k < N_RECORDS; k++) {
			uint64_t ticks = (now += roll(50)) - b->base_ticks;

			/* Makes some blocks deep and others shallow. */
			if (depth && roll(100) < (i % 6 < 3 ? 40u : 60u)) {
				uint32_t fn = stack[--depth];

				b->record[k] = pyprof_record(
					(roll(9) ? PYPROF_RETURN : PYPROF_UNWIND) | far(), fn,
					ticks);
			} else if (!roll(5)) {
				b->record[k] = pyprof_record(PYPROF_SYNC | far(), 1 + roll(5), 0);
			} else {
				uint32_t fn = 1 + roll(40);

				stack[depth++] = fn;
				b->record[k] = pyprof_record(roll(5) ? PYPROF_CALL : PYPROF_RESUME,
							     fn, ticks);
			}
		}
		block[i] = b;
	}
}

static bool no_room(struct pyprof_fold *f)
{
	(void)f;
	return false;
}

static void setup(void)
{
	memory_bytes = pyprof_table_layout(NULL, CAP_FNS, CAP_EDGES, CAP_DEPTH).bytes;
	memory = calloc(1, memory_bytes);
	memory->extent.kind = PYPROF_EXTENT_FOLD;
	memory->cap_fns = CAP_FNS;
	memory->cap_edges = CAP_EDGES;
	memory->cap_depth = CAP_DEPTH;
	memset(&ring, 0, sizeof(ring));
	make_blocks();
}

static void teardown(void)
{
	for (int i = 1; i <= N_BLOCKS; i++)
		free(block[i]);
	free(memory);
}

/* --- two ways to the same tables -------------------------------------------------------------- */

static void take_over(struct pyprof_table *t)
{
	memset(t, 0, sizeof(*t));
	t->ring = &ring;
	ck_assert(pyprof_table_take_over(t, memory, memory_bytes));
	t->view.grow = no_room;
	t->view.weight = weight;
	t->view.max_distance = 50;
	t->view.max_idle = 20;
}

static void fold_whole(struct pyprof_table *t, int i)
{
	pyprof_table_fold(t, block[i], block[i]->sequence, BLOCK_BYTES);
	pyprof_table_commit(t, block[i]->sequence);
}

/* Folds the first `n` records of a block, without a commit. */
static void fold_part(struct pyprof_table *t, int i, size_t n)
{
	uint64_t kept = n < N_RECORDS ? block[i]->record[n] : 0;

	if (n < N_RECORDS)
		block[i]->record[n] = 0;
	pyprof_table_fold(t, block[i], block[i]->sequence, BLOCK_BYTES);
	if (n < N_RECORDS)
		block[i]->record[n] = kept;
}

/* The result of an undisturbed fold of blocks 1 .. n. */
static struct pyprof_table reference;
static struct pyprof_fold_table *reference_memory;
static struct pyprof_ring reference_ring;
static uint32_t reference_edges = CAP_EDGES;

static void reference_to(int n)
{
	reference_memory = calloc(1, memory_bytes);
	reference_memory->extent.kind = PYPROF_EXTENT_FOLD;
	reference_memory->cap_fns = CAP_FNS;
	reference_memory->cap_edges = reference_edges;
	reference_memory->cap_depth = CAP_DEPTH;
	memset(&reference_ring, 0, sizeof(reference_ring));
	memset(&reference, 0, sizeof(reference));
	reference.ring = &reference_ring;
	ck_assert(pyprof_table_take_over(&reference, reference_memory, memory_bytes));
	reference.view.grow = no_room;
	reference.view.weight = weight;
	reference.view.max_distance = 50;
	reference.view.max_idle = 20;
	for (int i = 1; i <= n; i++)
		fold_whole(&reference, i);
}

static void reference_free(void)
{
	pyprof_table_free(&reference);
	free(reference_memory);
}

static void assert_same(const struct pyprof_fold *a, const struct pyprof_fold *b)
{
	ck_assert_mem_eq(&a->s, &b->s, sizeof(a->s));
	for (uint32_t i = 1; i <= a->s.n_fns; i++) {
		struct pyprof_fold_fn x = a->fn[i], y = b->fn[i];

		x.epoch = y.epoch = 0;
		x.last_edge = y.last_edge = x.last_number = y.last_number =
			0; /* these are only hints */
		ck_assert_mem_eq(&x, &y, sizeof(x));
	}
	for (uint32_t i = 1; i <= a->s.n_edges; i++) {
		struct pyprof_fold_edge x = a->edge[i], y = b->edge[i];

		x.epoch = y.epoch = 0;
		ck_assert_mem_eq(&x, &y, sizeof(x));
	}
	for (uint32_t i = 0; i < a->s.depth; i++)
		ck_assert_mem_eq(&a->stack[i], &b->stack[i], sizeof(a->stack[i]));
}

START_TEST(a_table_can_be_taken_over_after_every_block)
{
	struct pyprof_table t;

	for (int i = 1; i <= N_BLOCKS; i++) {
		take_over(&t);
		fold_whole(&t, i);
		pyprof_table_free(&t);
		take_over(&t);
		reference_to(i);
		assert_same(&t.view, &reference.view);
		reference_free();
		pyprof_table_free(&t);
	}
}
END_TEST

START_TEST(an_owner_continues_without_taking_over)
{
	struct pyprof_table t, other;

	take_over(&t);
	for (int i = 1; i <= N_BLOCKS; i++) {
		fold_whole(&t, i);
		take_over(&other); /* reads the committed copy, not the working stack */
		reference_to(i);
		assert_same(&other.view, &reference.view);
		reference_free();
		pyprof_table_free(&other);
	}
	pyprof_table_free(&t);
}
END_TEST

START_TEST(any_capacity_works)
{
	struct pyprof_table t;

	memory->cap_fns = CAP_FNS - 3;
	memory->cap_edges = CAP_EDGES / 2 + 5;
	reference_edges = CAP_EDGES / 2 + 5;
	for (int i = 1; i <= N_BLOCKS; i++) {
		take_over(&t);
		fold_whole(&t, i);
		reference_to(i);
		assert_same(&t.view, &reference.view);
		reference_free();
		pyprof_table_free(&t);
	}
	reference_edges = CAP_EDGES;
}
END_TEST

/* A search in a full index would not end. */
START_TEST(an_index_is_at_most_half_full)
{
	for (uint32_t cap = 1; cap < 5000; cap++) {
		uint32_t n = pyprof_table_index_size(cap);

		ck_assert_uint_ge(n, 2 * cap);
		ck_assert_uint_lt(n, 4 * cap);
		ck_assert_uint_eq(n & (n - 1), 0);
	}
	ck_assert_uint_eq(pyprof_table_index_size(1u << 28), 1u << 29);
}
END_TEST

START_TEST(capacities_out_of_range_are_refused)
{
	struct pyprof_table t = { .ring = &ring };

	memory->cap_fns = 0;
	ck_assert(!pyprof_table_take_over(&t, memory, memory_bytes));
	memory->cap_fns = CAP_FNS;
	memory->cap_edges = (1u << 28) + 1;
	ck_assert(!pyprof_table_take_over(&t, memory, UINT64_MAX));
	pyprof_table_free(&t);
}
END_TEST

/*
 * A reader that saw the entry's epoch before the aborted fold must see a different one after it. So
 * the epoch stays, and the before-image is valid.
 */
START_TEST(an_undone_entry_keeps_its_epoch)
{
	struct pyprof_table t;
	uint32_t n_marked = 0;

	take_over(&t);
	fold_whole(&t, 1);
	fold_part(&t, 2, N_RECORDS / 2);
	pyprof_table_free(&t);
	take_over(&t);
	for (uint32_t i = 1; i <= t.view.s.n_fns; i++) {
		if (t.view.fn[i].epoch != 2)
			continue;
		n_marked++;
		ck_assert_uint_eq(t.view.fn[i].total, t.view.fn_before[i].total);
	}
	ck_assert_uint_gt(n_marked, 0);
	pyprof_table_free(&t);
}
END_TEST

/*
 * The fold is cut off after each record of a block. The next owner undoes it and folds the whole
 * block.
 */
START_TEST(an_aborted_fold_is_undone)
{
	struct pyprof_table t;

	for (int i = 1; i <= N_BLOCKS; i += 5) {
		for (size_t n = 0; n <= N_RECORDS; n += 7) {
			memset((char *)memory + sizeof(*memory), 0, memory_bytes - sizeof(*memory));
			memset(memory->state, 0, sizeof(memory->state));
			memset(&ring, 0, sizeof(ring));
			take_over(&t);
			for (int k = 1; k < i; k++)
				fold_whole(&t, k);
			fold_part(&t, i, n);
			pyprof_table_free(&t);
			take_over(&t);
			reference_to(i - 1);
			assert_same(&t.view, &reference.view);
			fold_whole(&t, i);
			fold_whole(&reference, i);
			assert_same(&t.view, &reference.view);
			reference_free();
			pyprof_table_free(&t);
		}
	}
}
END_TEST

/* The fold is cut off twice in the same block, at a later and at an earlier record. */
START_TEST(an_undone_fold_may_be_aborted_again)
{
	struct pyprof_table t;

	take_over(&t);
	for (int i = 1; i < 9; i++)
		fold_whole(&t, i);
	fold_part(&t, 9, 200);
	pyprof_table_free(&t);
	take_over(&t);
	fold_part(&t, 9, 50);
	pyprof_table_free(&t);
	take_over(&t);
	reference_to(8);
	assert_same(&t.view, &reference.view);
	reference_free();
	pyprof_table_free(&t);
}
END_TEST

/*
 * The target and a reader alternate. A side that finds that the other has folded takes over again.
 */
START_TEST(target_and_reader_may_fold_alternately)
{
	struct pyprof_table side[2], fresh;

	take_over(&side[0]);
	take_over(&side[1]);
	for (int i = 1; i <= N_BLOCKS; i++) {
		struct pyprof_table *t = &side[roll(2)];

		if (t->folded != ring.folded)
			ck_assert(pyprof_table_take_over(t, memory, memory_bytes));
		fold_whole(t, i);
		take_over(&fresh);
		reference_to(i);
		assert_same(&fresh.view, &reference.view);
		reference_free();
		pyprof_table_free(&fresh);
	}
	pyprof_table_free(&side[0]);
	pyprof_table_free(&side[1]);
}
END_TEST

START_TEST(broken_tables_are_not_taken_over)
{
	struct pyprof_table t = { .ring = &ring };

	take_over(&t);
	fold_whole(&t, 1);
	pyprof_table_free(&t);
	t.ring = &ring;
	ck_assert(!pyprof_table_take_over(&t, memory, memory_bytes - 1));
	memory->state[1].n_edges = CAP_EDGES + 1;
	ck_assert(!pyprof_table_take_over(&t, memory, memory_bytes));
	memory->state[1].n_edges = 1;
	ck_assert(!pyprof_table_take_over(&t, memory, memory_bytes));
	memory->cap_fns = 1u << 31;
	ck_assert(!pyprof_table_take_over(&t, memory, memory_bytes));
	pyprof_table_free(&t);
}
END_TEST

/*
 * --- no space -----------------------------------------------------------------------------------
 */

static void record(struct pyprof_fold *f, unsigned kind, uint32_t fn)
{
	pyprof_fold_record_as(f, pyprof_record(kind, fn, 0), false, false);
}

/* Functions 1 .. CAP_FNS fill the table. Calls of others follow, each with its return. */
static void fill_and_lose(struct pyprof_table *t, uint32_t n_lost_calls)
{
	for (uint32_t fn = 1; fn <= CAP_FNS; fn++) {
		record(&t->view, PYPROF_CALL, fn);
		record(&t->view, PYPROF_RETURN, fn);
	}
	for (uint32_t i = 1; i <= n_lost_calls; i++) {
		record(&t->view, PYPROF_CALL, CAP_FNS + i);
		record(&t->view, PYPROF_RETURN, CAP_FNS + i);
	}
}

static void check_lost(struct pyprof_fold_state s, uint64_t n_lost, uint64_t n_unmatched)
{
	uint64_t n_found_fns = s.n_fns;

	ck_assert_uint_eq(s.n_records, 2 * n_found_fns + s.n_unmatched + s.n_lost);
	pyprof_fold_settle_losses(&s);
	ck_assert_uint_eq(s.n_lost, n_lost);
	ck_assert_uint_eq(s.n_unmatched, n_unmatched);
}

/* A call without space counts as two events, and its return is not unmatched. */
START_TEST(lost_events_are_counted_as_events)
{
	struct pyprof_table t;

	take_over(&t);
	fill_and_lose(&t, 3);
	check_lost(t.view.s, 6, 0);
	record(&t.view, PYPROF_CALL, 1000);
	check_lost(t.view.s, 7, 0); /* this call still runs */
	record(&t.view, PYPROF_RETURN, 1000);
	record(&t.view, PYPROF_C_RETURN, 7); /* its call was before recording began */
	check_lost(t.view.s, 8, 1);
	pyprof_table_free(&t);
}
END_TEST

/* --- a table that is read while it changes ---------------------------------------------------- */

/* A reader's view of the table. The recording has nothing else. */
static struct attach attach;
static struct drain drain;
static struct drain_ring at;
static struct tables_source source;
static struct pyprof_fold f;

static void load_state(void)
{
	attach = (struct attach){ .base = (uint8_t *)memory,
				  .bytes = memory_bytes,
				  .real_bytes = memory_bytes,
				  .map_bytes = memory_bytes };
	drain = (struct drain){ .attach = &attach };
	at = (struct drain_ring){ .drain = &drain, .attach = &attach, .ring = &ring };
	source = (struct tables_source){ .ring = &at };
	ck_assert_int_eq(tables_init(&f), 0);
	f.weight = weight;
	ck_assert_int_eq(tables_load_state(&f, &source), 0);
}

/* Adds the records of all blocks up to the newest that an entry includes. */
static void complete(void)
{
	for (uint64_t i = source.folded + 1; i <= tables_latest(&source); i++) {
		pyprof_fold_block(&f, block[i]->base_ticks, block[i]->skipped_ticks);
		for (size_t k = 0; k < N_RECORDS; k++)
			pyprof_fold_record_as(&f, block[i]->record[k], false, false);
		ck_assert_int_eq(tables_apply_late(&f, &source, i), 0);
	}
}

static void start_without_memory(struct pyprof_table *t, int i)
{
	take_over(t);
	t->view.max_distance = t->view.max_idle = 0;
	for (int k = 1; k <= i; k++)
		fold_whole(t, k);
}

static void check_is_as_of(int i)
{
	reference_to(0);
	reference.view.max_distance = reference.view.max_idle = 0;
	for (int k = 1; k <= i; k++)
		fold_whole(&reference, k);
	assert_same(&f, &reference.view);
	reference_free();
	tables_fini(&f);
	tables_source_fini(&source);
}

/* Reads the state. Then `n_more` blocks are folded, and half of another. */
static void read_while_folding(int folded, int n_more)
{
	struct pyprof_table t;

	teardown();
	setup();
	start_without_memory(&t, folded);
	load_state();
	for (int k = 1; k <= n_more; k++)
		fold_whole(&t, folded + k);
	fold_part(&t, folded + n_more + 1, N_RECORDS / 2);
	ck_assert_int_eq(tables_load_entries(&f, &source), 0);
	ck_assert_int_eq(tables_index(&f, &source), 0);
	ck_assert_uint_eq(source.folded, (uint64_t)folded);
	ck_assert_uint_eq(tables_latest(&source), (uint64_t)(folded + n_more));
	complete();
	check_is_as_of(folded + n_more);
	pyprof_table_free(&t);
}

START_TEST(entries_of_later_blocks_are_completed)
{
	for (int folded = 1; folded < 12; folded++)
		for (int n_more = 0; n_more < 5; n_more++)
			read_while_folding(folded, n_more);
}
END_TEST

/* The second attempt copies the changed entries and reuses the others. */
START_TEST(unchanged_entries_are_reused_by_their_epoch)
{
	struct pyprof_table t;

	start_without_memory(&t, 4);
	load_state();
	ck_assert_int_eq(tables_load_entries(&f, &source), 0);
	for (int k = 5; k <= 9; k++)
		fold_whole(&t, k);
	f.s = (struct pyprof_fold_state){ .n_fns = 0 };
	ck_assert_int_eq(tables_load_state(&f, &source), 0);
	ck_assert_uint_eq(source.folded, 9);
	fold_whole(&t, 10);
	fold_part(&t, 11, N_RECORDS / 2);
	ck_assert_int_eq(tables_load_entries(&f, &source), 0);
	ck_assert_int_eq(tables_index(&f, &source), 0);
	complete();
	check_is_as_of(10);
	pyprof_table_free(&t);
}
END_TEST

/* Epochs in a replaced table do not cover blocks that were folded later. */
START_TEST(a_replaced_table_is_not_read_again)
{
	struct pyprof_table t;

	start_without_memory(&t, 2);
	load_state();
	tables_fini(&f);
	ring.fold = 4096;
	ck_assert_int_eq(tables_init(&f), 0);
	ck_assert_int_eq(tables_load_state(&f, &source), -EAGAIN);
	tables_fini(&f);
	pyprof_table_free(&t);
	teardown();
	setup();

	start_without_memory(&t, 3);
	load_state();
	fold_part(&t, 4, N_RECORDS / 2);
	ring.fold = 4096;
	ring.folded = 4;
	attach.live = true;
	ck_assert_int_eq(tables_load_entries(&f, &source), -EAGAIN);
	tables_fini(&f);
	tables_source_fini(&source);
	pyprof_table_free(&t);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("table");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_table_can_be_taken_over_after_every_block);
	tcase_add_test(t, an_owner_continues_without_taking_over);
	tcase_add_test(t, any_capacity_works);
	tcase_add_test(t, an_index_is_at_most_half_full);
	tcase_add_test(t, capacities_out_of_range_are_refused);
	tcase_add_test(t, an_undone_entry_keeps_its_epoch);
	tcase_add_test(t, an_aborted_fold_is_undone);
	tcase_add_test(t, an_undone_fold_may_be_aborted_again);
	tcase_add_test(t, target_and_reader_may_fold_alternately);
	tcase_add_test(t, broken_tables_are_not_taken_over);
	tcase_add_test(t, lost_events_are_counted_as_events);
	tcase_add_test(t, entries_of_later_blocks_are_completed);
	tcase_add_test(t, unchanged_entries_are_reused_by_their_epoch);
	tcase_add_test(t, a_replaced_table_is_not_read_again);
	return run_case("table", t);
}
