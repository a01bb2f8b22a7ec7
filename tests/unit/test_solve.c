/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Solving rounds for overheads: rounds of loops made with known overheads must give these back, on
 * a machine that is partly disturbed.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "calibrate/solve.h"
#include "pyprof/format.h"
#include "tests/run.h"

#define BYTECODE_S 2.5e-9 /* a fast bytecode in a native run */
#define NEAR_S 1e-9

struct model {
	double in_s, out_s;
};

/* The overhead of a call in each loop, without slow bytecode. */
static const struct model truth[LOOP_MIXED] = {
	[LOOP_PYTHON] = { 6e-9, 40e-9 },  [LOOP_LARGE] = { 16e-9, 52e-9 },
	[LOOP_C] = { 20e-9, 17e-9 },	  [LOOP_SITE] = { 32e-9, 38e-9 },
	[LOOP_METHOD] = { 25e-9, 13e-9 }, [LOOP_CLASS] = { 0, 35e-9 },
	[LOOP_DIRECT] = { 9e-9, 16e-9 },  [LOOP_RESUME] = { 15e-9, 14e-9 },
	[LOOP_EXCEPTION] = { 0, 68e-9 },  [LOOP_EXCEPTION_C] = { 0, 95e-9 },
};

static struct rounds rounds;
static struct calibration c;

static double callee_of(int loop)
{
	return BYTECODE_S * (loop_facts[loop].n_inside ? loop_facts[loop].n_inside : 1);
}

/* `slow_s`: added time of each fast bytecode. `times`: factor of all others. */
static void make(double slow_s, double times)
{
	for (int r = 0; r < rounds.n; r++) {
		for (int i = 0; i < LOOP_MIXED; i++) {
			const struct loop_facts *facts = &loop_facts[i];
			double native = facts->n_outside * BYTECODE_S + callee_of(i);
			double callee = callee_of(i) + truth[i].in_s + facts->n_inside * slow_s;

			if (i == LOOP_PLAIN)
				native -= callee_of(i);
			rounds.at[r].native[i] = native;
			rounds.at[r].callee[i] = callee;
			rounds.at[r].total[i] = native - callee_of(i) + callee + truth[i].out_s +
						facts->n_outside * slow_s;
			if (i == LOOP_PLAIN)
				rounds.at[r].total[i] = native + facts->n_outside * slow_s;
			if (i == LOOP_WORK || i == LOOP_TEXT)
				rounds.at[r].total[i] = native * times;
		}
	}
}

static void scale(double *times, double by)
{
	for (int i = 0; i < LOOP_MIXED; i++)
		times[i] *= by;
}

/* Makes `n_slow` rounds slow, different ones on each side. One round per side is far too fast. */
static void disturb(int n_slow)
{
	for (int r = 0; r < n_slow; r++) {
		scale(rounds.at[r].native, 1.6);
		scale(rounds.at[rounds.n - 1 - r].total, 1.6);
		scale(rounds.at[rounds.n - 1 - r].callee, 1.6);
	}
	scale(rounds.at[rounds.n / 2].native, 0.9);
	scale(rounds.at[rounds.n / 2 - 1].total, 0.9);
	scale(rounds.at[rounds.n / 2 - 1].callee, 0.9);
}

static void check_overhead(int kind, double in_s, double out_s)
{
	ck_assert_msg(fabs(c.overhead[kind].in_s - in_s) < NEAR_S &&
			      fabs(c.overhead[kind].out_s - out_s) < NEAR_S,
		      "%s: %g in, %g out, expected %g, %g", overhead_kind[kind].name,
		      c.overhead[kind].in_s, c.overhead[kind].out_s, in_s, out_s);
}

static void check_difference(int kind, enum loop loop, enum loop from, double large)
{
	check_overhead(kind, (truth[loop].in_s - truth[from].in_s) / large,
		       (truth[loop].out_s - truth[from].out_s) / large);
}

static double sum_of(enum loop loop)
{
	return truth[loop].in_s + truth[loop].out_s;
}

