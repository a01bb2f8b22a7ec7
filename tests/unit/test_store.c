/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trees in a recording. A fold may be cut off at any record and at any step of the commit. The next
 * owner must then find exactly the state after the last complete fold.
 */
#include <check.h>

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

static jmp_buf died;
static long until_death; /* stores of the kind below, or < 0 for ever */

/* Ends the fold at the n-th test point, as a kill would. */
#define PYPROF_TESTPOINT(name) (until_death-- == 0 ? longjmp(died, 1) : (void)0)

#include "pyprof/store.h"
#include "recording/trees.h"
#include "tests/run.h"

#define BLOCK_BYTES 2048u
#define N_RECORDS ((BLOCK_BYTES - sizeof(struct pyprof_block)) / 8)
#define N_BLOCKS 24
#define N_FNS 40u
#define ENOUGH 8192u

static struct pyprof_block *block[N_BLOCKS + 1];
static struct pyprof_ring ring;
static struct pyprof_store_head *memory;
static uint64_t memory_bytes;
static struct pyprof_tree reference;

/* --- a stream of events, from a fixed seed ---------------------------------------------------- */

static uint64_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull; /* Knuth, MMIX */
	return (uint32_t)(seed >> 33) % n;
}

static uint64_t make_record(uint32_t *stack, uint32_t *depth, uint32_t up, uint64_t ticks)
{
	unsigned high = roll(3) ? 0 : PYPROF_HIGH_OFFSET;

	if (!roll(8))
		return pyprof_record(PYPROF_SYNC | high, 1 + roll(5), 0);
	if (!roll(60)) { /* a return is missing */
		*depth = *depth > 2 ? *depth - 1 : *depth;
	}
	if (*depth && roll(100) < up)
		return pyprof_record((roll(9) ? PYPROF_RETURN : PYPROF_UNWIND) | high,
				     stack[--*depth], ticks);
	stack[*depth] = 1 + roll(N_FNS);
	return pyprof_record(roll(5) ? PYPROF_CALL : PYPROF_RESUME, stack[(*depth)++], ticks);
}

static void make_blocks(void)
{
	static uint32_t stack[1 << 16];
	uint32_t depth = 0;
	uint64_t now = 1000;

	seed = 20260101;
	for (uint32_t i = 1; i <= N_BLOCKS; i++) {
		struct pyprof_block *b = calloc(1, BLOCK_BYTES);

		b->sequence = i;
		b->base_ticks = now;
		for (size_t k = 0; k < N_RECORDS; k++) {
			now += roll(50);
			b->record[k] = make_record(stack, &depth, i % 6 < 3 ? 40 : 60,
						   now - b->base_ticks);
		}
		if (i == 1)
			b->record[0] = pyprof_record(PYPROF_THREAD, 1, 0);
		block[i] = b;
	}
}

static void make_store(uint32_t nodes)
{
	struct pyprof_store_layout l = pyprof_store_plan(NULL, nodes, BLOCK_BYTES);

	free(memory);
	memory_bytes = l.bytes;
	memory = aligned_alloc(64, (l.bytes + 63) / 64 * 64);
	memset(memory, 0, l.bytes);
	l = pyprof_store_plan(memory, nodes, BLOCK_BYTES);
	pyprof_store_make(memory, &l, PYPROF_TREE_MULTIPLIER);
	memset(&ring, 0, sizeof(ring));
}

static void setup(void)
{
	until_death = -1;
	make_store(ENOUGH);
	make_blocks();
	ck_assert_int_eq(trees_init(&reference), 0);
	reference.max_distance = 50;
	reference.max_idle = 20;
}

static void teardown(void)
{
	for (int i = 1; i <= N_BLOCKS; i++)
		free(block[i]);
	free(memory);
	memory = NULL;
	trees_fini(&reference);
}

/* --- two ways to the same tree ---------------------------------------------------------------- */

