/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calling-context tree against the fold: both add up the same records, and every number of
 * every function and caller edge must be equal. Here it is derived from the tree by walking up from
 * each node.
 */
#include <check.h>

#include <stdlib.h>

#include "pyprof/fold.h"
#include "recording/tables.h"
#include "recording/trees.h"
#include "tests/run.h"

#define N_FNS 40u
#define FIRST_C 31u /* functions from this number on are C functions */
#define N_RECORDS 60000
#define BATCH 700
#define MAX_DISTANCE 50u
#define MAX_IDLE 20u

static const int32_t weight[PYPROF_OVERHEADS] = { 18, 11, -5, 7 };
static uint64_t record[N_RECORDS];
static struct pyprof_fold fold;
static struct pyprof_tree tree;

/* --- records, from a fixed seed --------------------------------------------------------------- */

static uint64_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull; /* Knuth, MMIX */
	return (uint32_t)(seed >> 33) % n;
}

/* How often something happens, in 1,000 records. */
struct program {
	unsigned n_fns;	  /* functions that are used, of each kind */
	unsigned calls;	  /* calls, of 100 calls and returns */
	unsigned odd;	  /* returns without a call, and calls without a return */
	unsigned threads; /* changes of the thread, ends of one */
	unsigned blind;	  /* blind intervals, and ends of pauses */
	unsigned class_calls;
	unsigned found; /* calls that ran already */
};

static const struct program plain = { 10, 50, 0, 0, 0, 0, 0 }, deep = { 9, 54, 0, 0, 0, 20, 0 },
			    recursive = { 2, 51, 0, 0, 0, 10, 0 },
			    threads = { 9, 50, 0, 10, 10, 20, 3 },
			    broken = { 9, 50, 60, 10, 10, 50, 10 };

static uint64_t make_event(const struct program *p, uint32_t *stack, uint32_t *depth,
			   uint64_t ticks)
{
	static const unsigned calls[] = { PYPROF_CALL,	      PYPROF_CALL,   PYPROF_CALL,
					  PYPROF_DIRECT_CALL, PYPROF_RESUME, PYPROF_THROW };
	static const unsigned ends[] = { PYPROF_RETURN, PYPROF_RETURN, PYPROF_YIELD,
					 PYPROF_UNWIND };
	unsigned high = roll(3) ? 0 : PYPROF_HIGH_OFFSET;
	uint32_t fn;

	if (*depth && roll(1000) < p->odd) {
		(*depth)--; /* its return is missing */
		fn = 1 + roll(N_FNS);
		return pyprof_record((fn < FIRST_C ? PYPROF_RETURN : PYPROF_C_RETURN) | high, fn,
				     ticks);
	}
	if (*depth && (*depth > 2000 || roll(100) >= p->calls)) {
		fn = stack[--*depth];
		if (fn < FIRST_C)
			return pyprof_record(ends[roll(4)] | high, fn, ticks);
		return pyprof_record((roll(4) ? PYPROF_C_RETURN : PYPROF_C_EXCEPTION) | high, fn,
				     ticks);
	}
	fn = roll(3) ? 1 + roll(p->n_fns) : FIRST_C + roll(p->n_fns);
	stack[(*depth)++] = fn;
	if (roll(1000) < p->found)
		return pyprof_record(PYPROF_OPEN, fn, ticks);
	return pyprof_record(fn < FIRST_C ? calls[roll(6)] : PYPROF_C_CALL, fn, ticks);
}

static uint64_t make_record(const struct program *p, uint32_t *stack, uint32_t *depth,
			    uint64_t ticks)
{
	if (roll(1000) < p->class_calls)
		return pyprof_record(PYPROF_SYNC | (roll(2) ? PYPROF_HIGH_OFFSET : 0), 1 + roll(9),
				     0);
	if (roll(1000) < p->blind)
		return pyprof_record(PYPROF_BLIND, roll(2), ticks);
	if (roll(1000) < p->threads) {
		*depth = 0;
		return roll(3) ? pyprof_record(PYPROF_THREAD, 1 + roll(4), ticks)
			       : pyprof_record(PYPROF_THREAD_END, 0, ticks);
	}
	return make_event(p, stack, depth, ticks);
}

