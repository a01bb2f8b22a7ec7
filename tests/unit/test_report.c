/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sort keys and text reports, against literals of what Lib/pstats.py prints for the same dict.
 * Scripts read these columns, so a single blank matters.
 */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/report.h"
#include "profile/profile.h"
#include "profile/sort.h"
#include "tests/run.h"

#define T(s) ((struct text){ s, sizeof(s) - 1 })
#define NONE T("")

typedef int report_fn(FILE *, const struct profile *, const struct report_options *,
		      struct error *);

static void assert_report(report_fn *report, const struct profile *p,
			  const struct report_options *options, const char *want, size_t n_want)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);

	ck_assert_int_eq(report(to, p, options, NULL), 0);
	fclose(to);
	ck_assert_msg(n == n_want && !memcmp(text, want, n), "printed:\n%s\nnot:\n%s", text, want);
	free(text);
}

#define ASSERT_REPORT(report, p, options, literal) \
	assert_report(report, p, options, literal, sizeof(literal) - 1)

static struct report_options sorted_by(const char *key)
{
	struct report_options options = { .select.n_restrictions = 0 };

	ck_assert_ptr_null(sort_keys_parse(&key, 1, &options.select.sort));
	return options;
}

static void add(struct profile *p, struct text file, int64_t line, struct text name,
		struct profile_counts counts)
{
	size_t fn = profile_fn_add(p, file, line, name, NONE);

	profile_counts_add(&p->fn[fn].counts, &counts);
}

/* Sort keys */

#define SELF "internal time"
#define TOTAL "cumulative time"

/* Every key of get_sort_arg_defs() in Python 3.8 to 3.15. */
static const struct {
	const char *key, *title;
} keys_taken[] = {
	{ "calls", "call count" },
	{ "call", "call count" },
	{ "cal", "call count" },
	{ "ca", "call count" },
	{ "ncalls", "call count" },
	{ "ncall", "call count" },
	{ "ncal", "call count" },
	{ "nca", "call count" },
	{ "nc", "call count" },
	{ "cumtime", TOTAL },
	{ "cumtim", TOTAL },
	{ "cumti", TOTAL },
	{ "cumt", TOTAL },
	{ "cu", TOTAL },
	{ "cumulative", TOTAL },
	{ "cumulativ", TOTAL },
	{ "cumulati", TOTAL },
	{ "cumulat", TOTAL },
	{ "cumula", TOTAL },
	{ "cumul", TOTAL },
	{ "cumu", TOTAL },
	{ "filename", "file name" },
	{ "filenam", "file name" },
	{ "filena", "file name" },
	{ "filen", "file name" },
	{ "file", "file name" },
	{ "fil", "file name" },
	{ "fi", "file name" },
	{ "f", "file name" },
	{ "line", "line number" },
	{ "lin", "line number" },
	{ "li", "line number" },
	{ "l", "line number" },
	{ "module", "file name" },
	{ "modul", "file name" },
	{ "modu", "file name" },
	{ "mod", "file name" },
	{ "mo", "file name" },
	{ "m", "file name" },
	{ "name", "function name" },
	{ "nam", "function name" },
	{ "na", "function name" },
	{ "nfl", "name/file/line" },
	{ "nf", "name/file/line" },
	{ "pcalls", "primitive call count" },
	{ "pcall", "primitive call count" },
	{ "pcal", "primitive call count" },
	{ "pca", "primitive call count" },
	{ "pc", "primitive call count" },
	{ "p", "primitive call count" },
	{ "stdname", "standard name" },
	{ "stdnam", "standard name" },
	{ "stdna", "standard name" },
	{ "stdn", "standard name" },
	{ "std", "standard name" },
	{ "st", "standard name" },
	{ "s", "standard name" },
	{ "time", SELF },
	{ "tim", SELF },
	{ "ti", SELF },
	{ "tottime", SELF },
	{ "tottim", SELF },
	{ "totti", SELF },
	{ "tott", SELF },
	{ "tot", SELF },
	{ "to", SELF },
	{ "-1", "standard name" },
	{ "0", "call count" },
	{ "1", SELF },
	{ "2", TOTAL },
};

START_TEST(a_sort_key_may_be_abbreviated)
{
	const char *key = keys_taken[_i].key;
	struct sort_keys keys;

	ck_assert_ptr_null(sort_keys_parse(&key, 1, &keys));
	ck_assert_uint_eq(keys.n_keys, 1);
	ck_assert_str_eq(sort_key_title(&keys, 0), keys_taken[_i].title);
}
END_TEST

#define ALL                                                                                       \
	"expected one of calls, ncalls, cumtime, cumulative, filename, line, module, name, nfl, " \
	"pcalls, stdname, time, tottime; or one of -1, 0, 1, 2 alone"

