/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of a pstats file, against literals written by hand from marshal's format. A wrong byte
 * would make a file that some Python cannot load, or loads with other numbers.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/profile.h"
#include "pstats/pstats.h"
#include "tests/run.h"

#define T(s) ((struct text){ s, sizeof(s) - 1 })
#define NONE T("")

/* A text of n bytes, n < 256; tuples; doubles */
#define U(n, s) "u" n "\0\0\0" s
#define KEY "(\3\0\0\0"
#define ENTRY "(\5\0\0\0"
#define EDGE "(\4\0\0\0"
#define I(n) "i" n "\0\0\0"
#define ZERO "g\0\0\0\0\0\0\0\0"
#define HALF "g\0\0\0\0\0\0\xe0\x3f"
#define TWO "g\0\0\0\0\0\0\0\x40"
#define TENTH "g\x9a\x99\x99\x99\x99\x99\xb9\x3f"

static void assert_file(const struct profile *p, const char *want, size_t n_want)
{
	char *bytes = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&bytes, &n);

	ck_assert_int_eq(pstats_write(to, p), 0);
	fclose(to);
	for (size_t i = 0; i < n && i < n_want; i++)
		ck_assert_msg(bytes[i] == want[i], "byte %zu is %02x, not %02x", i,
			      (unsigned char)bytes[i], (unsigned char)want[i]);
	ck_assert_uint_eq(n, n_want);
	free(bytes);
}

#define ASSERT_FILE(p, literal) assert_file(p, literal, sizeof(literal) - 1)

START_TEST(an_empty_profile_is_written_as_an_empty_dict)
{
	struct profile p;

	profile_init(&p);
	ASSERT_FILE(&p, "{0");
}
END_TEST

#define KEY_F KEY U("\4", "a.py") I("\3") U("\1", "f")
#define KEY_X KEY U("\1", "~") I("\0") U("\3", "<x>")

/* Each line is one part of the file: */
/* clang-format off */

/* Functions have their primitive calls first, callers have all calls first. */
START_TEST(functions_and_callers_are_written_as_in_cprofile)
{
	struct profile p;

	profile_init(&p);
	profile_fn_add(&p, T("a.py"), 3, T("f"), T("C.f"));
	profile_fn_add(&p, T("~"), 0, T("<x>"), NONE);
	p.fn[0].counts = (struct profile_counts){ 5, 4, 9, 0.1, 2, 0, 0 };
	p.fn[1].counts = (struct profile_counts){ 1, 1, 9, 0, 0.5, 0, 0 };
	profile_edge_add(&p, 1, 0, &(struct profile_counts){ 3, 2, 9, 0.5, 0.1, 0, 0 });
	profile_edge_add(&p, 0, 0, &(struct profile_counts){ 2, 0, 9, 0, 2, 0, 0 });
	ASSERT_FILE(&p,
		"{"
		KEY_F ENTRY I("\4") I("\5") TENTH TWO
		"{"
		KEY_X EDGE I("\3") I("\2") HALF TENTH
		KEY_F EDGE I("\2") I("\0") ZERO TWO
		"0"
		KEY_X ENTRY I("\1") I("\1") ZERO HALF
		"{" "0"
		"0");
	profile_fini(&p);
}
END_TEST

START_TEST(a_function_without_calls_is_written_too)
{
	struct profile p;

	profile_init(&p);
	profile_fn_add(&p, T("a.py"), 3, T("f"), NONE);
	p.fn[0].counts.self_s = 0.5;
	ASSERT_FILE(&p,
		"{"
		KEY_F ENTRY I("\0") I("\0") HALF ZERO
		"{" "0"
		"0");
	profile_fini(&p);
}
END_TEST

START_TEST(a_function_that_only_calls_is_written_as_a_key)
{
	struct profile p;

	profile_init(&p);
	profile_caller_add(&p, T("~"), 0, T("<x>"));
	profile_fn_add(&p, T("a.py"), 3, T("f"), NONE);
	profile_edge_add_calls(&p, 0, 1, 7);
	ASSERT_FILE(&p,
		"{"
		KEY_F ENTRY I("\0") I("\0") ZERO ZERO
		"{"
		KEY_X I("\7")
		"0"
		"0");
	profile_fini(&p);
}
END_TEST

START_TEST(functions_are_written_in_listed_order)
{
	struct profile p;

	profile_init(&p);
	profile_caller_add(&p, T("a.py"), 3, T("f"));
	profile_fn_add(&p, T("~"), 0, T("<x>"), NONE);
	profile_fn_add(&p, T("a.py"), 3, T("f"), NONE);
	ASSERT_FILE(&p,
		"{"
		KEY_X ENTRY I("\0") I("\0") ZERO ZERO
		"{" "0"
		KEY_F ENTRY I("\0") I("\0") ZERO ZERO
		"{" "0"
		"0");
	profile_fini(&p);
}
END_TEST

START_TEST(texts_are_written_unchanged)
{
	struct profile p;

	profile_init(&p);
	profile_fn_add(&p, T("a\0\n"), 1, T("\xed\xa0\x80\xc3\xa9"), NONE);
	profile_fn_add(&p, NONE, 1, T("\xff"), NONE);
	ASSERT_FILE(&p,
		"{"
		KEY U("\3", "a\0\n") I("\1") U("\5", "\xed\xa0\x80\xc3\xa9")
		ENTRY I("\0") I("\0") ZERO ZERO
		"{" "0"
		KEY U("\0", "") I("\1") U("\3", "\xed\xb3\xbf")
		ENTRY I("\0") I("\0") ZERO ZERO
		"{" "0"
		"0");
	profile_fini(&p);
}
END_TEST

