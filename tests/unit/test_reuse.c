/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many calls lie between two of the same edge: tables of programs of which that is plain.
 */
#include <check.h>
#include <math.h>

#include "reuse.h"

#define MAX 16u
#define TOLERANCE 1e-9

enum { ROOT, MAIN, F, G, H, N_FNS = H };

static struct pyprof_fold_fn fn[MAX];
static struct pyprof_fold_edge edge[MAX];
static struct pyprof_fold f;
static double of_edge[MAX], of_fn[MAX];

static void setup(void)
{
	memset(fn, 0, sizeof(fn));
	memset(edge, 0, sizeof(edge));
	f = (struct pyprof_fold){ .fn = fn, .edge = edge, .s.n_fns = N_FNS };
}

/* All calls weigh 10. */
static uint32_t calls(uint32_t caller, uint32_t callee, uint64_t n)
{
	edge[++f.s.n_edges] =
		(struct pyprof_fold_edge){ .caller = caller, .callee = callee, .n_calls = n };
	f.s.cost += 10 * n;
	return f.s.n_edges;
}

static void within(uint32_t slot, uint64_t n)
{
	fn[slot].cost = 10 * n;
}

static void check_edge(uint32_t e, double calls_between)
{
	ck_assert_double_eq_tol(of_edge[e], log(calls_between), TOLERANCE);
}

static void find(void)
{
	ck_assert_int_eq(reuse_find(&f, of_edge, of_fn), 0);
}

START_TEST(one_loop)
{
	uint32_t main = calls(ROOT, MAIN, 1), f1 = calls(MAIN, F, 1000), g = calls(MAIN, G, 250);

	within(MAIN, 1250);
	find();
	check_edge(main, 1251);
	check_edge(f1, 1.25);
	check_edge(g, 5);
	ck_assert_double_eq_tol(of_fn[F], log(1.25), TOLERANCE);
}
END_TEST

/* What is called once in each go is as far apart as its caller; in every fourth, four times as far. */
START_TEST(once_in_a_go)
{
	uint32_t always, seldom;

	calls(ROOT, MAIN, 1);
	calls(MAIN, F, 1000);
	always = calls(F, G, 1000);
	seldom = calls(F, H, 250);
	within(MAIN, 2250);
	within(F, 1250);
	find();
	check_edge(always, 2.25);
	check_edge(seldom, 9);
}
END_TEST

/* A loop in one part of a program is none of the other part's. */
START_TEST(phases)
{
	uint32_t first, second;

	calls(ROOT, MAIN, 1);
	calls(MAIN, F, 1);
	calls(MAIN, G, 1);
	first = calls(F, H, 1000);
	second = calls(G, H, 1000000);
	within(MAIN, 1001002);
	within(F, 1000);
	within(G, 1000000);
	find();
	check_edge(first, 1);
	check_edge(second, 1);
}
END_TEST

/* From two places in turns: the function comes again twice as soon as either edge. */
START_TEST(in_turns)
{
	calls(ROOT, MAIN, 1);
	calls(MAIN, F, 1000);
	calls(MAIN, G, 1000);
	within(MAIN, 4000);
	calls(F, H, 1000);
	calls(G, H, 1000);
	find();
	check_edge(2, 4);
	ck_assert_double_eq_tol(of_fn[H], log(4001.0 / 2000), TOLERANCE);
}
END_TEST

START_TEST(recursion)
{
	uint32_t outer, again, other;

	calls(ROOT, MAIN, 1);
	outer = calls(MAIN, F, 4);
	again = calls(F, F, 996);
	other = calls(F, G, 500);
	fn[F].n_recursive = 996;
	within(MAIN, 1500);
	within(F, 1496);
	find();
	check_edge(outer, 375);
	check_edge(again, 1496.0 / 996);
	check_edge(other, 1496.0 / 500);
}
END_TEST

/* Nothing is known of what lies within: all calls are what lies between at most. */
START_TEST(without_weights)
{
	uint32_t e;

	calls(ROOT, MAIN, 1);
	e = calls(MAIN, F, 99);
	f.s.cost = 0;
	find();
	check_edge(e, 100.0 / 99);
}
END_TEST

/* Whatever a file says, it is a number, and none below 0. */
START_TEST(what_cannot_be)
{
	calls(ROOT, MAIN, 1);
	calls(MAIN, F, 0);
	calls(F, G, 5);
	calls(G, F, 7);
	fn[F].n_recursive = UINT64_MAX;
	fn[G].cost = (uint64_t)INT64_MIN;
	fn[MAIN].cost = UINT64_MAX;
	find();
	for (uint32_t i = 1; i <= f.s.n_edges; i++)
		ck_assert_msg(of_edge[i] >= 0 && of_edge[i] < 100, "edge %u: %g", i, of_edge[i]);
	for (uint32_t i = 1; i <= N_FNS; i++)
		ck_assert_msg(of_fn[i] >= 0 && of_fn[i] < 100, "function %u: %g", i, of_fn[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("reuse");
	TCase *t = tcase_create("reuse");
	SRunner *runner;
	int n_failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, one_loop);
	tcase_add_test(t, once_in_a_go);
	tcase_add_test(t, phases);
	tcase_add_test(t, in_turns);
	tcase_add_test(t, recursion);
	tcase_add_test(t, without_weights);
	tcase_add_test(t, what_cannot_be);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed != 0;
}
