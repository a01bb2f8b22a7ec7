/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of functions and edges: keys, order, sums, and odd texts. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "profile/profile.h"
#include "tests/run.h"

#define T(s) ((struct text){ s, sizeof(s) - 1 })
#define NONE T("")

static void assert_text(struct text t, struct text want)
{
	ck_assert_uint_eq(t.n, want.n);
	ck_assert(!memcmp(t.bytes, want.bytes, want.n));
}

static size_t numbered(struct profile *p, int64_t line)
{
	return profile_fn_add(p, T("a.py"), line, T("f"), NONE);
}

START_TEST(a_key_is_file_line_and_name)
{
	struct profile p;

	profile_init(&p);
	ck_assert_uint_eq(profile_fn_add(&p, T("ab"), 1, T("c"), NONE), 0);
	ck_assert_uint_eq(profile_fn_add(&p, T("a"), 1, T("bc"), NONE), 1);
	ck_assert_uint_eq(profile_fn_add(&p, T("ab"), 2, T("c"), NONE), 2);
	ck_assert_uint_eq(profile_fn_add(&p, T("ab"), -1, T("c"), NONE), 3);
	ck_assert_uint_eq(profile_fn_add(&p, T("ab"), 1, T("c\0"), NONE), 4);
	ck_assert_uint_eq(profile_fn_add(&p, (struct text){ NULL, 0 }, 1, NONE, NONE), 5);
	ck_assert_uint_eq(profile_fn_add(&p, T("ab"), 1, T("c"), T("other")), 0);
	ck_assert_uint_eq(profile_fn_add(&p, NONE, 1, (struct text){ NULL, 0 }, NONE), 5);
	ck_assert_uint_eq(p.n_fns, 6);
	ck_assert_uint_eq(p.n_listed, 6);
	profile_fini(&p);
}
END_TEST

START_TEST(texts_are_copied_whole)
{
	char file[] = "dir/a\nb.py", name[] = "n\0l", qualname[] = "C.n\0l";
	struct profile p;

	profile_init(&p);
	profile_fn_add(&p, T(file), 7, T(name), T(qualname));
	file[0] = name[0] = qualname[0] = '!';
	assert_text(p.fn[0].file, T("dir/a\nb.py"));
	assert_text(p.fn[0].name, T("n\0l"));
	assert_text(p.fn[0].qualname, T("C.n\0l"));
	ck_assert_int_eq(p.fn[0].line, 7);
	profile_fini(&p);
}
END_TEST

START_TEST(the_first_qualified_name_is_kept)
{
	struct profile p;

	profile_init(&p);
	profile_fn_add(&p, T("a"), 1, T("f"), NONE);
	profile_fn_add(&p, T("a"), 1, T("f"), T("C.f"));
	profile_fn_add(&p, T("a"), 1, T("f"), T("D.f"));
	profile_fn_add(&p, T("a"), 1, T("f"), NONE);
	ck_assert_uint_eq(p.n_fns, 1);
	assert_text(p.fn[0].qualname, T("C.f"));
	assert_text(p.fn[0].file, T("a"));
	assert_text(p.fn[0].name, T("f"));
	profile_fini(&p);
}
END_TEST

START_TEST(finding_does_not_add)
{
	struct profile p;

	profile_init(&p);
	ck_assert_uint_eq(profile_find(&p, T("a.py"), 1, T("f")), SIZE_MAX);
	numbered(&p, 5);
	numbered(&p, 6);
	ck_assert_uint_eq(profile_find(&p, T("a.py"), 6, T("f")), 1);
	ck_assert_uint_eq(profile_find(&p, T("a.py"), 7, T("f")), SIZE_MAX);
	ck_assert_uint_eq(p.n_fns, 2);
	profile_fini(&p);
}
END_TEST

START_TEST(many_functions_keep_their_indices)
{
	struct profile p;

	profile_init(&p);
	for (size_t i = 0; i < 100000; i++)
		ck_assert_uint_eq(numbered(&p, (int64_t)i * 64), i);
	for (size_t i = 0; i < 100000; i++)
		ck_assert_uint_eq(numbered(&p, (int64_t)i * 64), i);
	ck_assert_uint_eq(p.n_fns, 100000);
	profile_fini(&p);
}
END_TEST