static void take_over(struct pyprof_store *s)
{
	memset(s, 0, sizeof(*s));
	s->ring = &ring;
	s->tree.max_distance = 50;
	s->tree.max_idle = 20;
	ck_assert(pyprof_store_take_over(s, memory, memory_bytes));
}

static bool fold(struct pyprof_store *s, int i)
{
	return pyprof_store_fold(s, block[i], block[i]->sequence, BLOCK_BYTES);
}

static void fold_whole(struct pyprof_store *s, int i)
{
	ck_assert(fold(s, i));
	pyprof_store_commit(s, block[i]->sequence);
}

/* Folds the first `n` records of a block, without a commit. */
static bool fold_some(struct pyprof_store *s, int i, size_t n)
{
	uint64_t kept = n < N_RECORDS ? block[i]->record[n] : 0;

	bool ok;

	if (n < N_RECORDS)
		block[i]->record[n] = 0;
	ok = fold(s, i);
	if (n < N_RECORDS)
		block[i]->record[n] = kept;
	return ok;
}

static void fold_part(struct pyprof_store *s, int i, size_t n)
{
	ck_assert(fold_some(s, i, n));
}

/* Adds blocks to the tree in private memory, up to block `n`. */
static void reference_to(int n)
{
	for (int i = (int)reference.epoch + 1; i <= n; i++) {
		reference.epoch++;
		pyprof_tree_block(&reference, block[i]->base_ticks, block[i]->skipped_ticks);
		ck_assert(pyprof_tree_records(&reference, block[i]->record,
					      block[i]->record + N_RECORDS));
	}
}

static void restart_reference(void)
{
	trees_fini(&reference);
	ck_assert_int_eq(trees_init(&reference), 0);
	reference.max_distance = 50;
	reference.max_idle = 20;
}

/*
 * All numbers but links. Distances are compared if no fold was undone: the last calls of functions
 * are not.
 */
static void assert_same(const struct pyprof_tree *a, bool distances)
{
	const struct pyprof_tree *b = &reference;

	ck_assert_mem_eq(&a->s, &b->s, sizeof(a->s));
	for (uint32_t i = 0; i < a->s.n_nodes; i++) {
		struct pyprof_node x = a->node[i], y = b->node[i];

		x.epoch = x.first = x.next = x.follow = 0;
		y.epoch = y.first = y.next = y.follow = 0;
		x.fn &= ~PYPROF_NODE_WIDE;
		y.fn &= ~PYPROF_NODE_WIDE;
		if (!distances)
			x.distance = y.distance = 0;
		ck_assert_mem_eq(&x, &y, sizeof(x));
	}
}

/* --- whole folds ------------------------------------------------------------------------------ */

START_TEST(a_store_can_be_taken_over_after_every_block)
{
	struct pyprof_store s;

	for (int i = 1; i <= N_BLOCKS; i++) {
		take_over(&s);
		fold_whole(&s, i);
		pyprof_store_free(&s);
		take_over(&s);
		reference_to(i);
		assert_same(&s.tree, false);
		pyprof_store_free(&s);
	}
	ck_assert_uint_gt(reference.s.n_nodes, 1000);
}
END_TEST

START_TEST(an_owner_continues_without_taking_over)
{
	struct pyprof_store s;

	take_over(&s);
	for (int i = 1; i <= N_BLOCKS; i++) {
		fold_whole(&s, i);
		reference_to(i);
		assert_same(&s.tree, true);
	}
	pyprof_store_free(&s);
}
END_TEST

/* A living holder's links are valid: taking over makes none. */
START_TEST(target_and_reader_may_fold_alternately)
{
	struct pyprof_store side[2];

	take_over(&side[0]);
	take_over(&side[1]);
	for (int i = 1; i <= N_BLOCKS; i++) {
		struct pyprof_store *s = &side[roll(2)];

		if (s->folded != ring.folded)
			ck_assert(pyprof_store_take_over(s, memory, memory_bytes));
		fold_whole(s, i);
		reference_to(i);
		assert_same(&s->tree, false);
	}
	pyprof_store_free(&side[0]);
	pyprof_store_free(&side[1]);
}
END_TEST