static const struct {
	const char *key, *error;
} keys_refused[] = {
	{ "c", "sort key: 'c' is ambiguous, expected one of calls, cumtime, cumulative" },
	{ "cum", "sort key: 'cum' is ambiguous, expected one of cumtime, cumulative" },
	{ "n", "sort key: 'n' is ambiguous, expected one of ncalls, name, nfl" },
	{ "t", "sort key: 't' is ambiguous, expected one of time, tottime" },
	{ "", "sort key: '' is unknown, " ALL },
	{ "callss", "sort key: 'callss' is unknown, " ALL },
	{ "Calls", "sort key: 'Calls' is unknown, " ALL },
	{ "3", "sort key: '3' is unknown, " ALL },
	{ "-2", "sort key: '-2' is unknown, " ALL },
	{ "01", "sort key: '01' is unknown, " ALL },
	{ "alls", "sort key: 'alls' is unknown, " ALL },
	{ "a234567890123456789012345678901234567890b",
	  "sort key: 'a234567890123456789012345678901234567890' is unknown, " ALL },
};

START_TEST(unknown_sort_keys_are_refused)
{
	const char *key = keys_refused[_i].key;
	struct sort_keys keys;

	ck_assert_pstr_eq(sort_keys_parse(&key, 1, &keys), keys_refused[_i].error);
}
END_TEST

START_TEST(a_numeric_sort_key_cannot_be_combined)
{
	const char *const before[] = { "1", "time" }, *const after[] = { "time", "1" };
	const char *const twice[] = { "1", "1" }, *const bad[] = { "time", "line", "cum" };
	struct sort_keys keys;

	ck_assert_pstr_eq(sort_keys_parse(before, 2, &keys),
			  "sort key: '1' among other keys, " ALL);
	ck_assert_pstr_eq(sort_keys_parse(after, 2, &keys), "sort key: '1' among other keys, " ALL);
	ck_assert_pstr_eq(sort_keys_parse(twice, 2, &keys), "sort key: '1' among other keys, " ALL);
	ck_assert_pstr_eq(sort_keys_parse(bad, 3, &keys),
			  "sort key: 'cum' is ambiguous, expected one of cumtime, cumulative");
}
END_TEST

START_TEST(at_most_32_sort_keys_are_accepted)
{
	const char *many[SORT_MAX_KEYS + 1];
	struct sort_keys keys;

	for (size_t i = 0; i <= SORT_MAX_KEYS; i++)
		many[i] = i % 2 ? "nfl" : "stdname";
	ck_assert_ptr_null(sort_keys_parse(many, SORT_MAX_KEYS, &keys));
	ck_assert_uint_eq(keys.n_keys, 32);
	ck_assert_pstr_eq(sort_keys_parse(many, SORT_MAX_KEYS + 1, &keys),
			  "sort key: 33 keys, expected at most 32");
	ck_assert_ptr_null(sort_keys_parse(NULL, 0, &keys));
	ck_assert_uint_eq(keys.n_keys, 0);
}
END_TEST

/* Each function is first by some key, and no two keys give the same order by chance. */
static void fill_for_sorting(struct profile *p)
{
	profile_init(p);
	profile_caller_add(p, T("not listed"), 1, T("f"));
	add(p, T("b.py"), 10, T("m"), (struct profile_counts){ 5, 2, 0, 0.5, 3, 0, 0 });     /* A */
	add(p, T("a.py"), 9, T("z"), (struct profile_counts){ 7, 1, 0, 0.5, 2, 0, 0 });	     /* B */
	add(p, T("~"), 0, T("<len>"), (struct profile_counts){ 5, 5, 0, 0.25, 0.25, 0, 0 }); /* C */
	add(p, T("a.py"), 10, T("m"), (struct profile_counts){ 1, 1, 0, 2, 2, 0, 0 });	     /* D */
	add(p, T("b.py"), 9, T("m"), (struct profile_counts){ 1, 1, 0, 0.125, 9, 0, 0 });    /* E */
}

static const struct {
	const char *keys[4];
	const char *order, *reversed;
} orders[] = {
	{ { NULL }, "ABCDE", "ABCDE" },
	{ { "calls" }, "BACDE", "EDCAB" },
	{ { "pcalls" }, "CABDE", "EDBAC" },
	{ { "time" }, "DABCE", "ECBAD" },
	{ { "cumulative" }, "EABDC", "CDBAE" },
	{ { "filename" }, "BDAEC", "CEADB" },
	{ { "line" }, "CBEAD", "DAEBC" },
	{ { "name" }, "CADEB", "BEDAC" },
	{ { "nfl" }, "CDEAB", "BAEDC" },
	{ { "stdname" },
	  "DBAEC",
	  "CEABD" }, /* "a.py:10(m)" < "a.py:9(z)"; only "{" sorts after "~" */
	{ { "-1" }, "DBAEC", "CEABD" },
	{ { "0" }, "BACDE", "EDCAB" },
	{ { "1" }, "DABCE", "ECBAD" },
	{ { "2" }, "EABDC", "CDBAE" },
	{ { "pcalls", "line" }, "CABED", "DEBAC" },
	{ { "line", "pcalls" }, "CBEAD", "DAEBC" },
	{ { "calls", "time" }, "BACDE", "EDCAB" },
	{ { "calls", "cumtime" }, "BACED", "DECAB" },
	{ { "name", "module", "line" }, "CDEAB", "BAEDC" },
	{ { "name", "name", "cumtime" }, "CEADB", "BDAEC" },
};

