/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bias_apply: what is taken out of a profile's times, and what becomes of those that would be less
 * than nothing.
 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "overhead/bias.h"
#include "tests/run.h"

static struct profile is;
static struct bias_result result;

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

static size_t add(const char *name, double self, double self_cost, double total, double total_cost)
{
	struct profile_counts counts = { .n_calls = 10,
					 .self_s = self,
					 .self_cost_s = self_cost,
					 .total_s = total,
					 .total_cost_s = total_cost };
	size_t i = profile_fn_add(&is, text("a.py"), 1, text(name), text(""));

	profile_counts_add(&is.fn[i].counts, &counts);
	return i;
}

static void add_edge(size_t caller, size_t callee, uint64_t n, double self, double self_cost)
{
	struct profile_counts counts = { .n_calls = n,
					 .self_s = self,
					 .self_cost_s = self_cost,
					 .total_s = self,
					 .total_cost_s = self_cost };

	ck_assert_int_eq(profile_edge_add(&is, caller, callee, &counts), 0);
}

static void check_corrected(size_t i, double self, double self_cost, double total)
{
	ck_assert_double_eq_tol(is.fn[i].counts.self_s, self, 1e-9);
	ck_assert_double_eq_tol(is.fn[i].counts.self_cost_s, self_cost, 1e-9);
	ck_assert_double_eq_tol(is.fn[i].counts.total_s, total, 1e-9);
}

static double sum_of_self(void)
{
	double sum = 0;

	for (size_t i = 0; i < is.n_fns; i++)
		sum += is.fn[i].counts.self_s;
	return sum;
}

/* The leaf lacks 2 s: its callers give them, by the calls that they made. */
START_TEST(deficits_go_to_callers)
{
	size_t a = add("a", 10, 1, 14, 5), b = add("b", 20, 1, 22, 5);
	size_t leaf = add("leaf", 3, 5, 3, 5);

	add_edge(a, leaf, 7, 2, 3.5);
	add_edge(b, leaf, 3, 1, 1.5);
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(leaf, 0, 3, 0);
	check_corrected(a, 10 - 1 - 1.4, 2.4, 9);
	check_corrected(b, 20 - 1 - 0.6, 1.6, 18.4); /* not 17, which its own time exceeds */
	ck_assert_uint_eq(result.n_bounded, 1);
	ck_assert_double_eq_tol(result.moved_s, 2, 1e-9);
	ck_assert_double_eq(result.left_s, 0);
	ck_assert_double_eq_tol(sum_of_self(), 33 - 7, 1e-9);
	ck_assert_double_eq_tol(result.raw_s, 33, 1e-9);
	ck_assert_double_eq_tol(result.cost_s, 7, 1e-9);
	ck_assert_double_eq(is.fn[leaf].caller[0].counts.self_s, 0);
	ck_assert_double_eq(is.fn[leaf].caller[1].counts.self_s, 0);
}
END_TEST

/* Up the whole chain, through a function that calls itself, whatever their order in the profile. */
START_TEST(deficits_go_on_upwards)
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
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(fn[2], 0, 1, 0);
	check_corrected(fn[1], 0, 1, 0);
	check_corrected(fn[0], 5, 5, 9);
	ck_assert_uint_eq(result.n_bounded, 2);
	ck_assert_double_eq_tol(result.moved_s, 4, 1e-9);
	ck_assert_double_eq_tol(result.left_s, 0, 1e-9);
	ck_assert_double_eq_tol(sum_of_self(), 12 - 7, 1e-9);
}
END_TEST

/* As fib does: next to all of its calls are its own, which have nothing to give. */
START_TEST(deficits_of_a_recursion)
{
	size_t a = add("a", 10, 0, 12, 5), fib = add("fib", 2, 5, 2, 5);

	add_edge(a, fib, 1, 0.01, 0.01);
	add_edge(fib, fib, 100000, 1.99, 4.99);
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(fib, 0, 2, 0);
	check_corrected(a, 7, 3, 7);
	ck_assert_double_eq(result.left_s, 0);
}
END_TEST