static void assert_logged_once(const struct pyprof_tree *t)
{
	ck_assert_uint_le(t->n_log, t->s.n_nodes);
	for (uint32_t a = 0; a < t->n_log; a++)
		for (uint32_t b = 0; b < a; b++)
			ck_assert_uint_ne(t->log[a].node, t->log[b].node);
}

/* --- kills ------------------------------------------------------------------------------------ */

/*
 * The fold is cut off after each record of a block. The next owner undoes it and folds the whole
 * block.
 */
START_TEST(an_aborted_fold_is_undone)
{
	struct pyprof_store s;

	for (int i = 1; i <= N_BLOCKS; i += 5) {
		for (size_t n = 0; n <= N_RECORDS; n += 7) {
			make_store(ENOUGH);
			restart_reference();
			take_over(&s);
			for (int k = 1; k < i; k++)
				fold_whole(&s, k);
			fold_part(&s, i, n);
			pyprof_store_free(&s);
			take_over(&s);
			reference_to(i - 1);
			assert_same(&s.tree, false);
			fold_whole(&s, i);
			reference_to(i);
			assert_same(&s.tree, false);
			pyprof_store_free(&s);
		}
	}
}
END_TEST

/* The fold is cut off again and again in the same block. Each node is logged only once. */
START_TEST(an_undone_fold_may_be_aborted_again)
{
	struct pyprof_store s;

	take_over(&s);
	for (int i = 1; i < 9; i++)
		fold_whole(&s, i);
	reference_to(8);
	for (int i = 0; i < 500; i++) {
		fold_part(&s, 9, roll(N_RECORDS));
		pyprof_store_free(&s);
		take_over(&s);
		assert_same(&s.tree, false);
		assert_logged_once(&s.tree);
	}
	fold_whole(&s, 9);
	reference_to(9);
	assert_same(&s.tree, false);
	pyprof_store_free(&s);
}
END_TEST

/* A kill at each test point: within the log, the undo and the commit. */
START_TEST(a_kill_at_any_step_is_undone)
{
	static struct pyprof_store s;
	volatile int at = 0, folded = 0;
	volatile bool done = false;

	for (; !done; at++) {
		make_store(ENOUGH);
		restart_reference();
		take_over(&s);
		for (int i = 1; i < 9; i++)
			fold_whole(&s, i);
		until_death = at;
		if (!setjmp(died)) {
			fold_whole(&s, 9);
			done = until_death >= 0; /* it was not killed */
		}
		until_death = -1;
		for (volatile int kills = 0; kills < 2; kills++) { /* once in the undo as well */
			pyprof_store_free(&s);
			until_death = kills ? -1 : at / 2;
			if (!setjmp(died))
				take_over(&s);
		}
		folded = (int)s.folded;
		ck_assert(folded == 8 || folded == 9);
		reference_to(folded);
		assert_same(&s.tree, false);
		for (int i = folded + 1; i <= 10; i++) {
			fold_whole(&s, i);
			assert_logged_once(&s.tree);
		}
		reference_to(10);
		assert_same(&s.tree, false);
		pyprof_store_free(&s);
	}
	ck_assert_int_gt(at, 50);
}
END_TEST

/* A reader that saw the node's epoch before the aborted fold must see a different one after it. */
START_TEST(an_undone_node_keeps_its_epoch)
{
	struct pyprof_store s;
	uint32_t n_marked = 0;

	take_over(&s);
	fold_whole(&s, 1);
	fold_part(&s, 2, N_RECORDS / 2);
	pyprof_store_free(&s);
	take_over(&s);
	for (uint32_t i = 0; i < s.tree.s.n_nodes; i++)
		n_marked += s.tree.node[i].epoch == 2;
	ck_assert_uint_gt(n_marked, 1);
	ck_assert_uint_eq(n_marked, s.tree.n_log);
	pyprof_store_free(&s);
}
END_TEST

/* --- room ------------------------------------------------------------------------------------- */

