/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One test case for each label of pyprof/order.h, for ThreadSanitizer. Each test reads on one side
 * what the other side has written, and only the label orders the two. CK_RUN_CASE=P3 runs one case.
 *
 * If everything behind a label in the recording is atomic itself, `word` stands for the plain
 * stores that came before it.
 */
#include <check.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "recording/attach.h"
#include "recording/consume.h"
#include "recording/drain.h"
#include "recording/names.h"
#include "recording/tables.h"
#include "recording/ticks.h"
#include "sides.h"
#include "tests/run.h"

static uint64_t word;

static void write_word(void)
{
	word = 1;
}

static void need(bool what, const char *text)
{
	if (what)
		return;
	fprintf(stderr, "litmus: %s\n", text);
	abort();
}

static void need_word(void)
{
	need(word == 1, "an earlier store is not seen");
}

/* --- the reader ------------------------------------------------------------------------------- */

static struct attach a;
static struct drain d;
static struct drain_ring r;
static struct drain_batch batch;
static struct consume c;
static struct names names;
static uint64_t table;

static void attach(void)
{
	need(attach_open(&a, target_path()) == 0, a.error.text);
	need(a.live, "the target is not running");
}

static void find_rings(void)
{
	drain_fini(&d);
	need(drain_init(&d, &a) == 0, "out of memory");
}

static void attach_and_find_rings(void)
{
	attach();
	find_rings();
	need(drain_ring_init(&r, &d) == 0, "out of memory");
}

static void start(void)
{
	need(drain_ring_start(&r, 0, &table) == 0, "out of memory");
}

static void open_consume(void)
{
	attach();
	need(consume_open(&c, &a) == 0, "the recording cannot be written");
}

static void fold_there(void)
{
	consume_round(&c);
}

static void read_names(void)
{
	names_fini(&names);
	need(names_read(&names, &a) == 0, "out of memory");
}

static struct pyprof_fold f;
static struct tables_source source;

static void load_state(void)
{
	tables_fini(&f);
	source = (struct tables_source){ .ring = &r, .offset = table };
	need(tables_init(&f) == 0 && tables_load_state(&f, &source) == 0,
	     "the state of the fold table makes no sense");
}

static void load_entries(void)
{
	tables_source_fini(&source);
	need(tables_load_entries(&f, &source) == 0, "the fold table makes no sense");
}

/* --- the target ------------------------------------------------------------------------------- */

static void begin(void)
{
	target_begin(2);
}

static void put_call(void)
{
	target_put(PYPROF_CALL, 1);
}

static void begin_and_put(void)
{
	begin();
	put_call();
}

/* Fills `n_blocks` blocks with calls of one function. */
static void begin_and_fill(uint32_t n_blocks)
{
	target_begin(n_blocks);
	for (uint32_t i = 0; i < n_blocks; i++)
		target_fill(1, 1);
}

static void begin_with_block(void)
{
	begin_and_fill(1);
}

static void begin_with_two(void)
{
	begin_and_fill(2);
}

static void write_word_and_put(void)
{
	write_word();
	put_call();
}

/* --- P1 --------------------------------------------------------------------------------------- */

static void take_record(void)
{
	size_t n;

	start();
	need(drain_next(&r, &batch) == DRAIN_BATCH, "there is no block");
	n = batch.n;
	need(n && pyprof_record_kind(batch.record[n - 1]) == PYPROF_CALL, "there is no record");
	need_word();
}

/* A record must show the stores before it, such as the name of its function. */
START_TEST(a_record_shows_the_stores_before_it)
{
	take_turns(&(struct turns){ begin_and_put, attach_and_find_rings, write_word_and_put,
				    take_record, NULL });
}
END_TEST

/* --- P2, P3 ----------------------------------------------------------------------------------- */

static void take_two_blocks(void)
{
	start();
	need(drain_next(&r, &batch) == DRAIN_BATCH && drain_next(&r, &batch) == DRAIN_BATCH,
	     "there are no two blocks");
}

START_TEST(the_next_block_has_its_header)
{
	take_turns(&(struct turns){ begin_with_block, attach_and_find_rings, put_call,
				    take_two_blocks, NULL });
}
END_TEST

static void fold_two_blocks(void)
{
	need(consume_round(&c) == 1, "there was nothing to fold");
}

static void open_consume_and_fold(void)
{
	open_consume();
	need(consume_round(&c) == 1, "the first block was not folded");
}

