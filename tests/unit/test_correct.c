/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * correct_apply(): subtracts the overhead from a profile's times, and moves negative times to
 * callers.
 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "overhead/correct.h"
#include "tests/run.h"

static struct profile is;
static struct correct_result result;

static void setup(void)
{
	profile_init(&is);
}

static void teardown(void)
{
	profile_fini(&is);
}

static struct text text(const char *s)
{
	return (struct text){ s, strlen(s) };
}

static size_t add(const char *name, double self, double self_cost, double total,
		  double total_overhead)
{
	struct profile_counts counts = { .n_calls = 10,
					 .self_s = self,
					 .self_overhead_s = self_cost,
					 .total_s = total,
					 .total_overhead_s = total_overhead };
	size_t i = profile_fn_add(&is, text("a.py"), 1, text(name), text(""));

	profile_counts_add(&is.fn[i].counts, &counts);
	return i;
}

static void add_edge(size_t caller, size_t callee, uint64_t n, double self, double self_cost)
{
	struct profile_counts counts = { .n_calls = n,
					 .self_s = self,
					 .self_overhead_s = self_cost,
					 .total_s = self,
					 .total_overhead_s = self_cost };

	ck_assert_int_eq(profile_edge_add(&is, caller, callee, &counts), 0);
}

static void check_corrected(size_t i, double self, double self_cost, double total)
{
	ck_assert_double_eq_tol(is.fn[i].counts.self_s, self, 1e-9);
	ck_assert_double_eq_tol(is.fn[i].counts.self_overhead_s, self_cost, 1e-9);
	ck_assert_double_eq_tol(is.fn[i].counts.total_s, total, 1e-9);
}

static double sum_of_self(void)
{
	double sum = 0;

	for (size_t i = 0; i < is.n_fns; i++)
		sum += is.fn[i].counts.self_s;
	return sum;
}

/*
 * The leaf's overhead exceeds its self time by 2 s. The callers lose it, by their number of calls.
 */
START_TEST(deficits_move_to_callers)
{
	size_t a = add("a", 10, 1, 14, 5), b = add("b", 20, 1, 22, 5);
	size_t leaf = add("leaf", 3, 5, 3, 5);

	add_edge(a, leaf, 7, 2, 3.5);
	add_edge(b, leaf, 3, 1, 1.5);
	ck_assert_int_eq(correct_apply(&is, 0, &result), 0);
	check_corrected(leaf, 0, 3, 0);
	check_corrected(a, 10 - 1 - 1.4, 2.4, 9);
	check_corrected(b, 20 - 1 - 0.6, 1.6, 18.4); /* not 17: that is less than its self time */
	ck_assert_uint_eq(result.n_bounded, 1);
	ck_assert_double_eq_tol(result.moved_s, 2, 1e-9);
	ck_assert_double_eq(result.left_s, 0);
	ck_assert_double_eq_tol(sum_of_self(), 33 - 7, 1e-9);
	ck_assert_double_eq_tol(result.raw_s, 33, 1e-9);
	ck_assert_double_eq_tol(result.overhead_s, 7, 1e-9);
	ck_assert_double_eq(is.fn[leaf].caller[0].counts.self_s, 0);
	ck_assert_double_eq(is.fn[leaf].caller[1].counts.self_s, 0);
}
END_TEST

/*
 * The deficit goes up the whole chain and through a recursive function, in any order of the
 * profile.
 */
START_TEST(deficits_move_up_through_recursion_to_the_root)
{
	size_t fn[3], order[2][3] = { { 0, 1, 2 }, { 2, 1, 0 } };
	static const char *const name[] = { "root", "middle", "leaf" };
	static const double self[] = { 10, 1, 1 }, takes[] = { 1, 2, 4 };

	for (int i = 0; i < 3; i++) {
		size_t n = order[_i][i];

		fn[n] = add(name[n], self[n], takes[n], self[n], takes[n]);
	}
	add_edge(fn[0], fn[1], 5, 0.5, 1);
	add_edge(fn[1], fn[1], 5, 0.5, 1);
	add_edge(fn[1], fn[2], 10, 1, 4);
	ck_assert_int_eq(correct_apply(&is, 0, &result), 0);
	check_corrected(fn[2], 0, 1, 0);
	check_corrected(fn[1], 0, 1, 0);
	check_corrected(fn[0], 5, 5, 9);
	ck_assert_uint_eq(result.n_bounded, 2);
	ck_assert_double_eq_tol(result.moved_s, 4, 1e-9);
	ck_assert_double_eq_tol(result.left_s, 0, 1e-9);
	ck_assert_double_eq_tol(sum_of_self(), 12 - 7, 1e-9);
}
END_TEST

/* Like fib(): nearly all calls of the function are its own, and those have no time to give. */
START_TEST(deficits_of_a_recursion_move_to_the_outer_caller)
{
	size_t a = add("a", 10, 0, 12, 5), fib = add("fib", 2, 5, 2, 5);

	add_edge(a, fib, 1, 0.01, 0.01);
	add_edge(fib, fib, 100000, 1.99, 4.99);
	ck_assert_int_eq(correct_apply(&is, 0, &result), 0);
	check_corrected(fib, 0, 2, 0);
	check_corrected(a, 7, 3, 7);
	ck_assert_double_eq(result.left_s, 0);
}
END_TEST