START_TEST(the_order_equals_that_of_pstats)
{
	size_t order[5], n = 0;
	struct sort_keys keys;
	struct profile p;

	while (orders[_i].keys[n])
		n++;
	ck_assert_ptr_null(sort_keys_parse(orders[_i].keys, n, &keys));
	fill_for_sorting(&p);
	for (int reverse = 0; reverse < 2; reverse++) {
		char got[6] = "";

		ck_assert_int_eq(sort_keys_apply(&p, &keys, reverse, order), 0);
		for (size_t i = 0; i < 5; i++)
			got[i] = (char)('A' + order[i] - 1);
		ck_assert_str_eq(got, reverse ? orders[_i].reversed : orders[_i].order);
	}
	profile_fini(&p);
}
END_TEST

/* 1000 functions in ten groups of one time, in an order that only a stable sort keeps. */
START_TEST(ties_keep_the_listed_order)
{
	const char *key = "time";
	struct sort_keys keys;
	struct profile p;
	size_t order[1000];

	profile_init(&p);
	for (int64_t i = 0; i < 1000; i++)
		add(&p, T("a.py"), 1000 - i, T("f"),
		    (struct profile_counts){ 1, 1, 0, (double)(i * 7 % 10), 0, 0, 0 });
	sort_keys_parse(&key, 1, &keys);
	ck_assert_int_eq(sort_keys_apply(&p, &keys, false, order), 0);
	for (size_t i = 0; i < 1000; i++)
		ck_assert_double_eq(p.fn[order[i]].counts.self_s, 9 - (double)(i / 100));
	for (size_t i = 1; i < 1000; i++)
		if (i % 100)
			ck_assert_uint_gt(order[i], order[i - 1]);
	profile_fini(&p);
}
END_TEST

/* NaN comes from hostile files only. Every function must still be listed once. */
START_TEST(sorting_nan_keeps_every_function)
{
	const char *key = "time";
	bool seen[300] = { false };
	struct sort_keys keys;
	struct profile p;
	size_t order[300];

	profile_init(&p);
	for (int64_t i = 0; i < 300; i++)
		add(&p, T("a.py"), i, T("f"),
		    (struct profile_counts){ 1, 1, 0, i % 3 ? (double)(i * 37 % 300) : (double)NAN,
					     0, 0, 0 });
	sort_keys_parse(&key, 1, &keys);
	ck_assert_int_eq(sort_keys_apply(&p, &keys, false, order), 0);
	for (size_t i = 0; i < 300; i++) {
		ck_assert(!seen[order[i]]);
		seen[order[i]] = true;
	}
	profile_fini(&p);
}
END_TEST

/* print_stats */

#define TITLE "   ncalls  tottime  percall  cumtime  percall filename:lineno(function)\n"

START_TEST(an_empty_profile_prints_no_table)
{
	struct report_options options = sorted_by("time");
	struct profile p;

	profile_init(&p);
	ASSERT_REPORT(report_print, &p, &options, "         0 function calls in 0.000 seconds\n\n");
	ASSERT_REPORT(report_callers, &p, &options, "");
	ASSERT_REPORT(report_callees, &p, &options, "");
}
END_TEST

/*
 * /x/b.py:10(<module>) calls a.py:1(f), which calls itself and len. b.py:2(g) is still in its first
 * call. The caller of <module> has no entry.
 */
static void fill_for_printing(struct profile *p)
{
	profile_init(p);
	add(p, T("a.py"), 1, T("f"), (struct profile_counts){ 3, 1, 0, 0.5, 2, 0, 0 });
	add(p, T("~"), 0, T("<built-in method builtins.len>"),
	    (struct profile_counts){ 10, 10, 0, 0.25, 0.25, 0, 0 });
	add(p, T("/x/b.py"), 10, T("<module>"), (struct profile_counts){ 1, 1, 0, 1, 3, 0, 0 });
	add(p, T("b.py"), 2, T("g"), (struct profile_counts){ 0, 0, 0, 0.125, 0.125, 0, 0 });
	profile_caller_add(p, T("~"), 0, T("<built-in method builtins.exec>"));
	profile_edge_add(p, 0, 0, &(struct profile_counts){ 2, 0, 0, 0.25, 0, 0, 0 });
	profile_edge_add(p, 2, 0, &(struct profile_counts){ 1, 1, 0, 0.25, 2, 0, 0 });
	profile_edge_add(p, 0, 1, &(struct profile_counts){ 10, 10, 0, 0.25, 0.25, 0, 0 });
	profile_edge_add(p, 4, 2, &(struct profile_counts){ 1, 1, 0, 1, 3, 0, 0 });
}

#define SUMS "         14 function calls (12 primitive calls) in 1.875 seconds\n\n"
#define ROW_F "      3/1    0.500    0.167    2.000    2.000 a.py:1(f)\n"
#define ROW_LEN "       10    0.250    0.025    0.250    0.025 {built-in method builtins.len}\n"
#define ROW_MODULE "        1    1.000    1.000    3.000    3.000 /x/b.py:10(<module>)\n"
#define ROW_G "        0    0.125             0.125          b.py:2(g)\n"

START_TEST(the_table_equals_that_of_pstats)
{
	struct report_options options = sorted_by("stdname");
	struct profile p;

	fill_for_printing(&p);
	ASSERT_REPORT(report_print, &p, &options,
		      SUMS "   Ordered by: standard name\n\n" TITLE ROW_MODULE ROW_F ROW_G ROW_LEN
			   "\n\n");
	options.select.reverse = true;
	ASSERT_REPORT(report_print, &p, &options,
		      SUMS "   Ordered by: standard name\n\n" TITLE ROW_LEN ROW_G ROW_F ROW_MODULE
			   "\n\n");
	profile_fini(&p);
}
END_TEST

