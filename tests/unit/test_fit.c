/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fit of overheads to programs: programs made with known overheads must give these back. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "calibrate/fit.h"
#include "pyprof/format.h"
#include "tests/run.h"

#define N 60
#define COLD_S 0.04e-9 /* expected with monitoring: 0.0008 of a Python call */

static struct fit_program program[N];
static struct calibration c, truth;
static uint64_t seed;

static double roll(double below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull; /* Knuth, MMIX */
	return (double)(seed >> 33) / (double)(1ull << 31) * below;
}

static double cost(const struct calibration *from, int k)
{
	return k == FIT_COLD ? from->cold : from->overhead[k].in_s + from->overhead[k].out_s;
}

/* Makes a program with random numbers of calls of each kind. */
static void make(struct fit_program *p, const struct calibration *true_overheads)
{
	p->native_s = 1e-3;
	p->added_s = p->known_s = 0;
	for (int k = 0; k < FIT_UNKNOWNS; k++) {
		p->by[k] = roll(k == FIT_COLD ? 3e7 : 5000);
		p->added_s += p->by[k] * cost(true_overheads, k);
		p->known_s += p->by[k] * cost(&c, k);
	}
}

static void setup(void)
{
	seed = 20260101;
	memset(&c, 0, sizeof(c));
	for (int k = 0; k < OVERHEAD_KINDS; k++) {
		c.overhead[k].in_s = k == PYPROF_OVERHEAD_EXCEPTION ? 50e-9 : 5e-9;
		c.overhead[k].out_s = k == PYPROF_OVERHEAD_EXCEPTION ? 0 : 45e-9;
	}
	truth = c;
	truth.cold = COLD_S;
	for (int i = 0; i < N; i++)
		make(&program[i], &truth);
}

static void check_overheads(double part)
{
	for (int k = 0; k < FIT_UNKNOWNS; k++) {
		double differs = fabs(cost(&c, k) - cost(&truth, k));

		ck_assert_msg(differs <= part * cost(&truth, k), "%d: %g s, expected %g", k,
			      cost(&c, k), cost(&truth, k));
	}
}

START_TEST(correct_overheads_do_not_change)
{
	double error = fit(&c, true, program, N);

	ck_assert_double_le(error, 1e-6);
	check_overheads(1e-4);
	ck_assert_double_eq(c.overhead[OVERHEAD_PYTHON].in_s, 5e-9);
	ck_assert_double_eq(c.overhead[OVERHEAD_EXCEPTION].out_s, 0);
}
END_TEST

/* One kind costs a fifth more in programs than in its calibration loop. */
START_TEST(a_wrong_overhead_is_corrected)
{
	fit_add(&truth, _i, cost(&truth, _i) / 5);
	for (int i = 0; i < N; i++)
		make(&program[i], &truth);
	ck_assert_double_le(fit(&c, true, program, N), 0.01);
	check_overheads(0.1);
}
END_TEST

/*
 * The calibration loop of Python calls, the reference of all others, is off by a factor of 0.1,
 * 0.4, 2 or 3. Programs mostly call Python and C functions.
 */
START_TEST(programs_override_a_wrong_calibration_loop)
{
	static const double off_s[] = { -45e-9, -30e-9, 50e-9, 100e-9 };
	double found;

	c.overhead[OVERHEAD_PYTHON].out_s += off_s[_i];
	for (int i = 0; i < N; i++) {
		make(&program[i], &truth);
		for (int k = 0; k < FIT_UNKNOWNS; k++) {
			double less =
				k == PYPROF_OVERHEAD_PYTHON || k == PYPROF_OVERHEAD_C ? 0 : 0.9;

			program[i].added_s -= less * program[i].by[k] * cost(&truth, k);
			program[i].known_s -= less * program[i].by[k] * cost(&c, k);
			program[i].by[k] *= 1 - less;
		}
	}
	ck_assert_double_le(fit(&c, true, program, N), 0.02);
	found = cost(&c, PYPROF_OVERHEAD_PYTHON);
	ck_assert_msg(fabs(found - 50e-9) < 5e-9, "%g s", found);
}
END_TEST

/* The true cache-miss overhead is 0.2, 0.6 or 2 times the expected one. */
START_TEST(cache_miss_overhead_is_fitted_to_programs)
{
	static const double part[] = { 0.2, 0.6, 2 };

	truth.cold = COLD_S * part[_i];
	for (int i = 0; i < N; i++)
		make(&program[i], &truth);
	ck_assert_double_le(fit(&c, true, program, N), 0.01);
	check_overheads(0.1);
}
END_TEST

/*
 * A tenth of the programs is far off, for reasons that the model does not cover. They must not
 * change much.
 */
START_TEST(outliers_change_little)
{
	for (int i = 0; i < N / 10; i++)
		program[i].added_s *= 3;
	ck_assert_double_le(fit(&c, true, program, N), 0.05);
	check_overheads(0.2);
}
END_TEST

/* One program is too little evidence: the overheads of the loops stay. */
START_TEST(a_single_program_changes_little)
{
	memset(program[0].by, 0, sizeof(program[0].by));
	program[0].by[PYPROF_OVERHEAD_PYTHON] = program[0].by[PYPROF_OVERHEAD_C] = 1000;
	program[0].known_s = 100e-6;
	program[0].added_s = 110e-6;
	fit(&c, _i, program, 1);
	ck_assert_double_gt(c.overhead[OVERHEAD_PYTHON].out_s, 46e-9);
	ck_assert_double_lt(c.overhead[OVERHEAD_PYTHON].out_s, 50.1e-9);
	ck_assert_double_eq_tol(c.overhead[OVERHEAD_PYTHON].out_s, c.overhead[OVERHEAD_C].out_s,
				1e-15);
	ck_assert_double_eq_tol(c.overhead[OVERHEAD_DIRECT].out_s, 45e-9, 1e-15);
	/* The expected cache-miss overhead depends on the overhead of a call and on the engine. */
	ck_assert_double_eq_tol(c.cold, (_i ? 0.0008 : 0.005) * cost(&c, PYPROF_OVERHEAD_PYTHON),
				1e-15);
}
END_TEST

START_TEST(cache_miss_overhead_is_never_negative)
{
	for (int i = 0; i < N; i++)
		program[i].added_s -= program[i].by[FIT_COLD] * 2 * COLD_S;
	fit(&c, true, program, N);
	ck_assert_double_eq(c.cold, 0);
}
END_TEST

/* Such numbers come from a machine that was stopped, or from a program that takes no time. */
START_TEST(absurd_measurements_give_finite_overheads)
{
	memset(&c, 0, sizeof(c));
	memset(program, 0, sizeof(program));
	for (int i = 0; i < N; i++) {
		program[i].native_s = 1e-6;
		program[i].added_s = i % 2 ? -1e-3 : 1;
	}
	fit(&c, true, program, N);
	for (int k = 0; k < FIT_UNKNOWNS; k++)
		ck_assert(isfinite(cost(&c, k)));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("fit");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, correct_overheads_do_not_change);
	tcase_add_loop_test(t, a_wrong_overhead_is_corrected, 0, OVERHEAD_KINDS);
	tcase_add_loop_test(t, programs_override_a_wrong_calibration_loop, 0, 4);
	tcase_add_loop_test(t, cache_miss_overhead_is_fitted_to_programs, 0, 3);
	tcase_add_test(t, outliers_change_little);
	tcase_add_loop_test(t, a_single_program_changes_little, false, true + 1);
	tcase_add_test(t, cache_miss_overhead_is_never_negative);
	tcase_add_test(t, absurd_measurements_give_finite_overheads);
	return run_case("fit", t);
}