START_TEST(counts_add_up_in_every_field)
{
	struct profile_counts a = { 1, 2, 3, 0.5, 0.25, 0, 0 };
	struct profile_counts b = { 10, 20, 30, 4, 8, 0, 0 };

	profile_counts_add(&a, &b);
	ck_assert_uint_eq(a.n_calls, 11);
	ck_assert_uint_eq(a.n_primitive, 22);
	ck_assert_uint_eq(a.n_exceptions, 33);
	ck_assert_double_eq(a.self_s, 4.5);
	ck_assert_double_eq(a.total_s, 8.25);
}
END_TEST

START_TEST(an_edge_belongs_to_its_callee)
{
	struct profile_counts once = { 1, 1, 0, 0.5, 2, 0, 0 };
	struct profile p;

	profile_init(&p);
	numbered(&p, 1);
	numbered(&p, 2);
	ck_assert_int_eq(profile_edge_add(&p, 0, 1, &once), 0);
	ck_assert_int_eq(profile_edge_add(&p, 1, 0, &once), 0);
	ck_assert_int_eq(profile_edge_add(&p, 1, 1, &once), 0);
	ck_assert_int_eq(profile_edge_add(&p, 0, 1, &once), 0);
	ck_assert_uint_eq(p.n_edges, 3);
	ck_assert_uint_eq(p.fn[0].n_callers, 1);
	ck_assert_uint_eq(p.fn[0].caller[0].caller, 1);
	ck_assert_uint_eq(p.fn[1].n_callers, 2);
	ck_assert_uint_eq(p.fn[1].caller[0].caller, 0);
	ck_assert_uint_eq(p.fn[1].caller[0].counts.n_calls, 2);
	ck_assert_double_eq(p.fn[1].caller[0].counts.total_s, 4);
	ck_assert(!p.fn[1].caller[0].only_calls);
	ck_assert_uint_eq(p.fn[1].caller[1].caller, 1);
	ck_assert_uint_eq(p.fn[1].counts.n_calls, 0);
	ck_assert_int_eq(profile_edge_add(&p, 2, 0, &once), -EINVAL);
	ck_assert_int_eq(profile_edge_add(&p, 0, 2, &once), -EINVAL);
	profile_fini(&p);
}
END_TEST

START_TEST(an_edge_may_have_calls_without_times)
{
	struct profile p;

	profile_init(&p);
	numbered(&p, 1);
	ck_assert_int_eq(profile_edge_add_calls(&p, 0, 0, 3), 0);
	ck_assert_int_eq(profile_edge_add_calls(&p, 0, 0, 1), 0);
	ck_assert_int_eq(
		profile_edge_add(&p, 0, 0, &(struct profile_counts){ 3, 3, 0, 1, 1, 0, 0 }), 0);
	ck_assert_uint_eq(p.fn[0].n_callers, 1);
	ck_assert(p.fn[0].caller[0].only_calls);
	ck_assert_uint_eq(p.fn[0].caller[0].counts.n_calls, 7);
	ck_assert_uint_eq(p.fn[0].caller[0].counts.n_primitive, 7);
	ck_assert_int_eq(profile_edge_add_calls(&p, 1, 0, 3), -EINVAL);
	profile_fini(&p);
}
END_TEST

/* A linear search would exceed Check's time limit here. */
START_TEST(a_function_may_have_100000_callers)
{
	struct profile_counts once = { .n_calls = 1 };
	struct profile p;

	profile_init(&p);
	for (int64_t i = 0; i < 100000; i++)
		numbered(&p, i);
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < p.n_fns; i++)
			ck_assert_int_eq(profile_edge_add(&p, i, 50, &once), 0);
	ck_assert_uint_eq(p.fn[50].n_callers, 100000);
	ck_assert_uint_eq(p.n_edges, 100000);
	for (size_t i = 0; i < p.n_fns; i++) {
		ck_assert_uint_eq(p.fn[50].caller[i].caller, i);
		ck_assert_uint_eq(p.fn[50].caller[i].counts.n_calls, 3);
	}
	profile_fini(&p);
}
END_TEST

