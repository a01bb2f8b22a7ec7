/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One test case for each label of pyprof/order.h, for ThreadSanitizer: what one side has written is
 * looked at by the other, which learned of it by that label alone. CK_RUN_CASE=P3 runs one.
 *
 * Where all that lies behind a label in the recording is atomic itself, `word` stands for it: what
 * the one side did before.
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
	need(word == 1, "what was done before is not seen");
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
	drain_close(&d);
	need(drain_open(&d, &a) == 0, "out of memory");
}

static void attach_and_find_rings(void)
{
	attach();
	find_rings();
	need(drain_ring_open(&r, &d) == 0, "out of memory");
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

/* Of the blocks of one function's calls: all are full. */
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

/* A record, and what its thread did before: a name of its function, say. */
START_TEST(record)
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

START_TEST(next_block)
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

/* For who folds: block 1 is folded and still there, and leads to 2, which leads to 3. */
START_TEST(next_block_to_fold)
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

START_TEST(first_block)
{
	take_turns(
		&(struct turns){ begin, attach_and_find_rings, put_call, take_first_block, NULL });
}
END_TEST

START_TEST(first_block_to_fold)
{
	take_turns(&(struct turns){ begin, open_consume, put_call, fold_there, NULL });
}
END_TEST

/* Holds at "block-taken-out", having written at "fold-published". */
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
	/* Not by drain_ring_start, whose fences order more. */
	need(pyprof_observe(&r.ring->first_block) != r.first, "the first block is still the same");
	need_word();
}

static void attach_and_start(void)
{
	attach_and_find_rings();
	start();
}

START_TEST(first_block_taken_out)
{
	take_turns(&(struct turns){ begin_with_two, attach_and_start, put_and_take_out,
				    see_block_taken_out, NULL });
	ck_assert(was_held());
}
END_TEST

/* --- P4, P5 ----------------------------------------------------------------------------------- */

#define LONG_NAME 60000 /* bytes: an extent of names holds one */

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

START_TEST(name)
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

START_TEST(ring)
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

START_TEST(first_names)
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

START_TEST(more_names)
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

START_TEST(first_rings)
{
	take_turns(&(struct turns){ begin, attach, put_call, see_ring, NULL });
}
END_TEST

#define RINGS_OF_EXTENT \
	((PYPROF_EXTENT_ALIGN - sizeof(struct pyprof_extent)) / sizeof(struct pyprof_ring))

/*
 * With a name, so that the file does not grow just when the next extent is made: that is an order,
 * too.
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

START_TEST(more_rings)
{
	take_turns(&(struct turns){ begin_with_rings, attach, put_call, see_more_rings, NULL });
}
END_TEST

START_TEST(more_rings_to_fold)
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

START_TEST(file_bytes)
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

START_TEST(file_bytes_to_fold)
{
	take_turns(&(struct turns){ begin, open_consume, write_word_and_grow,
				    see_more_bytes_to_fold, NULL });
}
END_TEST

START_TEST(magic)
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

/* The ticks, without their nanoseconds: these are known to be 0, as was done before. */
START_TEST(half_a_pair)
{
	take_turns(&(struct turns){ begin_with_counter, attach_and_find_rings, put_half_a_pair,
				    see_half_a_pair, NULL });
	ck_assert(was_held());
}
END_TEST

static void write_word_and_go_on(void)
{
	write_word();
	hold_at("nowhere", 1, NULL);
}

static void put_a_pair(void)
{
	hold_at("half-a-pair", 1, write_word_and_go_on);
	put_call();
}

static void see_a_pair(void)
{
	need(ticks_seconds(&d) > 0, "there is no pair");
	need_word();
}

START_TEST(pair)
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
	need(r.before == 1, "nothing has been folded");
	load_state();
	load_entries();
}

START_TEST(folded_block)
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

/* The reader comes first here. Its block serves anew at once. */
START_TEST(folded_by_reader)
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

