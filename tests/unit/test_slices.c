/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slices disturbed by other work do not count. A calibration with too many of them is not trusted.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "calibrate/slices.h"
#include "tests/run.h"

#define LOOPS 12
#define ROUNDS 15
#define SLICE_S 250e-6
#define CALL_S 50e-9
#define REFERENCE_S 35e-6
#define DISTURBED_S (CALL_S / 2) /* would be the fastest if it counted */

static struct slices s;
static struct rounds rounds;
static struct calibration_quality quality;

static const struct slice quiet = {
	.elapsed_s = SLICE_S,
	.cpu_s = SLICE_S + 1e-6, /* includes reading the clocks */
	.reference_s = REFERENCE_S,
	.n_running = 1,
	.total_s = CALL_S,
	.callee_s = CALL_S / 4,
};

static void setup(void)
{
	memset(&s, 0, sizeof(s));
	memset(&rounds, 0, sizeof(rounds));
	s.n_rounds = ROUNDS;
	s.n_loops = LOOPS;
	s.n_processors = 2;
	for (int i = 0; i < ROUNDS * SLICES_SIDES * LOOPS * SLICES_MAX; i++) {
		int slice = i % SLICES_MAX, loop = i / SLICES_MAX % LOOPS;
		int run = i / SLICES_MAX / LOOPS;

		s.run[run / SLICES_SIDES][run % SLICES_SIDES].at[loop][slice] = quiet;
	}
}

static void select_all(double known_s)
{
	slices_select(&s, known_s, &rounds, &quality);
}

static struct slice *slice_at(int round, int side, int loop, int i)
{
	return &s.run[round][side].at[loop][i];
}

/* --- one slice -------------------------------------------------------------------------------- */

static enum slices_disturbance judge(struct slice slice, double steal)
{
	struct machine_load load = { .others = 0.9, .steal = steal };

	return slices_judge(&slice, &load, 4, REFERENCE_S);
}

START_TEST(waits_and_slow_references_disturb_a_slice)
{
	struct slice slice = quiet;

	ck_assert_int_eq(judge(slice, 0), SLICES_UNDISTURBED);
	slice.cpu_s = SLICE_S * 0.985;
	ck_assert_int_eq(judge(slice, 0), SLICES_UNDISTURBED);
	slice.cpu_s = SLICE_S * 0.975;
	ck_assert_int_eq(judge(slice, 0), SLICES_WAITED);
	slice = quiet;
	slice.n_switches = 1;
	ck_assert_int_eq(judge(slice, 0), SLICES_WAITED);
	ck_assert_int_eq(judge(quiet, 0.09), SLICES_UNDISTURBED);
	ck_assert_int_eq(judge(quiet, 0.11), SLICES_WAITED);
	slice = quiet;
	slice.reference_s = REFERENCE_S * 1.14;
	ck_assert_int_eq(judge(slice, 0), SLICES_UNDISTURBED);
	slice.reference_s = REFERENCE_S * 1.16;
	ck_assert_int_eq(judge(slice, 0), SLICES_SLOWER);
}
END_TEST

/* A quota of half a processor stops the process for 50 ms of each 100. */
START_TEST(a_quota_disturbs_the_slices_that_it_stops_and_no_others)
{
	struct machine_load load = { .throttled = 0.5 };
	struct slice slice = quiet;

	ck_assert_int_eq(slices_judge(&slice, &load, 4, REFERENCE_S), SLICES_UNDISTURBED);
	slice.elapsed_s += 50e-3;
	ck_assert_int_eq(slices_judge(&slice, &load, 4, REFERENCE_S), SLICES_WAITED);
}
END_TEST