static void begin_with_two_of_three(void)
{
	target_begin(3);
	target_fill(1, 1);
	target_fill(1, 1);
}

/* For the side that folds: block 1 is folded but still in the chain 1 -> 2 -> 3. */
START_TEST(the_next_block_has_its_header_for_a_folder)
{
	take_turns(&(struct turns){ begin_with_two_of_three, open_consume_and_fold, put_call,
				    fold_two_blocks, NULL });
}
END_TEST

static void take_first_block(void)
{
	find_rings();
	start();
	need(drain_next(&r, &batch) == DRAIN_BATCH, "there is no block");
}

START_TEST(the_first_block_has_its_header)
{
	take_turns(
		&(struct turns){ begin, attach_and_find_rings, put_call, take_first_block, NULL });
}
END_TEST

START_TEST(the_first_block_has_its_header_for_a_folder)
{
	take_turns(&(struct turns){ begin, open_consume, put_call, fold_there, NULL });
}
END_TEST

/* Stops at "block-taken-out", after writing at "fold-published". */
static void write_word_and_hold(void)
{
	write_word();
	hold_at("block-taken-out", 1, NULL);
}

static void put_and_take_out(void)
{
	hold_at("fold-published", 1, write_word_and_hold);
	put_call();
}

static void see_block_taken_out(void)
{
	/* Not drain_ring_start(): its fences would add orders. */
	need(pyprof_observe(&r.ring->first_block) != r.first_block,
	     "the first block is still the same");
	need_word();
}

static void attach_and_start(void)
{
	attach_and_find_rings();
	start();
}

START_TEST(a_removed_first_block_shows_the_fold_before_it)
{
	take_turns(&(struct turns){ begin_with_two, attach_and_start, put_and_take_out,
				    see_block_taken_out, NULL });
	ck_assert(was_held());
}
END_TEST

/* --- P4, P5 ----------------------------------------------------------------------------------- */

#define LONG_NAME 60000 /* bytes: one fills an extent of names */

static void begin_with_name(void)
{
	begin();
	target_name(1, 8);
}

static void attach_and_read_names(void)
{
	attach();
	read_names();
}

static void put_name(void)
{
	target_name(2, 8);
}

static void see_two_names(void)
{
	read_names();
	need(names.fn.n == 2, "the name is not there");
}

START_TEST(a_name_is_complete)
{
	take_turns(&(struct turns){ begin_with_name, attach_and_read_names, put_name, see_two_names,
				    NULL });
}
END_TEST

static void write_word_and_put_elsewhere(void)
{
	target_be_another();
	write_word_and_put();
}

static void see_two_rings(void)
{
	find_rings();
	need(d.n_rings == 2, "the ring is not there");
	need_word();
}

START_TEST(a_ring_is_complete)
{
	take_turns(&(struct turns){ begin_and_put, attach_and_find_rings,
				    write_word_and_put_elsewhere, see_two_rings, NULL });
}
END_TEST

static void put_first_name(void)
{
	target_name(1, LONG_NAME);
}

static void see_name(void)
{
	read_names();
	need(names.fn.n == 1, "the name is not there");
}

START_TEST(the_first_extent_of_names_is_complete)
{
	take_turns(&(struct turns){ begin, attach, put_first_name, see_name, NULL });
}
END_TEST

static void begin_with_long_name(void)
{
	begin();
	put_first_name();
}

static void put_long_name(void)
{
	target_name(2, LONG_NAME);
}

START_TEST(the_next_extent_of_names_is_complete)
{
	take_turns(&(struct turns){ begin_with_long_name, attach, put_long_name, see_two_names,
				    NULL });
}
END_TEST

static void see_ring(void)
{
	find_rings();
	need(d.n_rings == 1, "the ring is not there");
}

START_TEST(the_first_extent_of_rings_is_complete)
{
	take_turns(&(struct turns){ begin, attach, put_call, see_ring, NULL });
}
END_TEST

#define RINGS_OF_EXTENT \
	((PYPROF_EXTENT_ALIGN - sizeof(struct pyprof_extent)) / sizeof(struct pyprof_ring))

/*
 * Begins with a name, so that the file does not grow together with the next extent. That would be a
 * second order.
 */
static void begin_with_rings(void)
{
	begin_with_name();
	for (size_t i = 0; i < RINGS_OF_EXTENT; i++) {
		target_be_another();
		put_call();
	}
	target_be_another();
}