START_TEST(without_keys_the_order_is_called_random)
{
	struct report_options options = { .select.reverse = true };
	struct profile p;

	fill_for_printing(&p);
	ASSERT_REPORT(report_print, &p, &options,
		      SUMS
		      "   Random listing order was used\n\n" TITLE ROW_F ROW_LEN ROW_MODULE ROW_G
		      "\n\n");
	profile_fini(&p);
}
END_TEST

START_TEST(all_sort_keys_are_printed)
{
	const char *const keys[] = { "cumu", "nfl", "cumt" };
	struct report_options options = { .select.reverse = false };
	struct profile p;

	ck_assert_ptr_null(sort_keys_parse(keys, 3, &options.select.sort));
	fill_for_printing(&p);
	ASSERT_REPORT(report_print, &p, &options,
		      SUMS
		      "   Ordered by: cumulative time, name/file/line, cumulative time\n\n" TITLE
			      ROW_MODULE ROW_F ROW_LEN ROW_G "\n\n");
	profile_fini(&p);
}
END_TEST

START_TEST(primitive_calls_are_printed_if_different)
{
	struct report_options options = sorted_by("calls");
	struct profile_counts total = { 8, 8, 0, 1234.56789, 0, 0, 0 };
	struct profile p;

	profile_init(&p);
	add(&p, T("a"), 1, T("f"),
	    (struct profile_counts){ UINT64_MAX, 1234567890, 0, 12345.6785, 1e10, 0, 0 });
	ASSERT_REPORT(
		report_print, &p, &options,
		"         18446744073709551615 function calls (1234567890 primitive calls) in "
		"12345.678 seconds\n\n"
		"   Ordered by: call count\n\n" TITLE
		"18446744073709551615/1234567890 12345.678    0.000 10000000000.000    8.100 "
		"a:1(f)\n\n\n");
	options.total = &total;
	options.select.restriction = &(struct restriction){ .kind = RESTRICT_COUNT, .count = 0 };
	options.select.n_restrictions = 1;
	ASSERT_REPORT(report_print, &p, &options,
		      "         8 function calls in 1234.568 seconds\n\n");
	profile_fini(&p);
}
END_TEST

START_TEST(nan_is_printed_without_a_sign)
{
	struct report_options options = { .select.reverse = false };
	struct profile p;

	profile_init(&p);
	add(&p, T("a"), 1, T("f"),
	    (struct profile_counts){ 1, 1, 0, -(double)NAN, -(double)INFINITY, 0, 0 });
	ASSERT_REPORT(report_print, &p, &options,
		      "         1 function calls in nan seconds\n\n"
		      "   Random listing order was used\n\n" TITLE
		      "        1      nan      nan     -inf     -inf a:1(f)\n\n\n");
	profile_fini(&p);
}
END_TEST

START_TEST(odd_names_are_printed_unchanged)
{
	struct report_options options = { .select.reverse = false };
	struct profile p;

	profile_init(&p);
	add(&p, T("a\nb"), -1, T("n\0l\r"), (struct profile_counts){ .n_calls = 0 });
	add(&p, T("\xed\x9f\xbf\xee\x80\x80"), 1, T("\xed\xa0\x80\xed\xbf\xbf"),
	    (struct profile_counts){ .n_calls = 0 });
	add(&p, T("\xed\xb2\x80\xc3\xa9"), 1, T("\xed\xb3\xbf"),
	    (struct profile_counts){ .n_calls = 0 });
	ASSERT_REPORT(report_print, &p, &options,
		      "         0 function calls in 0.000 seconds\n\n"
		      "   Random listing order was used\n\n" TITLE
		      "        0    0.000             0.000          a\nb:-1(n\0l\r)\n"
		      "        0    0.000             0.000          "
		      "\xed\x9f\xbf\xee\x80\x80:1(\\ud800\\udfff)\n"
		      "        0    0.000             0.000          \\udc80\xc3\xa9:1(\\udcff)\n"
		      "\n\n");
	profile_fini(&p);
}
END_TEST

START_TEST(jprofile_entries_print_their_callees)
{
	struct report_options options = { .select.n_restrictions = 0 };
	struct profile p;

	profile_init(&p);
	add(&p, T("a"), 1, T("f"), (struct profile_counts){ .n_calls = 0 });
	add(&p, T("a"), 2, T("g"), (struct profile_counts){ .n_calls = 0 });
	profile_caller_add(&p, T("jprofile"), 0, T("profiler"));
	profile_edge_add_calls(&p, 1, 0, 1);
	profile_edge_add_calls(&p, 2, 0, 1);
	profile_edge_add_calls(&p, 0, 1, 1);
	ASSERT_REPORT(report_print, &p, &options,
		      "         f\n"
		      "         0 function calls in 0.000 seconds\n\n"
		      "   Random listing order was used\n\n" TITLE
		      "        0    0.000             0.000          a:1(f)\n"
		      "        0    0.000             0.000          a:2(g)\n\n\n");
	profile_fini(&p);
}
END_TEST