/* Nobody to take it from: the sum is too long by that, which is told. */
START_TEST(deficits_that_stay)
{
	size_t lone = add("lone", 1, 3, 1, 3), a = add("a", 1, 0, 2, 2),
	       leaf = add("leaf", 1, 5, 1, 5);

	add_edge(a, leaf, 10, 1, 5);
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(lone, 0, 1, 0);
	check_corrected(leaf, 0, 1, 0);
	check_corrected(a, 0, 1, 0);
	ck_assert_uint_eq(result.n_bounded, 3);
	ck_assert_double_eq_tol(result.moved_s, 1, 1e-9);
	ck_assert_double_eq_tol(result.left_s, 2 + 3, 1e-9);
	ck_assert_double_eq_tol(sum_of_self(), 3 - 8 + result.left_s, 1e-9);
	ck_assert_double_eq_tol(result.cost_s, 3, 1e-9);
}
END_TEST

/*
 * Two functions that call each other, and nobody else: it ends, and nothing is lost from the sum.
 */
START_TEST(deficits_in_a_circle)
{
	size_t a = add("a", 1, 3, 2, 6), b = add("b", 1, 2, 2, 6);

	add_edge(a, b, 10, 1, 2);
	add_edge(b, a, 10, 1, 3);
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(a, 0, 1, 0);
	check_corrected(b, 0, 1, 0);
	ck_assert_double_eq_tol(result.left_s, 3, 1e-9);
}
END_TEST

/* Callers that are known by their number of calls only, or not at all, add up to the function. */
START_TEST(callers_add_up)
{
	size_t a = add("a", 5, 0, 5, 0), f = add("f", 8, 2, 8, 2);

	add_edge(a, f, 5, 4, 1); /* the rest came from the root */
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(f, 6, 2, 6);
	ck_assert_double_eq_tol(is.fn[f].caller[0].counts.self_s, 3, 1e-9);
	ck_assert_double_eq_tol(is.fn[f].caller[0].counts.self_cost_s, 1, 1e-9);
}
END_TEST

START_TEST(bare_time_scales)
{
	size_t a = add("a", 10, 2, 14, 4), b = add("b", 4, 2, 4, 2);

	ck_assert_int_eq(bias_apply(&is, 12, &result), 0);
	ck_assert_double_eq_tol(result.scale, 0.5, 1e-12);
	check_corrected(a, 9, 1, 12);
	check_corrected(b, 3, 1, 3);
	ck_assert_double_eq_tol(sum_of_self(), 12, 1e-9);
}
END_TEST

/* Scaled up, the leaf falls short: what it lacks comes from its caller, and the total is met. */
START_TEST(bare_time_scales_up)
{
	size_t a = add("a", 10, 2, 14, 4), leaf = add("leaf", 4, 2, 4, 2);

	add_edge(a, leaf, 10, 4, 2);
	ck_assert_int_eq(bias_apply(&is, 2, &result), 0);
	ck_assert_double_eq_tol(result.scale, 3, 1e-12);
	check_corrected(leaf, 0, 4, 0);
	check_corrected(a, 2, 8, 2);
	ck_assert_double_eq_tol(sum_of_self(), 2, 1e-9);
}
END_TEST

START_TEST(bare_times_that_cannot_be)
{
	size_t a = add("a", 10, 2, 10, 2);

	ck_assert_int_eq(bias_apply(&is, 10.5, &result), -ERANGE);
	ck_assert_double_eq(result.raw_s, 10);
	check_corrected(a, 10, 2, 10); /* as it was */
	is.fn[a].counts.self_cost_s = 0;
	ck_assert_int_eq(bias_apply(&is, 5, &result), -ERANGE);
}
END_TEST

START_TEST(nothing_at_all)
{
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	ck_assert_double_eq(result.cost_s, 0);
	ck_assert_int_eq(bias_apply(&is, 1, &result), -ERANGE);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("bias");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, deficits_go_to_callers);
	tcase_add_loop_test(t, deficits_go_on_upwards, 0, 2);
	tcase_add_test(t, deficits_of_a_recursion);
	tcase_add_test(t, deficits_that_stay);
	tcase_add_test(t, deficits_in_a_circle);
	tcase_add_test(t, callers_add_up);
	tcase_add_test(t, bare_time_scales);
	tcase_add_test(t, bare_time_scales_up);
	tcase_add_test(t, bare_times_that_cannot_be);
	tcase_add_test(t, nothing_at_all);
	return run_case("bias", t);
}