static void see_more_rings(void)
{
	find_rings();
	need(d.n_rings == RINGS_OF_EXTENT + 1, "the ring is not there");
}

START_TEST(the_next_extent_of_rings_is_complete)
{
	take_turns(&(struct turns){ begin_with_rings, attach, put_call, see_more_rings, NULL });
}
END_TEST

START_TEST(the_next_extent_of_rings_is_complete_for_a_folder)
{
	take_turns(&(struct turns){ begin_with_rings, open_consume, put_call, fold_there, NULL });
}
END_TEST

/* --- P6, P7 ----------------------------------------------------------------------------------- */

static void write_word_and_grow(void)
{
	write_word();
	for (uint32_t i = 1; i < 8; i++)
		target_name(i, LONG_NAME);
}

static void see_more_bytes(void)
{
	need(attach_bytes(&a) > a.bytes, "the file has not grown");
	need_word();
}

START_TEST(a_larger_file_shows_the_stores_before_it)
{
	take_turns(&(struct turns){ begin, attach, write_word_and_grow, see_more_bytes, NULL });
}
END_TEST

static void see_more_bytes_to_fold(void)
{
	uint64_t before = c.bytes;

	consume_round(&c);
	need(c.bytes > before, "the file has not grown");
	need_word();
}

START_TEST(a_larger_file_shows_the_stores_before_it_to_a_folder)
{
	take_turns(&(struct turns){ begin, open_consume, write_word_and_grow,
				    see_more_bytes_to_fold, NULL });
}
END_TEST

START_TEST(the_magic_shows_a_complete_header)
{
	take_turns(&(struct turns){ target_prepare, NULL, target_record, attach, NULL });
}
END_TEST

/* --- P8 --------------------------------------------------------------------------------------- */

static void begin_with_counter(void)
{
	begin();
	target_use_counter();
	target_put_until_pair();
}

static void put_half_a_pair(void)
{
	write_word();
	hold_at("half-a-pair", 1, NULL);
	put_call();
}

static void see_half_a_pair(void)
{
	ticks_seconds(&d);
	need_word();
}

/* The reader sees the new ticks without their nanoseconds. These are 0, as stored before. */
START_TEST(half_a_pair_of_clocks_shows_the_stores_before_it)
{
	take_turns(&(struct turns){ begin_with_counter, attach_and_find_rings, put_half_a_pair,
				    see_half_a_pair, NULL });
	ck_assert(was_held());
}
END_TEST

static void write_word_and_continue(void)
{
	write_word();
	hold_at("nowhere", 1, NULL);
}

static void put_a_pair(void)
{
	hold_at("half-a-pair", 1, write_word_and_continue);
	put_call();
}

static void see_a_pair(void)
{
	need(ticks_seconds(&d) > 0, "there is no pair");
	need_word();
}

START_TEST(a_pair_of_clocks_shows_the_stores_before_it)
{
	take_turns(&(struct turns){ begin_with_counter, attach_and_find_rings, put_a_pair,
				    see_a_pair, NULL });
}
END_TEST

/* --- P9, P10 ---------------------------------------------------------------------------------- */

static void put_and_fold(void)
{
	hold_at("fold-published", 1, NULL);
	put_call();
}

static void see_table(void)
{
	start();
	need(r.folded_at_start == 1, "nothing has been folded");
	load_state();
	load_entries();
}

START_TEST(a_folded_block_shows_its_table)
{
	take_turns(&(struct turns){ begin_with_two, attach_and_find_rings, put_and_fold, see_table,
				    NULL });
	ck_assert(was_held());
}
END_TEST

static void open_consume_and_hold(void)
{
	open_consume();
	hold_at("fold-published", 1, NULL);
	need(consume_round(&c) > 0, "the first block was not folded");
}

/* The reader folds first here. Its block is reused at once. */
START_TEST(a_block_folded_by_a_reader_is_reused_by_the_target)
{
	take_turns(&(struct turns){ NULL, begin_with_two, open_consume_and_hold, put_call, NULL });
	ck_assert(was_held());
}
END_TEST

static void see_frames(void)
{
	need(target_find_frames() == 1, "no frame is found running");
}

static void begin_with_folded_frame(void)
{
	begin_with_block();
	target_fill_with_gaps();
}