/* Restrictions */

static const struct {
	const char *restriction[3];
	size_t left; /* of 20 functions */
	const char *heading;
} restrictions[] = {
	{ { "3" }, 3, "   List reduced from 20 to 3 due to restriction <3>\n" },
	{ { "0" }, 0, "" },
	{ { "19" }, 19, "   List reduced from 20 to 19 due to restriction <19>\n" },
	{ { "20" }, 20, "" },
	{ { "21" }, 20, "" },
	{ { "99999999999999999999" }, 20, "" },
	{ { "-1" }, 20, "" },
	{ { "-99999999999999999999" }, 20, "" },
	{ { "+2" }, 2, "   List reduced from 20 to 2 due to restriction <2>\n" },
	{ { "0.5" }, 10, "   List reduced from 20 to 10 due to restriction <0.5>\n" },
	{ { ".1" }, 2, "   List reduced from 20 to 2 due to restriction <0.1>\n" },
	{ { "0.124" }, 2, "   List reduced from 20 to 2 due to restriction <0.124>\n" },
	{ { "0.125" }, 3, "   List reduced from 20 to 3 due to restriction <0.125>\n" },
	{ { "0.974" }, 19, "   List reduced from 20 to 19 due to restriction <0.974>\n" },
	{ { "0.975" }, 20, "" },
	{ { "0.0" }, 0, "" },
	{ { "1.0" }, 20, "" },
	{ { "1e0" }, 20, "" },
	{ { "1.5" }, 20, "" },
	{ { "-0.5" }, 20, "" },
	{ { "-0.01" }, 20, "" },
	{ { "inf" }, 20, "" },
	{ { "010" }, 10, "   List reduced from 20 to 10 due to restriction <10>\n" },
	{ { "nan" }, 20, "" },
	{ { "1e-1" }, 2, "   List reduced from 20 to 2 due to restriction <0.1>\n" },
	{ { "0.30000000000000004" },
	  6,
	  "   List reduced from 20 to 6 due to restriction <0.30000000000000004>\n" },
	{ { "10", "0.5", "3" },
	  3,
	  "   List reduced from 20 to 10 due to restriction <10>\n"
	  "   List reduced from 10 to 5 due to restriction <0.5>\n"
	  "   List reduced from 5 to 3 due to restriction <3>\n" },
	{ { "3", "10", "2" },
	  2,
	  "   List reduced from 20 to 3 due to restriction <3>\n"
	  "   List reduced from 3 to 2 due to restriction <2>\n" },
	{ { "3", "0.0", "2" }, 0, "" },
};

START_TEST(restrictions_apply_in_turn)
{
	struct restriction restriction[3];
	struct report_options options = { .select.restriction = restriction };
	char *want = NULL;
	size_t n_want = 0;
	FILE *to = open_memstream(&want, &n_want);
	struct profile p;

	profile_init(&p);
	for (int64_t i = 0; i < 20; i++)
		add(&p, T("a"), i, T("f"), (struct profile_counts){ .n_calls = 0 });
	for (size_t i = 0; i < 3 && restrictions[_i].restriction[i]; i++)
		restriction_parse(restrictions[_i].restriction[i],
				  &restriction[options.select.n_restrictions++]);
	fputs("         0 function calls in 0.000 seconds\n\n", to);
	if (restrictions[_i].left)
		fprintf(to, "   Random listing order was used\n%s\n" TITLE,
			restrictions[_i].heading);
	for (size_t i = 0; i < restrictions[_i].left; i++)
		fprintf(to, "        0    0.000             0.000          a:%zu(f)\n", i);
	if (restrictions[_i].left)
		fputs("\n\n", to);
	fclose(to);
	assert_report(report_print, &p, &options, want, n_want);
	free(want);
	profile_fini(&p);
}
END_TEST

/* Fractions as Python's repr() prints them. Each is large enough to leave a function to print. */
static const struct {
	double fraction;
	const char *repr;
} fractions[] = {
	{ 1e-4, "0.0001" },
	{ 1e-5, "1e-05" },
	{ 1.5e-5, "1.5e-05" },
	{ 0.99, "0.99" },
	{ 1.0 / 3, "0.3333333333333333" },
	{ 2.0 / 3, "0.6666666666666666" },
	{ 0.1 + 0.2, "0.30000000000000004" },
};

START_TEST(a_fraction_is_printed_as_python_does)
{
	const struct restriction fraction[] = {
		{ .kind = RESTRICT_FRACTION, .fraction = fractions[_i].fraction },
	};
	struct report_options options = { .select.restriction = fraction,
					  .select.n_restrictions = 1 };
	char *text = NULL, want[80];
	size_t n = 0, n_fns = 100001;
	FILE *to = open_memstream(&text, &n);
	struct profile p;

	profile_init(&p);
	for (size_t i = 0; i < n_fns; i++)
		add(&p, T("a"), (int64_t)i, T("f"), (struct profile_counts){ .n_calls = 0 });
	ck_assert_int_eq(report_print(to, &p, &options, NULL), 0);
	fclose(to);
	snprintf(want, sizeof(want), "due to restriction <%s>\n", fractions[_i].repr);
	ck_assert_ptr_nonnull(strstr(text, want));
	free(text);
	profile_fini(&p);
}
END_TEST

