/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /proc/stat's first line, and what happened between two of them.
 */
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
 * user nice system idle iowait irq softirq steal guest guest_nice; a guest's time stands in user's
 * as well.
 */
START_TEST(line_of_stat)
{
	struct machine_time m = parse("cpu  100 20 300 4000 500 6 70 8 90 10\n");

	ck_assert_double_eq_tol(m.busy_s, 1 + 0.2 + 3 + 0.06 + 0.7, 1e-9);
	ck_assert_double_eq_tol(m.steal_s, 0.08, 1e-9);
	ck_assert_double_eq_tol(m.all_s, m.busy_s + 0.08 + 40 + 5, 1e-9);
}
END_TEST

START_TEST(other_lines)
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

/* Two processors for ten seconds, of which 9 are ours, 4 another's, 2 another machine's. */
START_TEST(between_two_lines)
{
	struct machine_time before = parse("cpu 1000 0 500 8000 0 0 0 100 0 0\n");
	struct machine_time after = parse("cpu 2000 0 800 8500 0 0 0 300 0 0\n");
	struct machine_load load = machine_compare(&before, &after, 9);

	ck_assert_double_eq_tol(load.others, 4 / 20.0, 1e-9);
	ck_assert_double_eq_tol(load.steal, 2 / 20.0, 1e-9);
}
END_TEST

/* Ticks are coarse, so we may have had more than was counted; and /proc/stat may not be there. */
START_TEST(no_more_than_all)
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

START_TEST(this_machine)
{
	struct machine_time m;

	ck_assert(machine_read(&m));
	ck_assert(m.busy_s > 0 && m.all_s >= m.busy_s);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("machine");

	tcase_add_test(t, line_of_stat);
	tcase_add_test(t, other_lines);
	tcase_add_test(t, between_two_lines);
	tcase_add_test(t, no_more_than_all);
	tcase_add_test(t, this_machine);
	return run_case("machine", t);
}