static void check_overheads(double large)
{
	double python = sum_of(LOOP_PYTHON);

	check_overhead(PYPROF_OVERHEAD_PYTHON, truth[LOOP_PYTHON].in_s, truth[LOOP_PYTHON].out_s);
	check_overhead(PYPROF_OVERHEAD_C, truth[LOOP_C].in_s, truth[LOOP_C].out_s);
	check_overhead(PYPROF_OVERHEAD_EXCEPTION, sum_of(LOOP_EXCEPTION) - python, 0);
	check_difference(OVERHEAD_RESUME, LOOP_RESUME, LOOP_PYTHON, 1);
	check_overhead(
		OVERHEAD_EXCEPTION_C,
		sum_of(LOOP_EXCEPTION_C) - sum_of(LOOP_C) - (sum_of(LOOP_EXCEPTION) - python), 0);
	check_difference(OVERHEAD_METHOD, LOOP_METHOD, LOOP_C, 1);
	check_difference(OVERHEAD_LARGE, LOOP_LARGE, LOOP_PYTHON, large);
	check_difference(OVERHEAD_LARGE_SITE, LOOP_SITE, LOOP_C, large);
}

static void setup(void)
{
	memset(&c, 0, sizeof(c));
	memset(&rounds, 0, sizeof(rounds));
	rounds.n = SOLVE_ROUNDS;
	rounds.n_loops = LOOP_MIXED;
	rounds.n_fewest = SOLVE_ENOUGH;
}

START_TEST(overheads_with_monitoring_are_found)
{
	make(0, 1);
	solve(&c, &rounds, true);
	check_overheads(1);
	check_difference(PYPROF_OVERHEAD_DIRECT, LOOP_DIRECT, LOOP_PYTHON, 1);
	check_overhead(OVERHEAD_CLASS_CALL, 0, sum_of(LOOP_CLASS));
	ck_assert_double_eq(c.bytecode, 1);
}
END_TEST

/* Before 3.12 a call site makes no difference and class calls are not reported. */
START_TEST(overheads_with_a_trace_function_are_found)
{
	make(0, 1);
	solve(&c, &rounds, false);
	check_overheads(calibration_largeness(false, 2000));
	check_overhead(PYPROF_OVERHEAD_DIRECT, 0, 0);
	check_overhead(OVERHEAD_CLASS_CALL, 0, 0);
	ck_assert_double_eq(c.bytecode, 1);
}
END_TEST

/* 3.10 and 3.11: the factor is that of slow bytecodes. */
START_TEST(the_factor_of_slow_bytecode_is_found)
{
	make(1e-9, 1.25);
	solve(&c, &rounds, false);
	check_overheads(calibration_largeness(false, 2000));
	ck_assert_double_eq_tol(c.bytecode, 1.25, 1e-9);
}
END_TEST

/* Zero to nine rounds of fifteen are slow, and one is too fast. */
START_TEST(slow_rounds_do_not_change_the_overheads)
{
	make(0, 1);
	disturb(_i);
	solve(&c, &rounds, true);
	check_overheads(1);
	ck_assert_double_eq_tol(solve_native(&rounds, LOOP_PLAIN), 24 * BYTECODE_S, 1e-12);
	ck_assert_double_eq_tol(solve_total(&rounds, LOOP_PLAIN), 24 * BYTECODE_S, 1e-12);
}
END_TEST

/* The spread is half of the interquartile range, added over both sides. */
START_TEST(the_spread_is_half_the_interquartile_range)
{
	make(0, 1);
	for (int r = 0; r < rounds.n; r++) {
		rounds.at[r].native[LOOP_PYTHON] = (100 + r) * 1e-9;
		rounds.at[r].total[LOOP_PYTHON] = (200 + 2 * ((r * 7) % rounds.n)) * 1e-9;
	}
	solve(&c, &rounds, true);
	ck_assert_double_eq_tol(c.overhead[OVERHEAD_PYTHON].spread_s,
				(11 - 3 + 2 * (11 - 3)) / 2. * 1e-9, 1e-15);
}
END_TEST

/*
 * The result is 0 while enough fast rounds are left. With one more slow round, the least slow one
 * counts.
 */
START_TEST(unrest_is_zero_with_enough_fast_rounds)
{
	make(0, 1);
	rounds.n = _i;
	ck_assert_double_eq_tol(solve_unrest(&rounds), 0, 1e-9);
	disturb(rounds.n - SOLVE_FASTEST);
	ck_assert_double_eq_tol(solve_unrest(&rounds), 0, 1e-9);
	make(0, 1);
	disturb(rounds.n - SOLVE_FASTEST + 1);
	ck_assert_double_eq_tol(solve_unrest(&rounds), 1.6 * 0.9 - 1, 1e-9);
}
END_TEST