static const struct {
	const char *text;
	enum restriction_kind kind;
} kinds[] = {
	{ "10", RESTRICT_COUNT },      { "-10", RESTRICT_COUNT },      { "0", RESTRICT_COUNT },
	{ "0.5", RESTRICT_FRACTION },  { ".5", RESTRICT_FRACTION },    { "1.", RESTRICT_FRACTION },
	{ "1e-3", RESTRICT_FRACTION }, { "", RESTRICT_PATTERN },       { "0x10", RESTRICT_PATTERN },
	{ "10a", RESTRICT_PATTERN },   { "nan(1)", RESTRICT_PATTERN }, { "json", RESTRICT_PATTERN },
	{ ".*", RESTRICT_PATTERN },    { "0.5.", RESTRICT_PATTERN },
};

START_TEST(a_restriction_that_parses_as_a_number_is_one)
{
	struct restriction r;

	restriction_parse(kinds[_i].text, &r);
	ck_assert_int_eq(r.kind, kinds[_i].kind);
	if (r.kind == RESTRICT_PATTERN) {
		ck_assert_ptr_eq(r.pattern.bytes, kinds[_i].text);
		ck_assert_uint_eq(r.pattern.n, strlen(kinds[_i].text));
	}
}
END_TEST

START_TEST(invalid_patterns_are_refused_before_printing)
{
	struct restriction restriction[2];
	struct report_options options = { .select.restriction = restriction,
					  .select.n_restrictions = 2 };
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	struct profile p;

	restriction_parse("1", &restriction[0]);
	restriction_parse("\\N{DIGIT ONE}", &restriction[1]);
	fill_for_printing(&p);
	ck_assert_int_eq(report_print(to, &p, &options, NULL), -ENOTSUP);
	ck_assert_int_eq(report_callers(to, &p, &options, NULL), -ENOTSUP);
	fclose(to);
	ck_assert_uint_eq(n, 0);
	free(text);
	profile_fini(&p);
}
END_TEST

/* print_callers and print_callees; each source line is one printed line, within 100 columns */
/* clang-format off */

#define BLANKS_30 "                              "

/* The width is that of the widest listed label, {built-in method builtins.len}, plus 2. */
START_TEST(the_list_of_callers_equals_that_of_pstats)
{
	struct report_options options = sorted_by("stdname");
	struct profile p;

	fill_for_printing(&p);
	ASSERT_REPORT(report_callers, &p, &options,
		"   Ordered by: standard name\n\n"
		"Function                        was called by...\n"
		BLANKS_30 "      ncalls  tottime  cumtime\n"
		"/x/b.py:10(<module>)            <-       1    1.000    3.000  "
		"{built-in method builtins.exec}\n"
		"a.py:1(f)                       <-       1    0.250    2.000  "
		"/x/b.py:10(<module>)\n"
		BLANKS_30 "         2/0    0.250    0.000  a.py:1(f)\n"
		"b.py:2(g)                       <- \n"
		"{built-in method builtins.len}  <-      10    0.250    0.250  a.py:1(f)\n"
		"\n\n");
	profile_fini(&p);
}
END_TEST

START_TEST(the_list_of_callees_equals_that_of_pstats)
{
	struct report_options options = sorted_by("stdname");
	struct profile p;

	fill_for_printing(&p);
	ASSERT_REPORT(report_callees, &p, &options,
		"   Ordered by: standard name\n\n"
		"Function                        called...\n"
		BLANKS_30 "      ncalls  tottime  cumtime\n"
		"/x/b.py:10(<module>)            ->       1    0.250    2.000  a.py:1(f)\n"
		"a.py:1(f)                       ->     2/0    0.250    0.000  a.py:1(f)\n"
		BLANKS_30 "          10    0.250    0.250  {built-in method builtins.len}\n"
		"b.py:2(g)                       -> \n"
		"{built-in method builtins.len}  -> \n"
		"\n\n");
	profile_fini(&p);
}
END_TEST

/* clang-format on */

START_TEST(a_restricted_list_is_as_wide_as_its_longest_label)
{
	struct restriction two = { .kind = RESTRICT_COUNT, .count = 2 };
	struct report_options options = sorted_by("time");
	struct profile p;

	options.select.restriction = &two;
	options.select.n_restrictions = 1;
	fill_for_printing(&p);
	ASSERT_REPORT(report_callees, &p, &options,
		      "   Ordered by: internal time\n"
		      "   List reduced from 4 to 2 due to restriction <2>\n\n"
		      "Function              called...\n"
		      "                          ncalls  tottime  cumtime\n"
		      "/x/b.py:10(<module>)  ->       1    0.250    2.000  a.py:1(f)\n"
		      "a.py:1(f)             ->     2/0    0.250    0.000  a.py:1(f)\n"
		      "                              10    0.250    0.250  "
		      "{built-in method builtins.len}\n"
		      "\n\n");
	profile_fini(&p);
}
END_TEST