/* clang-format on */

START_TEST(a_long_text_has_a_four_byte_length)
{
	struct profile p;
	char *name = malloc(70000), *bytes = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&bytes, &n);

	memset(name, 'n', 70000);
	profile_init(&p);
	profile_fn_add(&p, T("a"), 1, (struct text){ name, 70000 }, NONE);
	ck_assert_int_eq(pstats_write(to, &p), 0);
	fclose(to);
	ck_assert(!memcmp(bytes + 17, "u\x70\x11\x01\0nnn", 8)); /* 70000 = 0x11170 */
	ck_assert_uint_eq(n, 17 + 5 + 70000 + 5 + 5 + 5 + 9 + 9 + 3);
	free(bytes);
	free(name);
	profile_fini(&p);
}
END_TEST

static const struct {
	uint64_t value;
	struct text bytes;
} counts[] = {
	{ 0x12345678, T("i\x78\x56\x34\x12") },
	{ 0x7fffffff, T("i\xff\xff\xff\x7f") },
	{ 0x80000000, T("l\3\0\0\0\0\0\0\0\2\0") },
	{ 0xffffffff, T("l\3\0\0\0\xff\x7f\xff\x7f\3\0") },
	{ 1ull << 45, T("l\4\0\0\0\0\0\0\0\0\0\1\0") },
	{ UINT64_MAX, T("l\5\0\0\0\xff\x7f\xff\x7f\xff\x7f\xff\x7f\x0f\0") },
};

START_TEST(large_counts_have_digits_of_15_bits)
{
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct text int_bytes = counts[i].bytes;
		char want[200] = "{" KEY U("\1", "a") I("\1") U("\1", "f") ENTRY I("\0");
		size_t at = 1 + 5 + 6 + 5 + 6 + 5 + 5;
		struct profile p;

		memcpy(want + at, int_bytes.bytes, int_bytes.n);
		memcpy(want + at + int_bytes.n, ZERO ZERO "{00", 21);
		profile_init(&p);
		profile_fn_add(&p, T("a"), 1, T("f"), NONE);
		p.fn[0].counts.n_calls = counts[i].value;
		assert_file(&p, want, at + int_bytes.n + 21);
		profile_fini(&p);
	}
}
END_TEST

static const struct {
	int64_t value;
	struct text bytes;
} lines[] = {
	{ -1, T("i\xff\xff\xff\xff") },
	{ INT32_MAX, T("i\xff\xff\xff\x7f") },
	{ INT32_MIN, T("i\0\0\0\x80") },
	{ INT32_MIN - 1ll, T("l\xfd\xff\xff\xff\1\0\0\0\2\0") },
	{ INT32_MAX + 1ll, T("l\3\0\0\0\0\0\0\0\2\0") },
	{ INT64_MIN, T("l\xfb\xff\xff\xff\0\0\0\0\0\0\0\0\x08\0") },
};

START_TEST(lines_may_be_negative)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct text int_bytes = lines[i].bytes;
		char want[200] = "{" KEY U("\1", "a");
		const char rest[] = U("\1", "f") ENTRY I("\0") I("\0") ZERO ZERO "{00";
		size_t at = 1 + 5 + 6;
		struct profile p;

		memcpy(want + at, int_bytes.bytes, int_bytes.n);
		memcpy(want + at + int_bytes.n, rest, sizeof(rest) - 1);
		profile_init(&p);
		profile_fn_add(&p, T("a"), lines[i].value, T("f"), NONE);
		assert_file(&p, want, at + int_bytes.n + sizeof(rest) - 1);
		profile_fini(&p);
	}
}
END_TEST

/* Covers a buffer whose only failing call is the flush, and one with an earlier failing write. */
START_TEST(a_full_disk_is_reported)
{
	for (int64_t n = 1; n <= 10000; n *= 10000) {
		FILE *to = fopen("/dev/full", "w");
		struct profile p;

		ck_assert_ptr_nonnull(to);
		profile_init(&p);
		for (int64_t i = 0; i < n; i++)
			profile_fn_add(&p, T("a"), i, T("f"), NONE);
		ck_assert_int_eq(pstats_write(to, &p), -ENOSPC);
		fclose(to);
		profile_fini(&p);
	}
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("pstats");

	tcase_add_test(tcase, an_empty_profile_is_written_as_an_empty_dict);
	tcase_add_test(tcase, functions_and_callers_are_written_as_in_cprofile);
	tcase_add_test(tcase, a_function_without_calls_is_written_too);
	tcase_add_test(tcase, a_function_that_only_calls_is_written_as_a_key);
	tcase_add_test(tcase, functions_are_written_in_listed_order);
	tcase_add_test(tcase, texts_are_written_unchanged);
	tcase_add_test(tcase, a_long_text_has_a_four_byte_length);
	tcase_add_test(tcase, large_counts_have_digits_of_15_bits);
	tcase_add_test(tcase, lines_may_be_negative);
	tcase_add_test(tcase, a_full_disk_is_reported);
	return run_case("pstats", tcase);
}