/* Up to a quarter of the processors, here one of four, may be busy. */
START_TEST(more_than_a_quarter_of_busy_processors_is_a_crowd)
{
	struct slice slice = quiet;

	slice.n_running = 0; /* /proc/loadavg cannot be read */
	ck_assert_int_eq(judge(slice, 0), SLICES_UNDISTURBED);
	slice.n_running = 2;
	ck_assert_int_eq(judge(slice, 0), SLICES_UNDISTURBED);
	slice.n_running = 3;
	ck_assert_int_eq(judge(slice, 0), SLICES_CROWDED);
}
END_TEST

/* --- selection -------------------------------------------------------------------------------- */

START_TEST(a_quiet_machine_uses_every_slice)
{
	slice_at(3, SLICES_BARE, 2, 7)->total_s = 48e-9;
	slice_at(4, SLICES_RECORDED, 2, 7)->total_s = 49e-9;
	slice_at(4, SLICES_RECORDED, 2, 7)->callee_s = 11e-9;
	select_all(0);
	ck_assert_int_eq(rounds.n, ROUNDS);
	ck_assert_int_eq(rounds.n_loops, LOOPS);
	ck_assert_int_eq(rounds.n_fewest, ROUNDS);
	ck_assert_double_eq(rounds.at[3].native[2], 48e-9);
	ck_assert_double_eq(rounds.at[4].total[2], 49e-9);
	ck_assert_double_eq(rounds.at[4].callee[2], 11e-9);
	ck_assert_double_eq(rounds.at[4].native[2], CALL_S);
	ck_assert(quality.known && quality.trusted);
	ck_assert_uint_eq(quality.n_slices, ROUNDS * SLICES_SIDES * LOOPS * SLICES_MAX);
	ck_assert_double_eq(calibration_disturbed(&quality), 0);
	ck_assert_double_eq_tol(quality.reference_s, REFERENCE_S, 1e-12);
}
END_TEST

/* A disturbed slice would be the fastest, but the next one counts. Both causes are tested. */
START_TEST(disturbed_slices_are_not_the_fastest)
{
	struct slice *slice = slice_at(0, SLICES_BARE, 0, 0);

	for (int i = 0; i < 2; i++)
		slice[i].total_s = DISTURBED_S;
	slice[0].n_switches = 1;
	slice[1].reference_s = REFERENCE_S * 2;
	select_all(0);
	ck_assert_double_eq(rounds.at[0].native[0], CALL_S);
	ck_assert_uint_eq(quality.n_waited, 1);
	ck_assert_uint_eq(quality.n_slower, 1);
	ck_assert_int_eq(rounds.n_fewest, ROUNDS);
	ck_assert(quality.trusted);
}
END_TEST

static void wait_in(int first, int last, int side, int loop)
{
	for (int round = first; round < last; round++) {
		for (int i = 0; i < SLICES_MAX; i++) {
			slice_at(round, side, loop, i)->cpu_s = SLICE_S / 2;
			slice_at(round, side, loop, i)->total_s = DISTURBED_S;
		}
	}
}

/*
 * 24 loops are judged, native and recorded. One of them may be disturbed in all rounds but 5, a
 * second one in 5 rounds of 15 but not in 6, even if nearly all other slices are quiet.
 */
START_TEST(too_few_rounds_with_a_quiet_slice_are_not_trusted)
{
	wait_in(0, ROUNDS - SOLVE_FASTEST, SLICES_BARE, 1);
	wait_in(0, 5, SLICES_RECORDED, 3);
	select_all(0);
	ck_assert(isinf(rounds.at[4].total[3]));
	ck_assert_double_eq(rounds.at[5].total[3], CALL_S);
	ck_assert_int_eq(rounds.n_fewest, 10);
	ck_assert(quality.trusted);
	wait_in(5, 6, SLICES_RECORDED, 3);
	select_all(0);
	ck_assert_int_eq(rounds.n_fewest, 9);
	ck_assert(!quality.trusted);
	ck_assert(calibration_disturbed(&quality) < 0.05);
}
END_TEST