START_TEST(folded_before_a_fork)
{
	take_turns(&(struct turns){ NULL, begin_with_folded_frame, open_consume_and_fold,
				    see_frames, NULL });
}
END_TEST

#define MANY 300 /* functions: more than the first table holds */

/* Block 1 is folded, and 2 calls for a larger table. */
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

START_TEST(larger_table)
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
	need(r.before == 1 && drain_next(&r, &batch) == DRAIN_BATCH, "there is no second block");
}

/* The first block, passed over as folded, serves anew. */
START_TEST(block_serves_anew)
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

/* The state and the stack of block 1 make place for those of block 3. */
START_TEST(state_serves_anew)
{
	take_turns(&(struct turns){ begin_with_three_to_fold, attach_and_find_rings, fold_and_hold,
				    see_current_table, NULL });
	ck_assert(was_held());
}
END_TEST

/* --- P12, P13 --------------------------------------------------------------------------------- */

/*
 * Block 1 is folded, and knows two functions. The first record of block 2 changes the first of
 * them, a later one the other.
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

/* One entry is read while it has changed already, another one before it changes. */
START_TEST(entry)
{
	take_turns(&(struct turns){ begin_with_two_functions, attach_and_find_rings,
				    put_and_begin_to_fold, see_table, NULL });
	ck_assert(was_held());
}
END_TEST

static void attach_and_load_state(void)
{
	attach_and_start();
	need(r.before == 1, "nothing has been folded");
	load_state();
}

static void see_whole_entries(void)
{
	load_entries();
	need(source.n_late && tables_latest(&source) == 2, "the entries are not of block 2");
}

/* The state is that of block 1, and all entries are those of block 2. */
START_TEST(later_entries)
{
	take_turns(&(struct turns){ begin_with_two_functions, attach_and_load_state, put_and_fold,
				    see_whole_entries, NULL });
	ck_assert(was_held());
}
END_TEST

/*
 * Block 2 is folded, then the first record of 3, and when the reader has looked the rest of it and
 * 4.
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
 * The state is that of block 1, and the entries are those of block 2: one whole, one as it was
 * before block 3 has changed it.
 */
START_TEST(late_entries)
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

/* A reader has put back what it could not finish, and the target goes on there. */
START_TEST(claim)
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

static void put_behind_it(void)
{
	target_take_gil();
	put_call();
	target_drop_gil();
	attach_and_find_rings();
	need(d.n_rings == 1, "the ring was not taken over");
}

START_TEST(ended_thread)
{
	take_turns(&(struct turns){ begin, NULL, run_short_thread, put_behind_it, NULL });
}
END_TEST

/* --- one side alone --------------------------------------------------------------------------- */

/*
 * A pause that no tick field holds before each record, and so before those at which the target
 * stops to look for names, and at each other place of a block: none is written behind the place
 * where it stops.
 */
START_TEST(long_pauses)
{
	target_begin(4);
	for (int i = 0; i < 20000; i++) {
		target_pause();
		target_put(i & 1 ? PYPROF_RETURN : PYPROF_CALL, 1);
		need(target_is_within_block(), "the target writes behind its block");
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
	ADD("P1", record);
	ADD("P2", next_block, next_block_to_fold);
	ADD("P3", first_block, first_block_to_fold, first_block_taken_out);
	ADD("P4", name, ring);
	ADD("P5", first_names, more_names, first_rings, more_rings, first_block_to_fold,
	    more_rings_to_fold);
	ADD("P6", file_bytes, file_bytes_to_fold);
	ADD("P7", magic);
	ADD("P8", half_a_pair, pair);
	ADD("P9", folded_block, folded_by_reader, folded_before_a_fork, later_entries);
	ADD("P10", larger_table);
	ADD("P11", block_serves_anew, state_serves_anew, late_entries);
	ADD("P12", entry, late_entries);
	ADD("P13", entry, late_entries);
	ADD("X1", claim);
	ADD("X2", ended_thread);
	ADD("alone", long_pauses);
	failed = run(s);
	target_remove_folder();
	return failed != 0;
}