/* No caller has time left. The sum is too long by that much, and `left_s` reports it. */
START_TEST(deficits_without_a_caller_are_reported)
{
	size_t lone = add("lone", 1, 3, 1, 3), a = add("a", 1, 0, 2, 2),
	       leaf = add("leaf", 1, 5, 1, 5);

	add_edge(a, leaf, 10, 1, 5);
	ck_assert_int_eq(correct_apply(&is, 0, &result), 0);
	check_corrected(lone, 0, 1, 0);
	check_corrected(leaf, 0, 1, 0);
	check_corrected(a, 0, 1, 0);
	ck_assert_uint_eq(result.n_bounded, 3);
	ck_assert_double_eq_tol(result.moved_s, 1, 1e-9);
	ck_assert_double_eq_tol(result.left_s, 2 + 3, 1e-9);
	ck_assert_double_eq_tol(sum_of_self(), 3 - 8 + result.left_s, 1e-9);
	ck_assert_double_eq_tol(result.overhead_s, 3, 1e-9);
}
END_TEST

/* Two functions call only each other. The loop ends, and no time is lost from the sum. */
START_TEST(deficits_in_a_call_cycle_terminate)
{
	size_t a = add("a", 1, 3, 2, 6), b = add("b", 1, 2, 2, 6);

	add_edge(a, b, 10, 1, 2);
	add_edge(b, a, 10, 1, 3);
	ck_assert_int_eq(correct_apply(&is, 0, &result), 0);
	check_corrected(a, 0, 1, 0);
	check_corrected(b, 0, 1, 0);
	ck_assert_double_eq_tol(result.left_s, 3, 1e-9);
}
END_TEST

/* The callers' self times and the time from the root add up to the function's self time. */
START_TEST(callers_self_times_add_up_to_the_functions)
{
	size_t a = add("a", 5, 0, 5, 0), f = add("f", 8, 2, 8, 2);

	add_edge(a, f, 5, 4, 1); /* the rest came from the root */
	ck_assert_int_eq(correct_apply(&is, 0, &result), 0);
	check_corrected(f, 6, 2, 6);
	ck_assert_double_eq_tol(is.fn[f].caller[0].counts.self_s, 3, 1e-9);
	ck_assert_double_eq_tol(is.fn[f].caller[0].counts.self_overhead_s, 1, 1e-9);
}
END_TEST

START_TEST(a_native_time_scales_the_overhead_down)
{
	size_t a = add("a", 10, 2, 14, 4), b = add("b", 4, 2, 4, 2);

	ck_assert_int_eq(correct_apply(&is, 12, &result), 0);
	ck_assert_double_eq_tol(result.scale, 0.5, 1e-12);
	check_corrected(a, 9, 1, 12);
	check_corrected(b, 3, 1, 3);
	ck_assert_double_eq_tol(sum_of_self(), 12, 1e-9);
}
END_TEST

/*
 * After scaling, the leaf's overhead exceeds its time. Its caller gives the rest, and the total is
 * met.
 */
START_TEST(a_native_time_scales_the_overhead_up)
{
	size_t a = add("a", 10, 2, 14, 4), leaf = add("leaf", 4, 2, 4, 2);

	add_edge(a, leaf, 10, 4, 2);
	ck_assert_int_eq(correct_apply(&is, 2, &result), 0);
	ck_assert_double_eq_tol(result.scale, 3, 1e-12);
	check_corrected(leaf, 0, 4, 0);
	check_corrected(a, 2, 8, 2);
	ck_assert_double_eq_tol(sum_of_self(), 2, 1e-9);
}
END_TEST

START_TEST(impossible_native_times_are_refused)
{
	size_t a = add("a", 10, 2, 10, 2);

	ck_assert_int_eq(correct_apply(&is, 10.5, &result), -ERANGE);
	ck_assert_double_eq(result.raw_s, 10);
	check_corrected(a, 10, 2, 10); /* as it was */
	is.fn[a].counts.self_overhead_s = 0;
	ck_assert_int_eq(correct_apply(&is, 5, &result), -ERANGE);
}
END_TEST

START_TEST(an_empty_profile_has_no_overhead)
{
	ck_assert_int_eq(correct_apply(&is, 0, &result), 0);
	ck_assert_double_eq(result.overhead_s, 0);
	ck_assert_int_eq(correct_apply(&is, 1, &result), -ERANGE);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("bias");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, deficits_move_to_callers);
	tcase_add_loop_test(t, deficits_move_up_through_recursion_to_the_root, 0, 2);
	tcase_add_test(t, deficits_of_a_recursion_move_to_the_outer_caller);
	tcase_add_test(t, deficits_without_a_caller_are_reported);
	tcase_add_test(t, deficits_in_a_call_cycle_terminate);
	tcase_add_test(t, callers_self_times_add_up_to_the_functions);
	tcase_add_test(t, a_native_time_scales_the_overhead_down);
	tcase_add_test(t, a_native_time_scales_the_overhead_up);
	tcase_add_test(t, impossible_native_times_are_refused);
	tcase_add_test(t, an_empty_profile_has_no_overhead);
	return run_case("bias", t);
}
