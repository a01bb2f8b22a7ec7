/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calibration files: saving, loading, and refusing broken ones. */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "overhead/calibration.h"
#include "tests/run.h"

static char folder[64];
static char path[256];

static struct calibration sample(void)
{
	return (struct calibration){
		.key = { .python = "3.12.1 (main, Jan  1 2024, 10:00:00) [GCC 12.2.0]",
			 .engine = "monitoring",
			 .shim = "pyshim 0.1.0",
			 .processor = "A Processor @ 2.60GHz",
			 .clock = "tsc" },
		.overhead = { { 8.125e-9, 30.5e-9, 1e-9 },
			      { 17e-9, 18.25e-9, 0 },
			      { -3e-9, -13.5e-9, 2e-9 },
			      { 40e-9, 0, 5e-9 },
			      { 3e-9, 1e-9, 0 },
			      { 0, 2e-9, 0 },
			      { 0, 31e-9, 2e-9 },
			      { 6e-9, 1e-9, 0 },
			      { 4e-9, 5e-9, 0 } },
		.bytecode = 1.25,
		.cold = 0.0625e-9,
		.error = 0.0625,
		.made = 1700000000,
		.n_calls = 100000,
		.n_rounds = 9,
		.quality = { .known = true,
			     .trusted = true,
			     .n_slices = 1000,
			     .n_waited = 20,
			     .n_slower = 30,
			     .n_crowded = 50,
			     .others = 0.125,
			     .steal = 0.0625,
			     .throttled = 0.25,
			     .reference_s = 34.5e-6 },
	};
}