static int rounds_after(int n, int most)
{
	rounds.n = n;
	return solve_rounds(&rounds, most);
}

/* Five rounds are added at a time until enough are fast, up to the limit. */
START_TEST(rounds_are_added_until_enough_are_fast)
{
	rounds.n = SOLVE_MAX_ROUNDS;
	make(0, 1);
	ck_assert_int_eq(rounds_after(0, 45), 15);
	ck_assert_int_eq(rounds_after(14, 45), 15);
	ck_assert_int_eq(rounds_after(15, 45), 15);
	rounds.n = 15;
	disturb(11);
	ck_assert_int_eq(rounds_after(14, 45), 15);
	ck_assert_int_eq(rounds_after(15, 15), 15);
	ck_assert_int_eq(rounds_after(15, 45), 20);
	ck_assert_int_eq(rounds_after(16, 45), 20);
	ck_assert_int_eq(rounds_after(19, 45), 20);
	ck_assert_int_eq(rounds_after(20, 45), 20);
	rounds.n = 45;
	make(0, 1);
	disturb(41);
	ck_assert_int_eq(rounds_after(40, 45), 45);
	ck_assert_int_eq(rounds_after(45, 45), 45);
}
END_TEST

/*
 * Rounds are added until each loop was undisturbed in enough of them, even if all rounds are alike.
 */
START_TEST(rounds_are_added_until_enough_are_undisturbed)
{
	rounds.n = SOLVE_MAX_ROUNDS;
	make(0, 1);
	rounds.n_fewest = SOLVE_ENOUGH - 1;
	ck_assert_int_eq(rounds_after(15, 45), 20);
	ck_assert_int_eq(rounds_after(15, 15), 15);
	ck_assert_int_eq(rounds_after(40, 45), 45);
	ck_assert_int_eq(rounds_after(45, 45), 45);
	rounds.n_fewest = SOLVE_ENOUGH;
	ck_assert_int_eq(rounds_after(20, 45), 20);
}
END_TEST

/* Rounds without a time for a loop do not count for that loop, native or recorded. */
START_TEST(rounds_without_a_time_do_not_count)
{
	make(0, 1);
	for (int r = 0; r < rounds.n - SOLVE_FASTEST; r++) {
		rounds.at[r].native[LOOP_C] = INFINITY;
		rounds.at[rounds.n - 1 - r].total[LOOP_PYTHON] = INFINITY;
		rounds.at[rounds.n - 1 - r].callee[LOOP_PYTHON] = 0;
	}
	ck_assert_double_eq_tol(solve_unrest(&rounds), 0, 1e-9);
	solve(&c, &rounds, true);
	check_overheads(1);
	ck_assert_double_eq_tol(c.overhead[OVERHEAD_PYTHON].spread_s, 0, 1e-15);
	ck_assert_double_eq_tol(c.overhead[OVERHEAD_C].spread_s, 0, 1e-15);
}
END_TEST

/* More rounds, most of them slow, give the same result. */
START_TEST(the_largest_number_of_rounds_is_solved)
{
	rounds.n = SOLVE_MAX_ROUNDS;
	make(0, 1);
	disturb(SOLVE_MAX_ROUNDS - SOLVE_FASTEST);
	solve(&c, &rounds, true);
	check_overheads(1);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("solve");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, overheads_with_monitoring_are_found);
	tcase_add_test(t, overheads_with_a_trace_function_are_found);
	tcase_add_test(t, the_factor_of_slow_bytecode_is_found);
	tcase_add_loop_test(t, slow_rounds_do_not_change_the_overheads, 0, 10);
	tcase_add_test(t, the_spread_is_half_the_interquartile_range);
	tcase_add_test(t, the_largest_number_of_rounds_is_solved);
	tcase_add_test(t, rounds_are_added_until_enough_are_fast);
	tcase_add_test(t, rounds_are_added_until_enough_are_undisturbed);
	tcase_add_test(t, rounds_without_a_time_do_not_count);
	tcase_add_loop_test(t, unrest_is_zero_with_enough_fast_rounds, SOLVE_ROUNDS,
			    SOLVE_ROUNDS + 2);
	return run_case("solve", t);
}