START_TEST(a_fork_sees_the_frames_that_a_reader_folded)
{
	take_turns(&(struct turns){ NULL, begin_with_folded_frame, open_consume_and_fold,
				    see_frames, NULL });
}
END_TEST

#define MANY 300 /* functions: too many for the first table */

/* Block 1 is folded. Block 2 needs a larger table. */
static void begin_with_many(void)
{
	begin_with_block();
	target_fill(100, MANY);
	target_fill(1, 1);
}

static void put_and_grow(void)
{
	hold_at("table-published", 1, NULL);
	put_call();
}

START_TEST(a_larger_table_is_complete)
{
	take_turns(&(struct turns){ begin_with_many, attach_and_find_rings, put_and_grow, see_table,
				    NULL });
	ck_assert(was_held());
}
END_TEST

/* --- P11 -------------------------------------------------------------------------------------- */

static void take_second_block(void)
{
	start();
	need(r.folded_at_start == 1 && drain_next(&r, &batch) == DRAIN_BATCH,
	     "there is no second block");
}

/* The reader skips the first block as folded while the target reuses it. */
START_TEST(a_reused_block_is_not_read_as_the_old_one)
{
	take_turns(&(struct turns){ begin_with_two, attach_and_find_rings, put_and_fold,
				    take_second_block, NULL });
	ck_assert(was_held());
}
END_TEST

static void begin_with_three_to_fold(void)
{
	target_begin(4);
	target_fill(1, 1);
	target_fill_with_gaps();
	target_fill_with_gaps();
	put_call();
	open_consume();
}

static void fold_and_hold(void)
{
	hold_at("fold-published", 1, NULL);
	need(consume_round(&c) == 3, "there were no three blocks to fold");
}

static void see_current_table(void)
{
	see_table();
	need(drain_is_current(&r), "the table is another one");
}

/* The state and stack of block 3 overwrite those of block 1. */
START_TEST(a_reused_state_is_not_read_as_the_old_one)
{
	take_turns(&(struct turns){ begin_with_three_to_fold, attach_and_find_rings, fold_and_hold,
				    see_current_table, NULL });
	ck_assert(was_held());
}
END_TEST

/* --- P12, P13 --------------------------------------------------------------------------------- */

/*
 * Block 1 is folded and has two functions. The first record of block 2 changes one of them, a later
 * record the other.
 */
static void begin_with_two_functions(void)
{
	begin();
	for (int i = 0; i < 2; i++) {
		target_put(PYPROF_CALL, 2);
		target_put(PYPROF_RETURN, 2);
	}
	target_fill(1, 2);
	target_fill(1, 2);
	target_fill(1, 2);
}

static void put_and_begin_to_fold(void)
{
	hold_at("fold-record", 1, NULL);
	put_call();
}

/* One entry is read after its change, the other before it. */
START_TEST(a_changing_entry_is_read_by_its_before_image)
{
	take_turns(&(struct turns){ begin_with_two_functions, attach_and_find_rings,
				    put_and_begin_to_fold, see_table, NULL });
	ck_assert(was_held());
}
END_TEST

static void attach_and_load_state(void)
{
	attach_and_start();
	need(r.folded_at_start == 1, "nothing has been folded");
	load_state();
}

static void see_whole_entries(void)
{
	load_entries();
	need(source.n_late && tables_latest(&source) == 2, "the entries are not of block 2");
}

/* The state is that of block 1, and all entries are those of block 2. */
START_TEST(entries_newer_than_the_state_are_complete)
{
	take_turns(&(struct turns){ begin_with_two_functions, attach_and_load_state, put_and_fold,
				    see_whole_entries, NULL });
	ck_assert(was_held());
}
END_TEST

/*
 * Folds block 2 and the first record of block 3. After the reader has looked, folds the rest of 3,
 * and 4.
 */
static void put_and_fold_on(void)
{
	put_call();
	target_fill(1, 2);
	hold_at("fold-record", 1, NULL);
	put_call();
	target_fill(1, 2);
	put_call();
}

/*
 * The state is that of block 1, and the entries are those of block 2: one is current, the other is
 * the before-image of block 3.
 */
START_TEST(entries_that_change_twice_are_complete)
{
	take_turns(&(struct turns){ begin_with_two_functions, attach_and_load_state,
				    put_and_fold_on, see_whole_entries, NULL });
	ck_assert(was_held());
}
END_TEST

