/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first line of /proc/stat, and the load between two such lines. */
#include <check.h>

#include "calibrate/machine.h"
#include "tests/run.h"

static struct machine_time parse(const char *line)
{
	struct machine_time m;

	ck_assert_msg(machine_parse(&m, line, 0.01), "refused: %s", line);
	return m;
}

/*
 * Columns: user nice system idle iowait irq softirq steal guest guest_nice. Guest time is also in
 * user.
 */
START_TEST(a_stat_line_gives_busy_and_stolen_time)
{
	struct machine_time m = parse("cpu  100 20 300 4000 500 6 70 8 90 10\n");

	ck_assert_double_eq_tol(m.busy_s, 1 + 0.2 + 3 + 0.06 + 0.7, 1e-9);
	ck_assert_double_eq_tol(m.steal_s, 0.08, 1e-9);
	ck_assert_double_eq_tol(m.all_s, m.busy_s + 0.08 + 40 + 5, 1e-9);
}
END_TEST

START_TEST(other_lines_are_refused)
{
	static const char *const line[] = { "", "\n", "cpu", "cpu 1 2 3 4 5 6 7\n",
					    "intr 1 2 3\n" };
	struct machine_time m;

	for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++) {
		ck_assert(!machine_parse(&m, line[i], 0.01));
		ck_assert_double_eq(m.all_s, 0);
	}
}
END_TEST

/* Two processors for 10 s: 9 s are ours, 4 s other processes', 2 s stolen, 5 s nobody's. */
START_TEST(two_stat_lines_give_the_load_of_others)
{
	struct machine_time before = parse("cpu 1000 0 500 8000 0 0 0 100 0 0\n");
	struct machine_time after = parse("cpu 2000 0 800 8500 0 0 0 300 0 0\n");
	struct machine_load load = machine_compare(&before, &after, 9);

	ck_assert_double_eq_tol(load.others, 4 / 20.0, 1e-9);
	ck_assert_double_eq_tol(load.steal, 2 / 15.0, 1e-9);
}
END_TEST

/* One of 64 processors had work for 10 s, and was stolen for 4 s of it. */
START_TEST(steal_is_a_part_of_the_work_not_of_all_processors)
{
	struct machine_time before = parse("cpu 0 0 0 0 0 0 0 0 0 0\n");
	struct machine_time after = parse("cpu 600 0 0 63000 0 0 0 400 0 0\n");

	ck_assert_double_eq_tol(machine_compare(&before, &after, 6).steal, 0.4, 1e-9);
}
END_TEST

/* Two levels of groups, or two processors, may be stopped at the same time. */
START_TEST(throttled_time_is_a_part_of_the_time_that_passed)
{
	struct machine_time before = { .throttled_s = 3, .now_s = 100 };
	struct machine_time after = { .throttled_s = 4, .now_s = 104 };

	ck_assert_double_eq_tol(machine_compare(&before, &after, 1).throttled, 0.25, 1e-9);
	after.throttled_s = 9;
	ck_assert_double_eq(machine_compare(&before, &after, 1).throttled, 1);
	after.throttled_s = 2; /* moved to another group */
	ck_assert_double_eq(machine_compare(&before, &after, 1).throttled, 0);
	ck_assert_double_eq(machine_compare(&before, &before, 1).throttled, 0);
}
END_TEST

/* Ticks are coarse, so our own time may exceed the counted one. /proc/stat may also be missing. */
START_TEST(the_load_of_others_stays_between_0_and_1)
{
	struct machine_time before = parse("cpu 100 0 0 100 0 0 0 0 0 0\n");
	struct machine_time after = parse("cpu 200 0 0 100 0 0 0 0 0 0\n"), none = { 0 };

	ck_assert_double_eq(machine_compare(&before, &after, 1.1).others, 0);
	ck_assert_double_eq(machine_compare(&before, &after, -1).others, 1);
	ck_assert_double_eq(machine_compare(&before, &before, 0).others, 0);
	ck_assert_double_eq(machine_compare(&none, &none, 1).others, 0);
	ck_assert_double_eq(machine_compare(&none, &none, 1).steal, 0);
}
END_TEST

START_TEST(this_machines_stat_file_is_readable)
{
	struct machine_time m;

	ck_assert(machine_read(&m));
	ck_assert(m.busy_s > 0 && m.all_s >= m.busy_s);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("machine");

	tcase_add_test(t, a_stat_line_gives_busy_and_stolen_time);
	tcase_add_test(t, other_lines_are_refused);
	tcase_add_test(t, two_stat_lines_give_the_load_of_others);
	tcase_add_test(t, steal_is_a_part_of_the_work_not_of_all_processors);
	tcase_add_test(t, throttled_time_is_a_part_of_the_time_that_passed);
	tcase_add_test(t, the_load_of_others_stays_between_0_and_1);
	tcase_add_test(t, this_machines_stat_file_is_readable);
	return run_case("machine", t);
}