static void make_records(const struct program *p)
{
	static uint32_t stack[4096];
	uint32_t depth = 0;
	uint64_t now = 5;

	seed = 20260101;
	record[0] = pyprof_record(PYPROF_THREAD, 1, now);
	for (int i = 1; i < N_RECORDS; i++)
		record[i] = make_record(p, stack, &depth, now += roll(50));
}

/* --- both ways -------------------------------------------------------------------------------- */

static void add_to_fold(int from, int to)
{
	pyprof_fold_block(&fold, 1000, 77);
	for (int i = from; i < to; i++)
		pyprof_fold_record_as(&fold, record[i], false, fold.max_idle != 0);
}

static void add_to_tree(int from, int to)
{
	tree.epoch++;
	pyprof_tree_block(&tree, 1000, 77);
	ck_assert(pyprof_tree_records(&tree, record + from, record + to));
}

static void setup(void)
{
	memset(&fold, 0, sizeof(fold));
	ck_assert_int_eq(tables_init(&fold), 0);
	fold.weight = weight;
	fold.max_distance = MAX_DISTANCE;
	fold.max_idle = MAX_IDLE;
	ck_assert_int_eq(trees_init(&tree), 0);
	tree.max_distance = MAX_DISTANCE;
	tree.max_idle = MAX_IDLE;
}

static void teardown(void)
{
	tables_fini(&fold);
	trees_fini(&tree);
}

static void add_all(void)
{
	for (int i = 0; i < N_RECORDS; i += BATCH) {
		int end = i + BATCH < N_RECORDS ? i + BATCH : N_RECORDS;

		add_to_fold(i, end);
		add_to_tree(i, end);
	}
}

static void close_both(uint64_t until)
{
	if (until > fold.s.now)
		fold.s.now = until;
	pyprof_fold_close(&fold);
	pyprof_tree_close(&tree, until);
}

/* --- numbers ---------------------------------------------------------------------------------- */

struct numbers {
	uint64_t n_calls, n_recursive, self, total, n_exceptions, n_resumes, n_direct, n_high;
	uint64_t n_recursive_resumes;
};

static struct numbers of_fn[N_FNS + 1], of_edge[N_FNS + 1][N_FNS + 1];
static uint64_t class_units[N_FNS + 1], class_high[N_FNS + 1];

static uint32_t fn_of(uint32_t n)
{
	return tree.node[n].fn & PYPROF_NODE_SPECIAL ? 0 : tree.node[n].fn & PYPROF_NODE_NUMBER;
}

static void add_numbers(struct numbers *d, const struct pyprof_node *x, bool outermost,
			uint64_t total)
{
	d->n_calls += x->n_calls;
	d->self += x->self;
	d->n_exceptions += x->n_exceptions;
	d->n_resumes += x->n_resumes;
	d->n_direct += x->n_direct;
	d->n_high += x->n_high;
	if (outermost) {
		d->total += total;
	} else {
		d->n_recursive += x->n_calls;
		d->n_recursive_resumes += x->n_resumes;
	}
}

static void derive_by_walking_up(void)
{
	uint64_t *total = calloc(tree.s.n_nodes, sizeof(*total));

	for (uint32_t n = tree.s.n_nodes - 1; n; n--) {
		total[n] += fn_of(n) ? tree.node[n].self : 0;
		total[tree.node[n].parent] += total[n];
	}
	for (uint32_t n = 1; n < tree.s.n_nodes; n++) {
		const struct pyprof_node *x = &tree.node[n];
		uint32_t callee = fn_of(n), caller = fn_of(x->parent);
		bool outer_fn = true, outer_edge = true;

		ck_assert_uint_lt(x->parent, n);
		if (x->fn & PYPROF_NODE_CLASS) {
			class_units[caller] += x->n_calls;
			class_high[caller] += x->n_high;
		}
		if (!callee)
			continue;
		ck_assert_uint_le(callee, N_FNS);
		ck_assert(!(x->fn & PYPROF_NODE_C) == (callee < FIRST_C) ||
			  x->fn & PYPROF_NODE_OPEN);
		for (uint32_t y = x->parent; y; y = tree.node[y].parent) {
			outer_fn &= fn_of(y) != callee;
			outer_edge &= fn_of(y) != callee || fn_of(tree.node[y].parent) != caller;
		}
		add_numbers(&of_fn[callee], x, outer_fn, total[n]);
		add_numbers(&of_edge[caller][callee], x, outer_edge, total[n]);
	}
	free(total);
}