static void setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/pyshim-unit-XXXXXX");
	ck_assert(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/calibration", folder);
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static void check_equal_quality(const struct calibration_quality *a,
				const struct calibration_quality *b)
{
	ck_assert_int_eq(a->known, b->known);
	ck_assert_int_eq(a->trusted, b->trusted);
	ck_assert_uint_eq(a->n_slices, b->n_slices);
	ck_assert_uint_eq(a->n_waited, b->n_waited);
	ck_assert_uint_eq(a->n_slower, b->n_slower);
	ck_assert_uint_eq(a->n_crowded, b->n_crowded);
	ck_assert_double_eq_tol(a->others, b->others, 1e-9);
	ck_assert_double_eq_tol(a->steal, b->steal, 1e-9);
	ck_assert_double_eq_tol(a->throttled, b->throttled, 1e-9);
	ck_assert_double_eq_tol(a->reference_s, b->reference_s, 1e-15);
}

static void check_equal(const struct calibration *a, const struct calibration *b)
{
	ck_assert_str_eq(a->key.python, b->key.python);
	ck_assert_str_eq(a->key.engine, b->key.engine);
	ck_assert_str_eq(a->key.shim, b->key.shim);
	ck_assert_str_eq(a->key.processor, b->key.processor);
	ck_assert_str_eq(a->key.clock, b->key.clock);
	for (int i = 0; i < OVERHEAD_KINDS; i++) {
		ck_assert_double_eq_tol(a->overhead[i].in_s, b->overhead[i].in_s, 1e-15);
		ck_assert_double_eq_tol(a->overhead[i].out_s, b->overhead[i].out_s, 1e-15);
		ck_assert_double_eq_tol(a->overhead[i].spread_s, b->overhead[i].spread_s, 1e-15);
	}
	ck_assert_double_eq_tol(a->bytecode, b->bytecode, 1e-9);
	ck_assert_double_eq_tol(a->cold, b->cold, 1e-15);
	ck_assert_double_eq_tol(a->error, b->error, 1e-15);
	ck_assert_int_eq(a->made, b->made);
	ck_assert_uint_eq(a->n_calls, b->n_calls);
	ck_assert_uint_eq(a->n_rounds, b->n_rounds);
	check_equal_quality(&a->quality, &b->quality);
}

START_TEST(a_saved_calibration_loads_with_equal_values)
{
	struct calibration saved = sample(), loaded;

	ck_assert_int_eq(calibration_save(&saved, path), 0);
	ck_assert_int_eq(calibration_load(&loaded, path), 0);
	check_equal(&loaded, &saved);
	saved.made++; /* saving again replaces the file */
	ck_assert_int_eq(calibration_save(&saved, path), 0);
	ck_assert_int_eq(calibration_load(&loaded, path), 0);
	check_equal(&loaded, &saved);
}
END_TEST

START_TEST(an_untrusted_calibration_loads_as_untrusted)
{
	struct calibration saved = sample(), loaded;

	saved.quality.trusted = false;
	ck_assert_int_eq(calibration_save(&saved, path), 0);
	ck_assert_int_eq(calibration_load(&loaded, path), 0);
	check_equal(&loaded, &saved);
	ck_assert_double_eq_tol(calibration_disturbed(&loaded.quality), 0.1, 1e-9);
}
END_TEST

START_TEST(keys_of_the_longest_texts_load)
{
	struct calibration saved = sample(), loaded;

	memset(saved.key.python, 'p', sizeof(saved.key.python) - 1);
	memset(saved.key.shim, 's', sizeof(saved.key.shim) - 1);
	memset(saved.key.processor, 'c', sizeof(saved.key.processor) - 1);
	ck_assert_int_eq(calibration_save(&saved, path), 0);
	ck_assert_int_eq(calibration_load(&loaded, path), 0);
	check_equal(&loaded, &saved);
}
END_TEST

START_TEST(missing_folders_are_created_private)
{
	struct calibration saved = sample(), loaded;
	struct stat st;

	snprintf(path, sizeof(path), "%s/a/b/c", folder);
	ck_assert_int_eq(calibration_save(&saved, path), 0);
	ck_assert_int_eq(calibration_load(&loaded, path), 0);
	snprintf(path, sizeof(path), "%s/a", folder);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
}
END_TEST

START_TEST(unusable_paths_are_errors)
{
	struct calibration c = sample();

	ck_assert_int_eq(calibration_load(&c, path), -ENOENT);
	ck_assert_int_eq(calibration_load(&c, folder), -EINVAL);
	ck_assert_int_eq(calibration_save(&c, folder), -EISDIR);
	ck_assert_int_eq(calibration_save(&c, "/dev/null/x"), -ENOTDIR);
}
END_TEST

/* A failed write leaves the old file, and no partial one. */
START_TEST(a_failed_save_keeps_the_old_file)
{
	struct calibration saved = sample(), loaded;
	char blocked[300];

	ck_assert_int_eq(calibration_save(&saved, path), 0);
	snprintf(blocked, sizeof(blocked), "%s.%ld", path, (long)getpid());
	ck_assert_int_eq(mkdir(blocked, 0700), 0);
	ck_assert_int_eq(calibration_save(&saved, path), -EISDIR);
	ck_assert_int_eq(calibration_load(&loaded, path), 0);
	check_equal(&loaded, &saved);
}
END_TEST

/* --- broken files ----------------------------------------------------------------------------- */

static int load_text(const char *text)
{
	FILE *f = fopen(path, "w");
	struct calibration c;

	ck_assert(f != NULL);
	fputs(text, f);
	fclose(f);
	return calibration_load(&c, path);
}

#define HEAD "pyshim calibration 6\n"
#define MORE                                                                                  \
	"bare 0 0 0\nexception 0 0 0\nresume 0 0 0\nmethod 0 0 0\nother 0 0 0\nlarge 0 0 0\n" \
	"large-site 0 0 0\nexception-c 0 0 0\ncold 0\n"
#define COSTS "python 1 2 0\nc 1 2 0\n" MORE

START_TEST(broken_files_are_refused)
{
	static const char *const text[] = {
		"",
		"\n",
		"pyshim calibration 9\n" COSTS "bytecode 1\n",
		"pyshim calibration 6" COSTS "bytecode 1\n",
		HEAD,
		HEAD COSTS, /* cut off */
		HEAD "python 1 2 0\nbytecode 1\n",
		HEAD COSTS "bytecode 0.99\n",
		HEAD COSTS "bytecode nan\n",
		HEAD COSTS "bytecode inf\n",
		HEAD COSTS "bytecode 1e3\n",
		HEAD COSTS "python nan 2 0\nbytecode 1\n",
		HEAD COSTS "python 1 inf 0\nbytecode 1\n",
		HEAD COSTS "python 1e9 2 0\nbytecode 1\n",
		HEAD COSTS "c 1 -1e9 0\nbytecode 1\n",
		HEAD "python 1 2\nc 1 2 0\n" MORE "bytecode 1\n",
		HEAD "python one two 0\nc 1 2 0\n" MORE "bytecode 1\n",
		HEAD COSTS "cold -0.1\nbytecode 1\n",
		HEAD COSTS "cold nan\nbytecode 1\n",
		HEAD COSTS "bytecode 1\nerror -0.1\n",
		HEAD COSTS "bytecode 1\nerror nan\n",
		HEAD COSTS "bytecode 1\nsteal 1.1\n",
		HEAD COSTS "bytecode 1\nthrottled 1.1\n",
		HEAD COSTS "bytecode 1\nothers nan\n",
		HEAD COSTS "bytecode 1\nreference -1\n",
		HEAD COSTS "bytecode 1\nslices 10\nwaited 11\n",
		HEAD COSTS "bytecode 1\nslices 10\nwaited 5\nslower 4\ncrowded 2\n",
	};

	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		ck_assert_msg(load_text(text[i]) == -EINVAL, "taken for a calibration:\n%s",
			      text[i]);
	ck_assert_int_eq(load_text(HEAD COSTS "bytecode 1\n"), 0);
}
END_TEST

/* Older files do not say how much the calibration was disturbed. */
START_TEST(files_without_quality_load_as_unknown)
{
	struct calibration c;

	ck_assert_int_eq(load_text(HEAD COSTS "bytecode 1\n"), 0);
	ck_assert_int_eq(calibration_load(&c, path), 0);
	ck_assert(!c.quality.known && !c.quality.trusted);
	ck_assert_double_eq(calibration_disturbed(&c.quality), 0);
	ck_assert_int_eq(calibration_save(&c, path), 0); /* saving must not change it */
	ck_assert_int_eq(calibration_load(&c, path), 0);
	ck_assert(!c.quality.known);
}
END_TEST

/* A later version may add lines. */
START_TEST(unknown_lines_are_ignored)
{
	ck_assert_int_eq(load_text(HEAD "colour blue\n\nx\n" COSTS "bytecode 1.5\n"), 0);
}
END_TEST

/*
 * --- paths -------------------------------------------------------------------------------------
 */

START_TEST(paths_are_below_the_configuration_folder)
{
	struct calibration c = sample();
	char *first, *other;

	setenv("XDG_CONFIG_HOME", "/config", 1);
	first = calibration_path(&c.key);
	ck_assert(!strncmp(first, "/config/pyshim/calibration-", 27));
	other = calibration_path(&c.key);
	ck_assert_str_eq(first, other);
	free(other);
	setenv("XDG_CONFIG_HOME", "relative", 1); /* the XDG standard says to ignore it */
	setenv("HOME", "/home/x", 1);
	other = calibration_path(&c.key);
	ck_assert(!strncmp(other, "/home/x/.config/pyshim/calibration-", 35));
	free(other);
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("HOME");
	ck_assert(calibration_path(&c.key) == NULL);
	free(first);
}
END_TEST

/* Moving a character from one part of the key to the next changes the path too. */
START_TEST(each_part_of_the_key_changes_the_path)
{
	struct calibration c[7];
	char *kept[7];

	setenv("XDG_CONFIG_HOME", "/config", 1);
	for (int i = 0; i < 7; i++)
		c[i] = sample();
	c[1].key.python[0]++;
	c[2].key.engine[0]++;
	c[3].key.shim[0]++;
	c[4].key.processor[0]++;
	c[5].key.clock[0]++;
	strcat(c[6].key.python, "m");
	memmove(c[6].key.engine, c[6].key.engine + 1, strlen(c[6].key.engine));
	for (int i = 0; i < 7; i++) {
		kept[i] = calibration_path(&c[i].key);
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(kept[i], kept[k]);
	}
	for (int i = 0; i < 7; i++)
		free(kept[i]);
}
END_TEST

START_TEST(a_single_bias_is_the_overhead_of_all_calls)
{
	struct calibration c;

	calibration_from_bias(&c, 25e-9);
	ck_assert_double_eq_tol(calibration_bias(&c), 25e-9, 1e-18);
	ck_assert_double_eq_tol(c.overhead[0].in_s + c.overhead[0].out_s, 50e-9, 1e-18);
	ck_assert_double_eq_tol(c.overhead[1].in_s + c.overhead[1].out_s, 50e-9, 1e-18);
	ck_assert_double_eq(c.overhead[2].in_s, 0);
	ck_assert_double_eq(c.overhead[3].in_s, 0);
	ck_assert_double_eq(c.bytecode, 1);
}
END_TEST

START_TEST(the_processor_name_is_cut_to_the_buffer)
{
	char name[128] = "", small[4];

	calibration_processor(name, sizeof(name));
	ck_assert_uint_gt(strlen(name), 0);
	ck_assert(!strpbrk(name, "\n"));
	calibration_processor(small, sizeof(small));
	ck_assert_uint_eq(strlen(small), strlen(name) < 3 ? strlen(name) : 3);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("calib");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_saved_calibration_loads_with_equal_values);
	tcase_add_test(t, an_untrusted_calibration_loads_as_untrusted);
	tcase_add_test(t, files_without_quality_load_as_unknown);
	tcase_add_test(t, keys_of_the_longest_texts_load);
	tcase_add_test(t, missing_folders_are_created_private);
	tcase_add_test(t, unusable_paths_are_errors);
	tcase_add_test(t, a_failed_save_keeps_the_old_file);
	tcase_add_test(t, broken_files_are_refused);
	tcase_add_test(t, unknown_lines_are_ignored);
	tcase_add_test(t, paths_are_below_the_configuration_folder);
	tcase_add_test(t, each_part_of_the_key_changes_the_path);
	tcase_add_test(t, a_single_bias_is_the_overhead_of_all_calls);
	tcase_add_test(t, the_processor_name_is_cut_to_the_buffer);
	return run_case("calib", t);
}