/* profile.py's form: name(calls), and the cumulative time of the named function. */
START_TEST(callers_without_times_print_their_calls)
{
	struct report_options options = sorted_by("line");
	struct profile p;

	profile_init(&p);
	add(&p, T("a.py"), 1, T("f"), (struct profile_counts){ 3, 3, 0, 0.5, 2, 0, 0 });
	add(&p, T("a.py"), 2, T("g"), (struct profile_counts){ 4, 4, 0, 0.25, 1, 0, 0 });
	profile_edge_add_calls(&p, 1, 1, 1);
	profile_edge_add_calls(&p, 0, 1, 3);
	ASSERT_REPORT(report_callers, &p, &options,
		      "   Ordered by: line number\n\n"
		      "Function   was called by...\n"
		      "a.py:1(f)  <- \n"
		      "a.py:2(g)  <- a.py:1(f)(3)    2.000\n"
		      "              a.py:2(g)(1)    1.000\n"
		      "\n\n");
	ASSERT_REPORT(report_callees, &p, &options,
		      "   Ordered by: line number\n\n"
		      "Function   called...\n"
		      "a.py:1(f)  -> a.py:2(g)(3)    1.000\n"
		      "a.py:2(g)  -> a.py:2(g)(1)    1.000\n"
		      "\n\n");
	profile_fini(&p);
}
END_TEST

/* Columns count characters. The heading "Function " needs 9, even if the names are shorter. */
START_TEST(widths_are_counted_in_code_points)
{
	struct report_options options = sorted_by("name");
	struct profile p;

	profile_init(&p);
	add(&p, T("~"), 0, T("\xc3\xa9\xf0\x90\x80\x80"), (struct profile_counts){ .n_calls = 0 });
	add(&p, T("~"), 0, T("\xed\xb2\x80"), (struct profile_counts){ .n_calls = 0 });
	profile_edge_add(&p, 1, 0, &(struct profile_counts){ 1, 1, 0, 0, 0, 0, 0 });
	ASSERT_REPORT(report_callers, &p, &options,
		      "   Ordered by: function name\n\n"
		      "Function was called by...\n"
		      "        ncalls  tottime  cumtime\n"
		      "\xc3\xa9\xf0\x90\x80\x80  <-       1    0.000    0.000  \\udc80\n"
		      "\\udc80   <- \n"
		      "\n\n");
	profile_fini(&p);
}
END_TEST

START_TEST(callers_are_sorted_by_key)
{
	struct report_options options = { .select.n_restrictions = 0 };
	struct profile_counts once = { 1, 1, 0, 0, 0, 0, 0 };
	struct profile p;

	profile_init(&p);
	add(&p, T("a"), 1, T("g"), once);
	add(&p, T("a"), 0, T("f"), once);
	profile_caller_add(&p, T("b"), 9, T("z"));
	profile_caller_add(&p, T("b"), 10, T("a"));
	profile_caller_add(&p, T("b"), 9, T("y"));
	profile_caller_add(&p, T("a"), 99, T("a"));
	for (size_t caller = 2; caller < 6; caller++)
		profile_edge_add(&p, caller, 1, &once);
	ASSERT_REPORT(report_callers, &p, &options,
		      "   Random listing order was used\n\n"
		      "Function was called by...\n"
		      "            ncalls  tottime  cumtime\n"
		      "a:1(g)  <- \n"
		      "a:0(f)  <-       1    0.000    0.000  a:99(a)\n"
		      "                 1    0.000    0.000  b:9(y)\n"
		      "                 1    0.000    0.000  b:9(z)\n"
		      "                 1    0.000    0.000  b:10(a)\n"
		      "\n\n");
	profile_fini(&p);
}
END_TEST

START_TEST(a_full_disk_is_reported)
{
	struct report_options options = sorted_by("time");
	report_fn *const report[] = { report_print, report_callers, report_callees };
	struct profile p;

	profile_init(&p);
	add(&p, T("a"), 0, T("f"), (struct profile_counts){ .n_calls = 0 });
	for (int64_t n = 0; n < 2; n++) {
		for (size_t i = 0; i < 3; i++) {
			FILE *to = fopen("/dev/full", "w");

			ck_assert_ptr_nonnull(to);
			ck_assert_int_eq(report[i](to, &p, &options, NULL), -ENOSPC);
			fclose(to);
		}
		for (int64_t i = 0; i < 10000; i++)
			add(&p, T("b"), i, T("f"), (struct profile_counts){ .n_calls = 0 });
	}
	profile_fini(&p);
}
END_TEST

/* Labels as printed */

static void add_qualified(struct profile *p, struct text file, struct text name,
			  struct text qualname)
{
	size_t fn = profile_fn_add(p, file, 0, name, qualname);

	p->fn[fn].counts.n_calls = p->fn[fn].counts.n_primitive = 1;
}

#define ROW "        1    0.000    0.000    0.000    0.000 "
#define ABOVE(n)                                                         \
	"         " n " function calls in 0.000 seconds\n\n"             \
	"   Random listing order was used\n\n"                           \
	"   ncalls  tottime  percall  cumtime  percall filename:lineno(" \
	"function)\n"