/* Each loop needs a time to be printed. */
START_TEST(an_always_disturbed_loop_still_has_a_time)
{
	wait_in(0, ROUNDS - SOLVE_FASTEST + 1, SLICES_BARE, 3);
	select_all(0);
	ck_assert_double_eq(rounds.at[0].native[3], DISTURBED_S);
	wait_in(0, ROUNDS - SOLVE_FASTEST, SLICES_RECORDED, 3);
	select_all(0);
	ck_assert(isinf(rounds.at[0].total[3]));
}
END_TEST

/*
 * Every other slice is disturbed, and then one more. Each loop still has a quiet slice in each
 * round.
 */
START_TEST(more_than_half_disturbed_is_not_trusted)
{
	for (int i = 0; i < ROUNDS * SLICES_SIDES * LOOPS * SLICES_MAX / 2; i++) {
		int slice = i % (SLICES_MAX / 2), loop = i / (SLICES_MAX / 2) % LOOPS;
		int run = i / (SLICES_MAX / 2) / LOOPS;

		slice_at(run / SLICES_SIDES, run % SLICES_SIDES, loop, slice)->n_switches = 2;
	}
	select_all(0);
	ck_assert_double_eq(calibration_disturbed(&quality), 0.5);
	ck_assert(quality.trusted);
	slice_at(0, 0, 0, SLICES_MAX - 1)->n_switches = 1;
	select_all(0);
	ck_assert_int_eq(rounds.n_fewest, ROUNDS);
	ck_assert(!quality.trusted);
}
END_TEST

/* --- a slower machine ------------------------------------------------------------------------- */

/* A run cannot show that the machine was slower all the time. The kept reference does. */
START_TEST(slower_than_the_kept_reference_is_not_trusted)
{
	select_all(REFERENCE_S / 1.1);
	ck_assert(quality.trusted);
	select_all(REFERENCE_S * 1.5);
	ck_assert(quality.trusted);
	select_all(REFERENCE_S / 1.2);
	ck_assert(!quality.trusted);
	ck_assert_uint_eq(quality.n_slower, quality.n_slices);
}
END_TEST

/*
 * Each loop has its own reference, and so does each recorded loop: they leave different cache
 * states.
 */
START_TEST(each_loop_has_its_own_reference)
{
	for (int i = 0; i < ROUNDS * SLICES_MAX; i++) {
		int round = i / SLICES_MAX, slice = i % SLICES_MAX;

		slice_at(round, SLICES_BARE, 1, slice)->reference_s = REFERENCE_S * 1.5;
		slice_at(round, SLICES_RECORDED, 2, slice)->reference_s = REFERENCE_S * 1.3;
	}
	select_all(0);
	ck_assert_double_eq(calibration_disturbed(&quality), 0);
}
END_TEST

/* --- a crowd ---------------------------------------------------------------------------------- */

/*
 * In the last slices of each run three threads run on two processors, and calls take so many times
 * as long.
 */
static void crowd(int n_slices, double times)
{
	for (int i = 0; i < ROUNDS * SLICES_SIDES * LOOPS * n_slices; i++) {
		int slice = SLICES_MAX - 1 - i % n_slices, loop = i / n_slices % LOOPS;
		int run = i / n_slices / LOOPS;
		struct slice *at = slice_at(run / SLICES_SIDES, run % SLICES_SIDES, loop, slice);

		at->n_running = 3;
		at->total_s = CALL_S * times;
	}
}

START_TEST(a_harmless_crowd_disturbs_nothing)
{
	crowd(15, 1.02);
	ck_assert_int_eq(slices_compare_crowded(&s), SLICES_HARMLESS);
	slice_at(0, SLICES_BARE, 0, SLICES_MAX - 1)->total_s = DISTURBED_S;
	select_all(0);
	ck_assert_double_eq(calibration_disturbed(&quality), 0);
	ck_assert_double_eq(rounds.at[0].native[0], DISTURBED_S);
	ck_assert(quality.trusted);
}
END_TEST