static void compare_state(void)
{
	const struct pyprof_fold_state *f = &fold.s;
	const struct pyprof_tree_state *s = &tree.s;

	ck_assert_uint_eq(s->base, f->base);
	ck_assert_uint_eq(s->now, f->now);
	ck_assert_uint_eq(s->n_records, f->n_records);
	ck_assert_uint_eq(s->n_unmatched, f->n_unmatched);
	ck_assert_uint_eq(s->n_closed, f->n_closed);
	ck_assert_uint_eq(s->n_open, f->n_open);
	ck_assert_uint_eq(s->n_found, f->n_found);
	ck_assert_uint_eq(s->thread, f->thread);
	ck_assert_uint_eq(s->n_threads, f->n_threads);
	ck_assert_uint_eq(s->first_ticks, f->first_ticks);
	ck_assert_uint_eq(s->skipped_ticks, f->skipped_ticks);
	ck_assert_uint_eq(s->n_blind_intervals, f->n_blind_intervals);
	ck_assert_uint_eq(s->blind_interval_ticks, f->blind_interval_ticks);
	ck_assert_uint_eq(pyprof_tree_depth(&tree), f->depth);
}

static void compare_edges(void)
{
	for (uint32_t i = 1; i <= fold.s.n_edges; i++) {
		const struct pyprof_fold_edge *e = &fold.edge[i];
		uint32_t caller = e->caller ? fold.fn[e->caller].number : 0;
		struct numbers *d = &of_edge[caller][fold.fn[e->callee].number];

		ck_assert_uint_eq(d->n_calls, e->n_calls);
		ck_assert_uint_eq(d->self, e->self);
		ck_assert_uint_eq(d->total, e->total);
		ck_assert_uint_eq(d->n_recursive, e->n_recursive);
		ck_assert_uint_eq(d->n_exceptions, e->n_exceptions);
		ck_assert_uint_eq(d->n_resumes, e->n_resumes);
		ck_assert_uint_eq(d->n_direct, e->n_direct);
		ck_assert_uint_eq(d->n_high, e->n_high);
		memset(d, 0, sizeof(*d));
	}
	for (uint32_t caller = 0; caller <= N_FNS; caller++) /* there are no others */
		for (uint32_t callee = 0; callee <= N_FNS; callee++)
			ck_assert_uint_eq(of_edge[caller][callee].n_calls, 0);
}

static void compare(void)
{
	derive_by_walking_up();
	compare_state();
	for (uint32_t slot = 0; slot <= fold.s.n_fns; slot++) {
		const struct pyprof_fold_fn *fn = &fold.fn[slot];
		uint32_t number = slot ? fn->number : 0;
		const struct numbers *d = &of_fn[number];

		ck_assert_uint_eq(class_units[number], fn->n_class_units);
		ck_assert_uint_eq(class_high[number], fn->n_high_class_calls);
		if (!slot)
			continue;
		ck_assert_uint_eq(d->total, fn->total);
		ck_assert_uint_eq(d->n_recursive, fn->n_recursive);
		ck_assert_uint_eq(d->n_recursive_resumes, fn->n_recursive_resumes);
	}
	compare_edges();
}

static void equal_for(const struct program *p)
{
	make_records(p);
	add_all();
	close_both(0);
	compare();
}