/* The same stream through stores that are replaced by larger ones when they are full. */
START_TEST(a_full_store_is_replaced)
{
	struct pyprof_store s;
	uint32_t cap = PYPROF_STORE_MIN_NODES;
	int n_full = 0;

	make_store(cap);
	take_over(&s);
	for (int i = 1; i <= N_BLOCKS; i++) {
		while (!fold(&s, i)) {
			struct pyprof_store_head *old = memory;

			n_full++;
			reference_to(i - 1);
			assert_same(&s.tree, false);
			memory = NULL;
			make_store(cap *= 2);
			ring.folded = s.folded;
			pyprof_store_move(&s, memory);
			free(old);
			for (int n = 9; n < 99 && n < (int)cap;
			     n += 45) { /* it can be undone there too */
				if (!fold_some(&s, i, (size_t)n))
					break;
				pyprof_store_free(&s);
				take_over(&s);
			}
			assert_same(&s.tree, false);
		}
		pyprof_store_commit(&s, block[i]->sequence);
		reference_to(i);
		assert_same(&s.tree, false);
	}
	ck_assert_int_ge(n_full, 6);
	pyprof_store_free(&s);
}
END_TEST

/* --- damage ----------------------------------------------------------------------------------- */

START_TEST(broken_stores_are_not_taken_over)
{
	struct pyprof_store s = { .ring = &ring };

	take_over(&s);
	fold_whole(&s, 1);
	ck_assert(!pyprof_store_take_over(&s, memory, memory_bytes - 1));
	memory->state[1].n_nodes = ENOUGH + 1;
	ck_assert(!pyprof_store_take_over(&s, memory, memory_bytes));
	memory->state[1].n_nodes = 0;
	ck_assert(!pyprof_store_take_over(&s, memory, memory_bytes));
	memory->state[1].n_nodes = 9;
	memory->state[1].current = 9;
	ck_assert(!pyprof_store_take_over(&s, memory, memory_bytes));
	memory->state[1].current = 8;
	memory->n_buckets = 24;
	ck_assert(!pyprof_store_take_over(&s, memory, memory_bytes));
	memory->n_buckets = 0;
	ck_assert(!pyprof_store_take_over(&s, memory, memory_bytes));
	pyprof_store_free(&s);
}
END_TEST

/* Random words in the nodes, the log and the buckets: no access outside, no endless loop. */
START_TEST(a_scribbled_store_does_no_harm)
{
	struct pyprof_store s;

	for (int round = 0; round < 300; round++) {
		uint32_t *word, n_words;

		make_store(512);
		take_over(&s);
		for (int i = 1; i < 4; i++)
			fold_whole(&s, i);
		word = (uint32_t *)s.tree.node;
		n_words = (uint32_t)((memory_bytes - sizeof(*memory)) / 4);
		for (int i = 0; i < 200; i++)
			word[roll(i % 2 ? n_words : 4096)] = roll(3) ? roll(600) : roll(1u << 31);
		for (int i = 4; i < 9; i++) {
			if (fold(&s, i))
				pyprof_store_commit(&s, block[i]->sequence);
			pyprof_store_take_over(&s, memory, memory_bytes);
		}
		pyprof_store_free(&s);
	}
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("store");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_store_can_be_taken_over_after_every_block);
	tcase_add_test(tcase, an_owner_continues_without_taking_over);
	tcase_add_test(tcase, target_and_reader_may_fold_alternately);
	tcase_add_test(tcase, an_aborted_fold_is_undone);
	tcase_add_test(tcase, an_undone_fold_may_be_aborted_again);
	tcase_add_test(tcase, a_kill_at_any_step_is_undone);
	tcase_add_test(tcase, an_undone_node_keeps_its_epoch);
	tcase_add_test(tcase, a_full_store_is_replaced);
	tcase_add_test(tcase, broken_stores_are_not_taken_over);
	tcase_add_test(tcase, a_scribbled_store_does_no_harm);
	return run_case("store", tcase);
}