/* --- X1, X2 ----------------------------------------------------------------------------------- */

static void fail_to_fold(void)
{
	open_consume();
	need(consume_round(&c) == 0 && c.n_rings == 1 && pyprof_get(&c.ring[0].ring->wants_table),
	     "the table was not too small");
}

/* A reader gave the ring back because its table was too small. The target continues there. */
START_TEST(a_returned_claim_shows_the_readers_stores)
{
	take_turns(&(struct turns){ NULL, begin_with_many, fail_to_fold, put_call, NULL });
}
END_TEST

static void *be_short_thread(void *arg)
{
	target_take_gil();
	put_call();
	target_drop_gil();
	return arg;
}

static void run_short_thread(void)
{
	pthread_t thread;

	need(pthread_create(&thread, NULL, be_short_thread, NULL) == 0, "there is no thread");
	pthread_join(thread, NULL);
}

static void put_after_it(void)
{
	target_take_gil();
	put_call();
	target_drop_gil();
	attach_and_find_rings();
	need(d.n_rings == 1, "the ring was not taken over");
}

START_TEST(a_ring_of_an_ended_thread_shows_its_stores)
{
	take_turns(&(struct turns){ begin, NULL, run_short_thread, put_after_it, NULL });
}
END_TEST

/* --- one side alone --------------------------------------------------------------------------- */

/*
 * Each record follows a pause that its tick field cannot hold. Some of these records are those at
 * which the target stops to look for names; others are at every other place of a block. None may be
 * written after the place at which it stops.
 */
START_TEST(long_pauses_stay_within_the_block)
{
	target_begin(4);
	for (int i = 0; i < 20000; i++) {
		target_pause();
		target_put(i & 1 ? PYPROF_RETURN : PYPROF_CALL, 1);
		need(target_is_within_block(), "the target writes after its block");
	}
}
END_TEST

static void add(Suite *s, const char *label, const TTest *const *tests, size_t n)
{
	TCase *tc = tcase_create(label);

	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
}

#define ADD(label, ...)                                      \
	add(s, label, (const TTest *const[]){ __VA_ARGS__ }, \
	    sizeof((const TTest *const[]){ __VA_ARGS__ }) / sizeof(const TTest *))

int main(void)
{
	Suite *s = suite_create("litmus");
	int failed;

	target_make_folder();
	ADD("P1", a_record_shows_the_stores_before_it);
	ADD("P2", the_next_block_has_its_header, the_next_block_has_its_header_for_a_folder);
	ADD("P3", the_first_block_has_its_header, the_first_block_has_its_header_for_a_folder,
	    a_removed_first_block_shows_the_fold_before_it);
	ADD("P4", a_name_is_complete, a_ring_is_complete);
	ADD("P5", the_first_extent_of_names_is_complete, the_next_extent_of_names_is_complete,
	    the_first_extent_of_rings_is_complete, the_next_extent_of_rings_is_complete,
	    the_first_block_has_its_header_for_a_folder,
	    the_next_extent_of_rings_is_complete_for_a_folder);
	ADD("P6", a_larger_file_shows_the_stores_before_it,
	    a_larger_file_shows_the_stores_before_it_to_a_folder);
	ADD("P7", the_magic_shows_a_complete_header);
	ADD("P8", half_a_pair_of_clocks_shows_the_stores_before_it,
	    a_pair_of_clocks_shows_the_stores_before_it);
	ADD("P9", a_folded_block_shows_its_table,
	    a_block_folded_by_a_reader_is_reused_by_the_target,
	    a_fork_sees_the_frames_that_a_reader_folded, entries_newer_than_the_state_are_complete);
	ADD("P10", a_larger_table_is_complete);
	ADD("P11", a_reused_block_is_not_read_as_the_old_one,
	    a_reused_state_is_not_read_as_the_old_one, entries_that_change_twice_are_complete);
	ADD("P12", a_changing_entry_is_read_by_its_before_image,
	    entries_that_change_twice_are_complete);
	ADD("P13", a_changing_entry_is_read_by_its_before_image,
	    entries_that_change_twice_are_complete);
	ADD("X1", a_returned_claim_shows_the_readers_stores);
	ADD("X2", a_ring_of_an_ended_thread_shows_its_stores);
	ADD("alone", long_pauses_stay_within_the_block);
	failed = run(s);
	target_remove_folder();
	return failed != 0;
}