START_TEST(a_plain_program_has_equal_numbers)
{
	equal_for(&plain);
	ck_assert_uint_gt(tree.s.n_nodes, 2 * 1024u); /* it has grown */
}
END_TEST

START_TEST(a_deep_program_has_equal_numbers)
{
	equal_for(&deep);
	ck_assert_uint_gt(tree.s.n_open, 500);
}
END_TEST

START_TEST(a_recursive_program_has_equal_numbers)
{
	equal_for(&recursive);
}
END_TEST

START_TEST(threads_and_blind_intervals_have_equal_numbers)
{
	equal_for(&threads);
	ck_assert_uint_gt(tree.s.n_threads, 100);
	ck_assert_uint_gt(tree.s.n_blind_intervals, 100);
	ck_assert_uint_gt(tree.s.n_found, 50);
}
END_TEST

START_TEST(missing_calls_and_returns_have_equal_numbers)
{
	equal_for(&broken);
	ck_assert_uint_gt(tree.s.n_unmatched, 100);
	ck_assert_uint_gt(tree.s.n_closed, 100);
}
END_TEST

START_TEST(a_clock_that_goes_back_adds_no_time)
{
	make_records(&plain);
	for (int i = 0; i < N_RECORDS; i++) {
		uint64_t r = record[i], ticks = pyprof_record_ticks(r);

		if (i % 5 == 3)
			record[i] = pyprof_record((unsigned)(r & 31), pyprof_record_fn(r),
						  ticks > 90 ? ticks - 90 : 0);
	}
	add_all();
	close_both(0);
	compare();
}
END_TEST

START_TEST(open_calls_end_at_the_given_time)
{
	make_records(&deep);
	add_all();
	ck_assert_uint_gt(fold.s.depth, 100);
	close_both(fold.s.now + 12345);
	compare();
}
END_TEST

START_TEST(a_pause_moves_the_base)
{
	record[0] = pyprof_record(PYPROF_THREAD, 1, 0);
	record[1] = pyprof_record(PYPROF_CALL, 1, 10);
	record[2] = pyprof_record(PYPROF_SYNC, 0, 3); /* base += 3 << 24 */
	record[3] = pyprof_record(PYPROF_RETURN, 1, 4);
	add_to_fold(0, 4);
	add_to_tree(0, 4);
	ck_assert_uint_eq(tree.node[2].self, (3 << PYPROF_SYNC_SHIFT) + 4 - 10);
	compare();
}
END_TEST

/* By construction: f calls g and h, and g calls h. */
START_TEST(a_node_is_a_path)
{
	const unsigned calls = PYPROF_CALL, ends = PYPROF_RETURN;
	const uint64_t r[] = {
		pyprof_record(PYPROF_THREAD, 7, 0), pyprof_record(calls, 1, 10),
		pyprof_record(calls, 2, 11),	    pyprof_record(calls, 3, 13),
		pyprof_record(ends, 3, 17),	    pyprof_record(ends, 2, 25),
		pyprof_record(calls, 3, 41),	    pyprof_record(ends, 3, 73),
		pyprof_record(ends, 1, 137),
	};
	static const struct {
		uint32_t parent, fn;
		uint64_t n_calls, self;
	} expected[] = {
		{ 0, PYPROF_NODE_THREAD | 7, 0, 10 },
		{ 1, 1, 1, 1 + 16 + 64 },
		{ 2, 2, 1, 2 + 8 },
		{ 3, 3, 1, 4 },
		{ 2, 3, 1, 32 },
	};

	pyprof_tree_block(&tree, 0, 0);
	ck_assert(pyprof_tree_records(&tree, r, r + 9));
	ck_assert_uint_eq(tree.s.n_nodes, 6);
	for (uint32_t i = 0; i < 5; i++) {
		const struct pyprof_node *x = &tree.node[i + 1];

		ck_assert_uint_eq(x->parent, expected[i].parent);
		ck_assert_uint_eq(x->fn, expected[i].fn);
		ck_assert_uint_eq(x->n_calls, expected[i].n_calls);
		ck_assert_uint_eq(x->self, expected[i].self);
	}
}
END_TEST