/* Rows with the same label show qualified names. Other rows show them on request only. */
START_TEST(equal_labels_show_qualified_names)
{
	struct report_options options = { .select.n_restrictions = 0 };
	struct profile p;

	profile_init(&p);
	add_qualified(&p, T("~"), T("<f>"), T("A.f"));
	add_qualified(&p, T("~"), T("{f}"), T("B.f"));
	add_qualified(&p, T("g.py"), T("f"), T("C.f"));
	ASSERT_REPORT(report_print, &p, &options,
		      ABOVE("3") ROW "A.f\n" ROW "B.f\n" ROW "g.py:0(f)\n\n\n");
	options.select.qualnames = true;
	ASSERT_REPORT(report_print, &p, &options,
		      ABOVE("3") ROW "A.f\n" ROW "B.f\n" ROW "g.py:0(C.f)\n\n\n");
	profile_fini(&p);
}
END_TEST

START_TEST(equal_labels_and_qualified_names_stay_equal)
{
	struct report_options options = { .select.n_restrictions = 0 };
	struct profile p;

	profile_init(&p);
	add_qualified(&p, T("~"), T("<f>"), NONE);
	add_qualified(&p, T("~"), T("{f}"), NONE);
	ASSERT_REPORT(report_print, &p, &options, ABOVE("2") ROW "{f}\n" ROW "{f}\n\n\n");
	profile_fini(&p);
}
END_TEST

/* f and f#2 are two code objects of one name. The second keeps its number. */
START_TEST(a_qualified_name_keeps_its_number)
{
	struct report_options options = { .select.qualnames = true };
	struct profile p;

	profile_init(&p);
	add_qualified(&p, T("g.py"), T("f"), T("A.f"));
	add_qualified(&p, T("g.py"), T("f#2"), T("A.f"));
	add_qualified(&p, T("h.py"), T("f#2"), T("A.f#2"));
	ASSERT_REPORT(report_print, &p, &options,
		      ABOVE("3") ROW "g.py:0(A.f)\n" ROW "g.py:0(A.f#2)\n" ROW
				     "h.py:0(A.f#2)\n\n\n");
	profile_fini(&p);
}
END_TEST

START_TEST(a_terminal_gets_no_control_characters)
{
	struct report_options options = { .select.escape = true };
	struct profile p;

	profile_init(&p);
	add_qualified(&p, T("a\n\t\r"), T("\0\x1b[m\x7f\xc2\x9b\xc3\xa9\\"), NONE);
	ASSERT_REPORT(report_print, &p, &options,
		      ABOVE("1") ROW "a\\n\\t\\r:0(\\x00\\x1b[m\\x7f\\x9b\xc3\xa9\\)\n\n\n");
	options.select.escape = false;
	ASSERT_REPORT(report_print, &p, &options,
		      ABOVE("1") ROW "a\n\t\r:0(\0\x1b[m\x7f\xc2\x9b\xc3\xa9\\)\n\n\n");
	profile_fini(&p);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	TCase *tcase = tcase_create("report");

	tcase_add_loop_test(tcase, a_sort_key_may_be_abbreviated, 0, COUNT(keys_taken));
	tcase_add_loop_test(tcase, unknown_sort_keys_are_refused, 0, COUNT(keys_refused));
	tcase_add_test(tcase, a_numeric_sort_key_cannot_be_combined);
	tcase_add_test(tcase, at_most_32_sort_keys_are_accepted);
	tcase_add_loop_test(tcase, the_order_equals_that_of_pstats, 0, COUNT(orders));
	tcase_add_test(tcase, ties_keep_the_listed_order);
	tcase_add_test(tcase, sorting_nan_keeps_every_function);
	tcase_add_test(tcase, an_empty_profile_prints_no_table);
	tcase_add_test(tcase, the_table_equals_that_of_pstats);
	tcase_add_test(tcase, without_keys_the_order_is_called_random);
	tcase_add_test(tcase, all_sort_keys_are_printed);
	tcase_add_test(tcase, primitive_calls_are_printed_if_different);
	tcase_add_test(tcase, nan_is_printed_without_a_sign);
	tcase_add_test(tcase, odd_names_are_printed_unchanged);
	tcase_add_test(tcase, jprofile_entries_print_their_callees);
	tcase_add_loop_test(tcase, restrictions_apply_in_turn, 0, COUNT(restrictions));
	tcase_add_loop_test(tcase, a_fraction_is_printed_as_python_does, 0, COUNT(fractions));
	tcase_add_loop_test(tcase, a_restriction_that_parses_as_a_number_is_one, 0, COUNT(kinds));
	tcase_add_test(tcase, invalid_patterns_are_refused_before_printing);
	tcase_add_test(tcase, the_list_of_callers_equals_that_of_pstats);
	tcase_add_test(tcase, the_list_of_callees_equals_that_of_pstats);
	tcase_add_test(tcase, a_restricted_list_is_as_wide_as_its_longest_label);
	tcase_add_test(tcase, callers_without_times_print_their_calls);
	tcase_add_test(tcase, widths_are_counted_in_code_points);
	tcase_add_test(tcase, callers_are_sorted_by_key);
	tcase_add_test(tcase, a_full_disk_is_reported);
	tcase_add_test(tcase, equal_labels_show_qualified_names);
	tcase_add_test(tcase, equal_labels_and_qualified_names_stay_equal);
	tcase_add_test(tcase, a_qualified_name_keeps_its_number);
	tcase_add_test(tcase, a_terminal_gets_no_control_characters);
	return run_case("report", tcase);
}