START_TEST(a_harmful_crowd_disturbs_slices)
{
	crowd(5, 1.05);
	ck_assert_int_eq(slices_compare_crowded(&s), SLICES_HARMFUL);
	slice_at(0, SLICES_BARE, 0, SLICES_MAX - 1)->total_s = DISTURBED_S;
	select_all(0);
	ck_assert_double_eq(calibration_disturbed(&quality), 0.25);
	ck_assert_double_eq(rounds.at[0].native[0], CALL_S);
	ck_assert(quality.trusted);
	crowd(11, 1.05);
	select_all(0);
	ck_assert(!quality.trusted);
}
END_TEST

/*
 * Without a quiet slice nothing shows whether the crowd slows the loops. The times are used but not
 * trusted.
 */
START_TEST(an_unknown_crowd_is_not_trusted)
{
	crowd(SLICES_MAX, 1);
	ck_assert_int_eq(slices_compare_crowded(&s), SLICES_UNKNOWN);
	slice_at(0, SLICES_BARE, 0, 0)->total_s = DISTURBED_S;
	slice_at(0, SLICES_BARE, 0, 0)->n_switches = 1;
	select_all(0);
	ck_assert_double_eq(rounds.at[0].native[0], CALL_S);
	ck_assert_uint_eq(quality.n_crowded, quality.n_slices - 1);
	ck_assert_int_eq(rounds.n_fewest, 0);
	ck_assert(!quality.trusted);
}
END_TEST

/* --- the run as a whole ----------------------------------------------------------------------- */

START_TEST(the_load_is_the_mean_of_the_rounds)
{
	for (int round = 0; round < 5; round++)
		s.run[round][SLICES_BARE].load = (struct machine_load){ 0.6, 0.06, 0.03 };
	select_all(0);
	ck_assert_double_eq_tol(quality.others, 0.1, 1e-9);
	ck_assert_double_eq_tol(quality.steal, 0.01, 1e-9);
	ck_assert_double_eq_tol(quality.throttled, 0.005, 1e-9);
}
END_TEST

/* 15 rounds of one second: at most 45 s, for any number of rounds. */
START_TEST(more_than_45_seconds_is_late)
{
	ck_assert(!slices_are_late(14, 1000, 14));
	ck_assert(!slices_are_late(15, 44, 15));
	ck_assert(slices_are_late(15, 46, 15));
	ck_assert(!slices_are_late(30, 44, 30));
	ck_assert(slices_are_late(30, 46, 30));
}
END_TEST

START_TEST(no_slices_are_not_trusted)
{
	memset(&s, 0, sizeof(s));
	select_all(0);
	ck_assert(!quality.trusted);
	ck_assert_uint_eq(quality.n_slices, 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("slices");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, waits_and_slow_references_disturb_a_slice);
	tcase_add_test(t, a_quota_disturbs_the_slices_that_it_stops_and_no_others);
	tcase_add_test(t, more_than_a_quarter_of_busy_processors_is_a_crowd);
	tcase_add_test(t, a_quiet_machine_uses_every_slice);
	tcase_add_test(t, disturbed_slices_are_not_the_fastest);
	tcase_add_test(t, too_few_rounds_with_a_quiet_slice_are_not_trusted);
	tcase_add_test(t, an_always_disturbed_loop_still_has_a_time);
	tcase_add_test(t, more_than_half_disturbed_is_not_trusted);
	tcase_add_test(t, slower_than_the_kept_reference_is_not_trusted);
	tcase_add_test(t, each_loop_has_its_own_reference);
	tcase_add_test(t, a_harmless_crowd_disturbs_nothing);
	tcase_add_test(t, a_harmful_crowd_disturbs_slices);
	tcase_add_test(t, an_unknown_crowd_is_not_trusted);
	tcase_add_test(t, the_load_is_the_mean_of_the_rounds);
	tcase_add_test(t, more_than_45_seconds_is_late);
	tcase_add_test(t, no_slices_are_not_trusted);
	return run_case("slices", t);
}