/* Distances by function, added up here from the records. */
START_TEST(distances_are_by_function)
{
	uint64_t last[N_FNS + 1] = { 0 }, distance = 0, found = 0, n = 0, now = 1000;

	make_records(&plain);
	add_all();
	for (int i = 1; i < N_RECORDS; i++) {
		uint64_t at = 1000 + pyprof_record_ticks(record[i]), idle = i > 1 ? at - now : 0;
		uint32_t fn = pyprof_record_fn(record[i]);

		n++;
		if (i == 1)
			idle = at - 1005; /* since the thread began */
		now = at;
		distance += (idle < MAX_IDLE ? idle : MAX_IDLE) >> PYPROF_IDLE_SHIFT;
		if (!pyprof_record_is(record[i], PYPROF_KINDS_BEGIN))
			continue;
		distance += n - last[fn] < MAX_DISTANCE ? n - last[fn] : MAX_DISTANCE;
		last[fn] = n;
	}
	for (uint32_t i = 0; i < tree.s.n_nodes; i++)
		found += tree.node[i].distance;
	ck_assert_uint_eq(found, distance);
}
END_TEST

/* A node with more children than a list may have. */
START_TEST(a_wide_parent_has_each_child_once)
{
	static uint64_t r[2 * 3 * 3000 + 1];
	int n = 0;

	r[n++] = pyprof_record(PYPROF_THREAD, 1, 0);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t fn = 1; fn <= 3000; fn++) {
			r[n++] = pyprof_record(PYPROF_CALL, 1 + (fn * 7919) % 3000, 1);
			r[n++] = pyprof_record(PYPROF_RETURN, 1 + (fn * 7919) % 3000, 1);
		}
	}
	pyprof_tree_block(&tree, 0, 0);
	ck_assert(pyprof_tree_records(&tree, r, r + n));
	ck_assert_uint_eq(tree.s.n_nodes, 3002);
	for (uint32_t i = 2; i < 3002; i++) {
		ck_assert_uint_eq(tree.node[i].parent, 1);
		ck_assert_uint_eq(tree.node[i].n_calls, 3);
	}
}
END_TEST

static uint64_t with_carry(uint32_t n, size_t field)
{
	uint64_t sum = *(uint32_t *)((char *)&tree.node[n] + field);

	for (uint32_t i = 1; i < tree.s.n_nodes; i++) {
		if (tree.node[i].parent == n && tree.node[i].fn == PYPROF_NODE_CARRY)
			sum += (uint64_t) * (uint32_t *)((char *)&tree.node[i] + field) << 31;
	}
	return sum;
}

/* Each batch raises a generator 3 times; before each the counts are set near to where they end. */
START_TEST(counts_of_32_bits_are_carried)
{
	uint64_t expected = 0;
	uint64_t r[7] = { pyprof_record(PYPROF_THREAD, 1, 0) };

	for (int i = 1; i < 7; i += 2) {
		r[i] = pyprof_record(PYPROF_RESUME, 1, 1);
		r[i + 1] = pyprof_record(PYPROF_UNWIND | PYPROF_HIGH_OFFSET, 1, 1);
	}
	pyprof_tree_block(&tree, 0, 0);
	for (int batch = 0; batch < 9; batch++) {
		tree.epoch++;
		ck_assert(pyprof_tree_records(&tree, r, r + 7));
		expected += 3;
		ck_assert_uint_eq(with_carry(2, offsetof(struct pyprof_node, n_resumes)), expected);
		ck_assert_uint_eq(with_carry(2, offsetof(struct pyprof_node, n_direct)), expected);
		ck_assert_uint_eq(with_carry(2, offsetof(struct pyprof_node, n_exceptions)),
				  expected);
		ck_assert_uint_eq(with_carry(2, offsetof(struct pyprof_node, n_high)), expected);
		if (batch % 2)
			continue; /* it carries in the batch after that in which a count is half full */
		expected += 0x7fffffffull - tree.node[2].n_resumes;
		tree.node[2].n_resumes = tree.node[2].n_direct = tree.node[2].n_exceptions =
			tree.node[2].n_high = 0x7fffffff;
	}
	ck_assert_uint_gt(expected, 4ull << 31);
}
END_TEST