/* Callee k has the callers 0 to k, so a slot remembered for one callee is wrong for most others. */
START_TEST(callees_may_have_the_same_callers)
{
	struct profile_counts once = { .n_calls = 1 };
	struct profile p;

	profile_init(&p);
	for (int64_t i = 0; i < 300; i++)
		numbered(&p, i);
	for (size_t round = 0; round < 2; round++)
		for (size_t callee = 300; callee-- > 0;)
			for (size_t caller = 0; caller <= callee; caller++)
				ck_assert_int_eq(profile_edge_add(&p, caller, callee, &once), 0);
	ck_assert_uint_eq(p.n_edges, 300 * 301 / 2);
	for (size_t callee = 0; callee < 300; callee++) {
		ck_assert_uint_eq(p.fn[callee].n_callers, callee + 1);
		for (size_t i = 0; i <= callee; i++) {
			ck_assert_uint_eq(p.fn[callee].caller[i].caller, i);
			ck_assert_uint_eq(p.fn[callee].caller[i].counts.n_calls, 2);
		}
	}
	profile_fini(&p);
}
END_TEST

START_TEST(a_function_that_only_calls_is_not_listed)
{
	struct profile p;

	profile_init(&p);
	ck_assert_uint_eq(profile_caller_add(&p, T("a.py"), 1, T("f")), 0);
	ck_assert_uint_eq(numbered(&p, 2), 1);
	ck_assert(!p.fn[0].listed);
	ck_assert(p.fn[1].listed);
	ck_assert_uint_eq(p.n_listed, 1);
	ck_assert_uint_eq(p.listed[0], 1);
	ck_assert_uint_eq(numbered(&p, 1), 0);
	ck_assert_uint_eq(profile_caller_add(&p, T("a.py"), 2, T("f")), 1);
	ck_assert_uint_eq(p.n_listed, 2);
	ck_assert_uint_eq(p.listed[1], 0);
	profile_fini(&p);
}
END_TEST

/* (1e16 + 1) - 1e16 is 0 in doubles, (1e16 - 1e16) + 1 is 1. */
START_TEST(the_total_is_added_in_listed_order)
{
	const double self_s[] = { 1e16, 1, -1e16, 1000 };
	struct profile_counts total;
	struct profile p;

	profile_init(&p);
	for (int64_t i = 0; i < 4; i++)
		profile_caller_add(&p, T("a.py"), i, T("f"));
	numbered(&p, 0);
	numbered(&p, 2);
	numbered(&p, 1);
	for (size_t i = 0; i < 4; i++)
		profile_counts_add(&p.fn[i].counts,
				   &(struct profile_counts){ 5, 3, 2, self_s[i], 9, 0, 0 });
	total = profile_total(&p);
	ck_assert_uint_eq(total.n_calls, 15);
	ck_assert_uint_eq(total.n_primitive, 9);
	ck_assert_uint_eq(total.n_exceptions, 6);
	ck_assert_double_eq(total.self_s, 1);
	ck_assert_double_eq(total.total_s, 0);
	profile_fini(&p);
}
END_TEST

START_TEST(merge_adds_functions_and_edges)
{
	struct profile_counts counts = { 3, 2, 1, 0.5, 4, 0, 0 };
	struct profile a, b;

	profile_init(&a);
	profile_init(&b);
	numbered(&a, 1);
	profile_caller_add(&a, T("a.py"), 2, T("f"));
	profile_edge_add(&a, 1, 0, &counts);
	a.fn[0].counts = counts;

	profile_caller_add(&b, T("a.py"), 9, T("f"));
	numbered(&b, 3);
	profile_fn_add(&b, T("a.py"), 2, T("f"), T("C.f"));
	numbered(&b, 1);
	profile_edge_add(&b, 2, 3, &counts);
	profile_edge_add(&b, 0, 3, &counts);
	profile_edge_add_calls(&b, 3, 1, 6);
	b.fn[3].counts = b.fn[2].counts = b.fn[1].counts = counts;

	ck_assert_int_eq(profile_merge(&a, &b), 0);
	ck_assert_uint_eq(a.n_fns, 4); /* lines 1, 2, 9, 3 */
	ck_assert_int_eq(a.fn[2].line, 9);
	ck_assert_int_eq(a.fn[3].line, 3);
	ck_assert_uint_eq(a.n_listed, 3);
	ck_assert_uint_eq(a.listed[0], 0);
	ck_assert_uint_eq(a.listed[1], 3);
	ck_assert_uint_eq(a.listed[2], 1);
	assert_text(a.fn[1].qualname, T("C.f"));
	ck_assert_uint_eq(a.fn[0].counts.n_calls, 6);
	ck_assert_uint_eq(a.fn[3].counts.n_calls, 3);
	ck_assert_double_eq(a.fn[0].counts.total_s, 8);
	ck_assert_uint_eq(a.fn[0].n_callers, 2);
	ck_assert_uint_eq(a.fn[0].caller[0].caller, 1);
	ck_assert_uint_eq(a.fn[0].caller[0].counts.n_primitive, 4);
	ck_assert(!a.fn[0].caller[0].only_calls);
	ck_assert_uint_eq(a.fn[0].caller[1].caller, 2);
	ck_assert_uint_eq(a.fn[0].caller[1].counts.n_primitive, 2);
	ck_assert_uint_eq(a.fn[3].n_callers, 1);
	ck_assert_uint_eq(a.fn[3].caller[0].caller, 0);
	ck_assert_uint_eq(a.fn[3].caller[0].counts.n_calls, 6);
	ck_assert(a.fn[3].caller[0].only_calls);
	profile_fini(&a);
	profile_fini(&b);
}
END_TEST

