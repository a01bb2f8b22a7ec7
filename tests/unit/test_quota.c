/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The time for which a quota of processor time stopped a control group, in both versions' files. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "calibrate/quota.h"
#include "tests/run.h"

/* As printed by Linux 6.1; bursts are newer. */
static const char version_1[] = "nr_periods 40\nnr_throttled 31\nthrottled_time 1500000000\n"
				"nr_bursts 0\nburst_time 0\n";
static const char version_2[] = "usage_usec 9000000\nuser_usec 8000000\nsystem_usec 1000000\n"
				"nr_periods 40\nnr_throttled 31\nthrottled_usec 2500000\n"
				"nr_bursts 0\nburst_usec 0\n";
static const char no_quota[] = "usage_usec 9000000\nuser_usec 8000000\nsystem_usec 1000000\n";

START_TEST(both_versions_give_seconds)
{
	ck_assert_double_eq_tol(quota_parse(version_1), 1.5, 1e-12);
	ck_assert_double_eq_tol(quota_parse(version_2), 2.5, 1e-12);
}
END_TEST

START_TEST(other_texts_give_no_time)
{
	static const char *const text[] = { no_quota,
					    "",
					    "\n\n",
					    "throttled_usec",
					    "throttled_usec x\n",
					    "throttled_usec -5\n",
					    "not_throttled_usec 5\n",
					    "throttled_usecs 5\n",
					    "nr_throttled 31\n" };

	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		ck_assert_msg(quota_parse(text[i]) == 0, "%s", text[i]);
}
END_TEST

START_TEST(a_line_of_the_cpu_controller_gives_its_folder)
{
	static const char *const line[][2] = {
		{ "0::/", "" },
		{ "0::/system.slice/a b.service", "/system.slice/a b.service" },
		{ "1:cpu:/", "/cpu" },
		{ "4:cpu,cpuacct:/docker/0123", "/cpu,cpuacct/docker/0123" },
		{ "4:cpuacct,cpu:/x:y", "/cpuacct,cpu/x:y" },
	};
	char folder[64];

	for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++) {
		ck_assert_msg(quota_folder(folder, sizeof(folder), line[i][0]), "%s", line[i][0]);
		ck_assert_str_eq(folder, line[i][1]);
	}
}
END_TEST

START_TEST(lines_of_other_controllers_are_refused)
{
	static const char *const line[] = { "",
					    "0",
					    "0:",
					    "0::",
					    "0::x",
					    "3:cpuset:/a",
					    "2:cpuacct:/a",
					    "4:memory:/a",
					    "9:name=systemd:/a",
					    "4:cpuset,memory:/a" };
	char folder[64];

	for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++)
		ck_assert_msg(!quota_folder(folder, sizeof(folder), line[i]), "%s", line[i]);
	ck_assert(!quota_folder(folder, 5, "0::/aaaa"));
	ck_assert(quota_folder(folder, 6, "0::/aaaa"));
}
END_TEST

/* --- files ------------------------------------------------------------------------------------ */

static char root[] = "/tmp/pyshim-quota-XXXXXX";

static void setup(void)
{
	strcpy(root + strlen(root) - 6, "XXXXXX");
	ck_assert(mkdtemp(root) != NULL);
}

static void teardown(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", root);
	ck_assert_int_eq(system(command), 0);
}

static void put_folder(const char *folder)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s", root, folder);
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", root, name);
	f = fopen(path, "w");
	ck_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static double read_it(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/cgroup", root);
	return quota_read(root, path);
}

START_TEST(a_version_2_group_and_those_above_it_add_up)
{
	put("/cgroup", "0::/a/b/c\n");
	put_folder("/a");
	put_folder("/a/b");
	put_folder("/a/b/c");
	put("/a/b/c/cpu.stat", version_2);
	put("/a/b/cpu.stat", no_quota);
	put("/a/cpu.stat", "throttled_usec 500000\n");
	put("/cpu.stat", no_quota);
	ck_assert_double_eq_tol(read_it(), 3, 1e-12);
}
END_TEST

/* The mounted part is the container's own group. */
START_TEST(in_a_container_the_mounted_group_counts)
{
	put("/cgroup", "0::/\n");
	put("/cpu.stat", version_2);
	ck_assert_double_eq_tol(read_it(), 2.5, 1e-12);
	put("/cgroup", "0::/../of/the/host\n");
	ck_assert_double_eq_tol(read_it(), 2.5, 1e-12);
}
END_TEST

START_TEST(a_version_1_group_is_found_among_other_controllers)
{
	put("/cgroup", "9:name=systemd:/x\n4:cpu,cpuacct:/x\n3:memory:/x\n0::/\n");
	put_folder("/cpu,cpuacct");
	put_folder("/cpu,cpuacct/x");
	put("/cpu,cpuacct/x/cpu.stat", version_1);
	put("/cpu,cpuacct/cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n");
	ck_assert_double_eq_tol(read_it(), 1.5, 1e-12);
}
END_TEST

START_TEST(without_files_there_is_no_time)
{
	ck_assert_double_eq(read_it(), 0);
	put("/cgroup", "0::/a\nx\n\n");
	ck_assert_double_eq(read_it(), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("quota");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, both_versions_give_seconds);
	tcase_add_test(t, other_texts_give_no_time);
	tcase_add_test(t, a_line_of_the_cpu_controller_gives_its_folder);
	tcase_add_test(t, lines_of_other_controllers_are_refused);
	tcase_add_test(t, a_version_2_group_and_those_above_it_add_up);
	tcase_add_test(t, in_a_container_the_mounted_group_counts);
	tcase_add_test(t, a_version_1_group_is_found_among_other_controllers);
	tcase_add_test(t, without_files_there_is_no_time);
	return run_case("quota", t);
}