/* Continues a fold table: the path and what follows are exact, the rest is below one node. */
START_TEST(a_fold_table_is_taken_over)
{
	struct pyprof_tree other = tree;
	uint64_t calls[N_FNS + 1] = { 0 }, self[N_FNS + 1] = { 0 };
	const int half = N_RECORDS / 2;

	make_records(&deep);
	ck_assert_int_eq(trees_init(&tree), 0);
	add_to_fold(0, half);
	ck_assert_int_eq(trees_take_over(&tree, &fold), 0);
	ck_assert_uint_eq(pyprof_tree_depth(&tree), fold.s.depth);
	add_to_fold(half, N_RECORDS);
	add_to_tree(half, N_RECORDS);
	close_both(0);
	for (uint32_t n = 1; n < tree.s.n_nodes; n++) {
		calls[fn_of(n)] += tree.node[n].n_calls;
		self[fn_of(n)] += tree.node[n].self;
	}
	for (uint32_t e = 1; e <= fold.s.n_edges; e++) {
		calls[fold.fn[fold.edge[e].callee].number] -= fold.edge[e].n_calls;
		self[fold.fn[fold.edge[e].callee].number] -= fold.edge[e].self;
	}
	for (uint32_t fn = 1; fn <= N_FNS; fn++) {
		ck_assert_uint_eq(calls[fn], 0);
		ck_assert_uint_eq(self[fn], 0);
	}
	trees_fini(&other);
}
END_TEST

/* The table counts with 64 bits, a node with 32 and a leaf beside it. */
START_TEST(large_counts_of_a_fold_table_are_carried)
{
	const uint64_t many = 9ull << 31 | 5;
	uint32_t folded = 0, n = 0;

	make_records(&plain);
	add_to_fold(0, 1000);
	for (uint32_t i = 1; i <= fold.s.n_edges; i++)
		fold.edge[i].n_resumes = fold.edge[i].n_exceptions = 0;
	fold.edge[1].n_resumes = many;
	fold.edge[1].n_exceptions = many + 1;
	ck_assert_int_eq(trees_take_over(&tree, &fold), 0);
	while ((tree.node[folded].fn & ~PYPROF_NODE_WIDE) != TREES_FOLDED)
		ck_assert_uint_lt(++folded, tree.s.n_nodes);
	while (tree.node[n].parent != folded || fn_of(n) != fold.fn[fold.edge[1].callee].number)
		ck_assert_uint_lt(++n, tree.s.n_nodes);
	ck_assert_uint_eq(with_carry(n, offsetof(struct pyprof_node, n_resumes)), many);
	ck_assert_uint_eq(with_carry(n, offsetof(struct pyprof_node, n_exceptions)), many + 1);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("tree");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_plain_program_has_equal_numbers);
	tcase_add_test(tcase, a_deep_program_has_equal_numbers);
	tcase_add_test(tcase, a_recursive_program_has_equal_numbers);
	tcase_add_test(tcase, threads_and_blind_intervals_have_equal_numbers);
	tcase_add_test(tcase, missing_calls_and_returns_have_equal_numbers);
	tcase_add_test(tcase, a_clock_that_goes_back_adds_no_time);
	tcase_add_test(tcase, open_calls_end_at_the_given_time);
	tcase_add_test(tcase, a_pause_moves_the_base);
	tcase_add_test(tcase, a_node_is_a_path);
	tcase_add_test(tcase, distances_are_by_function);
	tcase_add_test(tcase, a_wide_parent_has_each_child_once);
	tcase_add_test(tcase, counts_of_32_bits_are_carried);
	tcase_add_test(tcase, a_fold_table_is_taken_over);
	tcase_add_test(tcase, large_counts_of_a_fold_table_are_carried);
	return run_case("tree", tcase);
}