START_TEST(a_freed_profile_is_empty)
{
	struct profile p;

	profile_init(&p);
	numbered(&p, 1);
	profile_edge_add(&p, 0, 0, &(struct profile_counts){ 1, 1, 0, 0, 0, 0, 0 });
	profile_fini(&p);
	ck_assert_uint_eq(p.n_fns, 0);
	ck_assert_uint_eq(profile_total(&p).n_calls, 0);
	ck_assert_uint_eq(numbered(&p, 1), 0);
	ck_assert_uint_eq(p.fn[0].n_callers, 0);
	profile_fini(&p);
	profile_fini(&p);
}
END_TEST

static const struct {
	struct text file;
	int64_t line;
	struct text name, label;
} labels[] = {
	{ T("~"), 0, T("<built-in method len>"), T("{built-in method len}") },
	{ T("~"), 0, T("<>"), T("{}") },
	{ T("~"), 0, T("<"), T("<") },
	{ T("~"), 0, T(">"), T(">") },
	{ T("~"), 0, T("<a"), T("<a") },
	{ T("~"), 0, T("a>"), T("a>") },
	{ T("~"), 0, T(""), T("") },
	{ T("~"), 1, T("<a>"), T("~:1(<a>)") },
	{ T("~x"), 0, T("<a>"), T("~x:0(<a>)") },
	{ T(""), 0, T("len"), T(":0(len)") },
	{ T("a.py"), 12, T("<module>"), T("a.py:12(<module>)") },
	{ T("a\0b"), INT64_MIN, T("n\nl"), T("a\0b:-9223372036854775808(n\nl)") },
};

START_TEST(labels_are_those_of_pstats)
{
	const size_t n = sizeof(labels) / sizeof(labels[0]);
	struct text *label;
	struct profile p;

	profile_init(&p);
	for (size_t i = 0; i < n; i++)
		profile_fn_add(&p, labels[i].file, labels[i].line, labels[i].name, T("q"));
	label = profile_labels(&p);
	for (size_t i = 0; i < n; i++)
		assert_text(label[i], labels[i].label);
	free(label);
	profile_fini(&p);
	label = profile_labels(&p);
	ck_assert_ptr_nonnull(label);
	free(label);
}
END_TEST

/* Bytes that are not part of a UTF-8 sequence become U+DC80 to U+DCFF: ed b2 80 to ed b3 bf. */
static const struct {
	struct text in, out;
} odd_texts[] = {
	{ T("\x7f\xc2\x80\xdf\xbf"), T("\x7f\xc2\x80\xdf\xbf") },
	{ T("\xe0\xa0\x80\xef\xbf\xbf"), T("\xe0\xa0\x80\xef\xbf\xbf") },
	{ T("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), T("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf") },
	{ T("\xed\xa0\x80\xed\xbf\xbf"), T("\xed\xa0\x80\xed\xbf\xbf") },
	{ T("a\x80z"), T("a\xed\xb2\x80z") },
	{ T("\xff"), T("\xed\xb3\xbf") },
	{ T("\xc3"), T("\xed\xb3\x83") },
	{ T("\xc3\x28"), T("\xed\xb3\x83\x28") },
	{ T("\xc0\x80"), T("\xed\xb3\x80\xed\xb2\x80") },
	{ T("\xc1\xbf"), T("\xed\xb3\x81\xed\xb2\xbf") },
	{ T("\xe2\x82"), T("\xed\xb3\xa2\xed\xb2\x82") },
	{ T("\xe0\x9f\xbf"), T("\xed\xb3\xa0\xed\xb2\x9f\xed\xb2\xbf") },
	{ T("\xf0\x8f\xbf\xbf"), T("\xed\xb3\xb0\xed\xb2\x8f\xed\xb2\xbf\xed\xb2\xbf") },
	{ T("\xf4\x90\x80\x80"), T("\xed\xb3\xb4\xed\xb2\x90\xed\xb2\x80\xed\xb2\x80") },
	{ T("\xf5\x80\x80\x80"), T("\xed\xb3\xb5\xed\xb2\x80\xed\xb2\x80\xed\xb2\x80") },
	{ T("\x80\xc3\xa9"), T("\xed\xb2\x80\xc3\xa9") },
};

START_TEST(bytes_that_are_not_utf8_become_surrogates)
{
	for (size_t i = 0; i < sizeof(odd_texts) / sizeof(odd_texts[0]); i++) {
		struct profile p;

		profile_init(&p);
		ck_assert_uint_eq(profile_fn_add(&p, odd_texts[i].in, 1, odd_texts[i].in,
						 odd_texts[i].in),
				  0);
		assert_text(p.fn[0].file, odd_texts[i].out);
		assert_text(p.fn[0].name, odd_texts[i].out);
		assert_text(p.fn[0].qualname, odd_texts[i].out);
		ck_assert_uint_eq(profile_caller_add(&p, odd_texts[i].in, 1, odd_texts[i].in), 0);
		ck_assert_uint_eq(profile_find(&p, odd_texts[i].out, 1, odd_texts[i].out), 0);
		profile_fini(&p);
	}
}
END_TEST

START_TEST(texts_compare_by_code_point)
{
	const struct text rising[] = {
		T(""),
		T("\0"),
		T("a"),
		T("a\0"),
		T("aa"),
		T("b"),
		T("\xc3\xa9"),
		T("\xed\xa0\x80"),
		T("\xee\x80\x80"),
		T("\xef\xbf\xbf"),
		T("\xf0\x90\x80\x80"),
	};
	const size_t n = sizeof(rising) / sizeof(rising[0]);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			int order = text_cmp(rising[i], rising[k]);

			ck_assert_int_eq((order > 0) - (order < 0), (i > k) - (i < k));
		}
}
END_TEST

START_TEST(functions_compare_by_file_then_line_then_name)
{
	struct profile_fn rising[] = {
		{ .file = T("a"), .line = -1, .name = T("z") },
		{ .file = T("a"), .line = 9, .name = T("y") },
		{ .file = T("a"), .line = 10, .name = T("b") },
		{ .file = T("a"), .line = 10, .name = T("c") },
		{ .file = T("b"), .line = 1, .name = T("a") },
	};

	for (int i = 0; i < 5; i++)
		for (int k = 0; k < 5; k++) {
			int order = profile_fn_cmp(&rising[i], &rising[k]);

			ck_assert_int_eq((order > 0) - (order < 0), (i > k) - (i < k));
		}
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("profile");

	tcase_add_test(tcase, a_key_is_file_line_and_name);
	tcase_add_test(tcase, texts_are_copied_whole);
	tcase_add_test(tcase, the_first_qualified_name_is_kept);
	tcase_add_test(tcase, finding_does_not_add);
	tcase_add_test(tcase, many_functions_keep_their_indices);
	tcase_add_test(tcase, counts_add_up_in_every_field);
	tcase_add_test(tcase, an_edge_belongs_to_its_callee);
	tcase_add_test(tcase, an_edge_may_have_calls_without_times);
	tcase_add_test(tcase, a_function_may_have_100000_callers);
	tcase_add_test(tcase, callees_may_have_the_same_callers);
	tcase_add_test(tcase, a_function_that_only_calls_is_not_listed);
	tcase_add_test(tcase, the_total_is_added_in_listed_order);
	tcase_add_test(tcase, merge_adds_functions_and_edges);
	tcase_add_test(tcase, a_freed_profile_is_empty);
	tcase_add_test(tcase, labels_are_those_of_pstats);
	tcase_add_test(tcase, bytes_that_are_not_utf8_become_surrogates);
	tcase_add_test(tcase, texts_compare_by_code_point);
	tcase_add_test(tcase, functions_compare_by_file_then_line_then_name);
	return run_case("profile", tcase);
}
