/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pstats files: each marshal type against literals, and damaged bytes that Python would not write.
 * Under sanitizers, a wrong memory access also fails the test.
 */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/profile.h"
#include "pstats/pstats.h"
#include "pstats/pstats_read.h"
#include "tests/run.h"

#define T(s) ((struct text){ s, sizeof(s) - 1 })

/*
 * A value of five items without callers: 1 primitive call, 2 calls, 0.5 s self, 1.5 s cumulative.
 */
#define HALF "g\0\0\0\0\0\0\xe0\x3f"
#define ONE_AND_HALF "g\0\0\0\0\0\0\xf8\x3f"
#define COUNTS "i\1\0\0\0i\2\0\0\0" HALF ONE_AND_HALF
#define VALUE ")\5" COUNTS "{0"
#define KEY ")\3z\1fi\7\0\0\0z\1n"

/* Reads from a heap block of exactly this size, so that a sanitizer sees a read past its end. */
static int read_bytes(struct pstats_file *f, struct profile *p, const void *bytes, size_t n)
{
	void *copy = malloc(n ? n : 1);
	int rc;

	memcpy(copy, bytes, n);
	profile_init(p);
	rc = pstats_read(f, p, copy, n);
	free(copy);
	return rc;
}

/* Expects one function named n on line 7 of file f, with the numbers of VALUE. */
static void assert_is_read(const char *bytes, size_t n, struct text file, int64_t line)
{
	struct pstats_file f;
	struct profile p;
	size_t fn;
	int rc = read_bytes(&f, &p, bytes, n);

	ck_assert_msg(rc == 0, "%s", f.error.text);
	ck_assert_uint_eq(f.n_functions, 1);
	fn = profile_find(&p, file, line, T("n"));
	ck_assert_msg(fn != SIZE_MAX, "found no %.*s:%ld", (int)file.n, file.bytes, (long)line);
	ck_assert_uint_eq(p.fn[fn].counts.n_primitive, 1);
	ck_assert_uint_eq(p.fn[fn].counts.n_calls, 2);
	ck_assert_double_eq(p.fn[fn].counts.self_s, 0.5);
	ck_assert_double_eq(p.fn[fn].counts.total_s, 1.5);
	ck_assert_uint_eq(f.total.n_calls, 2);
	ck_assert_double_eq(f.total.self_s, 0.5);
	profile_fini(&p);
}

#define IS(bytes)                                       \
	{                                               \
		bytes, sizeof(bytes) - 1, { "f", 1 }, 7 \
	}
#define KEYED(key, file, line)                                                                     \
	{                                                                                          \
		"{" key VALUE "0", sizeof("{" key VALUE "0") - 1, { file, sizeof(file) - 1 }, line \
	}

static const struct {
	const char *bytes;
	size_t n;
	struct text file;
	int64_t line;
} taken[] = {
	IS("{" KEY VALUE "0"),
	IS("{" KEY VALUE "0 and more, which marshal.load leaves"),
	IS("\xfb" KEY VALUE "0"),
	KEYED("(\3\0\0\0u\1\0\0\0fi\7\0\0\0u\1\0\0\0n", "f", 7),
	KEYED(")\3s\1\0\0\0fi\7\0\0\0t\1\0\0\0n", "f", 7),
	KEYED(")\3a\1\0\0\0fi\7\0\0\0A\1\0\0\0n", "f", 7),
	KEYED(")\3Z\1fi\7\0\0\0z\1n", "f", 7),
	KEYED(")\3z\0i\7\0\0\0z\1n", "", 7),
	KEYED(")\3u\3\0\0\0\xed\xa0\x80i\7\0\0\0z\1n", "\xed\xa0\x80", 7),
	KEYED(")\3u\2\0\0\0\xc3\xa9i\7\0\0\0z\1n", "\xc3\xa9", 7),
	/* bytes of Python 2 that are not UTF-8 */
	KEYED(")\3t\1\0\0\0\xe9i\7\0\0\0z\1n", "\xed\xb3\xa9", 7),
	KEYED(")\3z\1fi\xff\xff\xff\xffz\1n", "f", -1),
	KEYED(")\3z\1fI\0\0\0\0\0\0\0\x80z\1n", "f", INT64_MIN),
	KEYED(")\3z\1fl\0\0\0\0z\1n", "f", 0),
	KEYED(")\3z\1fl\3\0\0\0\1\0\0\0\1\0z\1n", "f", 1ll + (1ll << 30)),
	KEYED(")\3z\1fl\xff\xff\xff\xff\1\0z\1n", "f", -1),
	KEYED(")\3z\1fl\5\0\0\0\xff\x7f\xff\x7f\xff\x7f\xff\x7f\7\0z\1n", "f", INT64_MAX),
	/* an interned name as in Python 2, and a reference as in Python 3 */
	IS("{)\3t\1\0\0\0fi\7\0\0\0t\1\0\0\0n" VALUE "0"),
	IS("{\xa9\3\xfa\1f\xe9\7\0\0\0\xda\1n\xa9\5" COUNTS "\xfb"
	   "00"),
	/* floats as text, and integers for seconds */
	IS("{" KEY ")\5i\1\0\0\0i\2\0\0\0f\3"
	   "0.5"
	   "f\6"
	   "15e-01"
	   "{00"),
	IS("{" KEY "(\5\0\0\0" COUNTS "{00"),
};

START_TEST(every_marshal_type_is_read)
{
	assert_is_read(taken[_i].bytes, taken[_i].n, taken[_i].file, taken[_i].line);
}
END_TEST

#define NO(bytes, why)                        \
	{                                     \
		bytes, sizeof(bytes) - 1, why \
	}
#define CODE(code) "{)\3z\1fi\7\0\0\0" code VALUE "0"

static const struct {
	const char *bytes;
	size_t n;
	const char *why; /* a part of the error text */
} refused[] = {
	NO("", "end at byte 0"),
	NO("{", "end at byte 1"),
	NO("(\0\0\0\0", "no dict"),
	NO("i\0\0\0\0", "no dict"),
	NO("N", "no dict"),
	NO("\0", "type 0x00"),
	NO("\x80", "type 0x00"),
	NO("{?", "type 0x3f"),
	NO("r\0\0\0\0", "reference to value 0"),
	NO("R\0\0\0\0", "reference to value 0"),
	NO("{r\xff\xff\xff\xff" VALUE "0", "reference to value 4294967295"),
	NO("\xfbr\0\0\0\0" VALUE "0", "contains itself"),
	NO("{\xa9\3r\0\0\0\0i\7\0\0\0z\1n" VALUE "0", "contains itself"),
	NO("{" KEY "0", "type 0x30"),
	NO("{(\xff\xff\xff\xff", "length of -1"),
	NO("{(\xff\xff\xff\x7f", "length of 2147483647"),
	NO("{u\xff\xff\xff\x7f", "length of 2147483647"),
	NO("{z\xff", "length of 255"),
	NO("{)\xff", "length of 255"),
	NO("{l\xff\xff\xff\x7f", "end at"),
	NO("{l\0\0\0\x80", "end at"),
	NO("{l\1\0\0\0\0\x80", "digit of 0x8000"),
	NO("{f\xff", "length of 255"),
	NO("{f\0", "an invalid float"),
	NO("{f\4"
	   "0x10",
	   "an invalid float"),
	NO("{f\4"
	   "1 \0"
	   "2",
	   "an invalid float"),
	NO("{f\1x", "an invalid float"),
	NO("{)\3u\1\0\0\0\xe9i\7\0\0\0z\1n" VALUE "0", "not UTF-8"),
	NO("{)\3z\1\xe9i\7\0\0\0z\1n" VALUE "0", "not ASCII"),
	NO("{c\0\0\0\0", "end at"),
	NO("{c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0s\0\0\0\0", "end at"),
	NO("{z\1fz\1f0", "not a tuple of 3"),
	NO("{)\2z\1fz\1n" VALUE "0", "not a tuple of 3"),
	NO("{)\3z\1fz\1fz\1n" VALUE "0", "(file, line, name)"),
	NO("{)\3i\0\0\0\0i\7\0\0\0z\1n" VALUE "0", "(file, line, name)"),
	NO("{)\3z\1fg\0\0\0\0\0\0\0\0z\1n" VALUE "0", "(file, line, name)"),
	NO("{)\3z\1fl\5\0\0\0\0\0\0\0\0\0\0\0\x10\0z\1n" VALUE "0", "(file, line, name)"),
	NO("{" KEY "i\0\0\0\0"
	   "0",
	   "not a tuple of 5"),
	NO("{" KEY ")\4" COUNTS "0", "not a tuple of 5"),
	NO("{" KEY ")\5" COUNTS "N0", "not a dict"),
	NO("{" KEY ")\5i\xff\xff\xff\xffi\2\0\0\0" HALF HALF "{00", "number of calls"),
	NO("{" KEY ")\5Ti\2\0\0\0" HALF HALF "{00", "number of calls"),
	NO("{" KEY ")\5" HALF "i\2\0\0\0" HALF HALF "{00", "number of calls"),
	NO("{" KEY ")\5i\1\0\0\0i\2\0\0\0z\1x" HALF "{00", "not a number"),
	NO("{" KEY VALUE KEY VALUE "0", "same function twice"),
	NO("{" KEY ")\5" COUNTS "{" KEY "i\1\0\0\0" KEY "i\1\0\0\0"
	   "00",
	   "same caller twice"),
	NO("{" KEY ")\5" COUNTS "{" KEY "z\1x"
	   "00",
	   "a caller's value"),
	NO("{" KEY ")\5" COUNTS "{" KEY ")\3i\1\0\0\0i\1\0\0\0" HALF "00", "a caller's value"),
	NO("{" KEY ")\5" COUNTS "{z\1xi\1\0\0\0"
	   "00",
	   "not a tuple of 3"),
	NO("{" KEY ")\5I\1\0\0\0\0\0\0\0I\xff\xff\xff\xff\xff\xff\xff\x7f" HALF HALF "{0"
	   ")\3z\1gi\7\0\0\0z\1n)\5I\1\0\0\0\0\0\0\0I\xff\xff\xff\xff\xff\xff\xff\x7f" HALF HALF
	   "{0"
	   ")\3z\1hi\7\0\0\0z\1n)\5I\1\0\0\0\0\0\0\0I\xff\xff\xff\xff\xff\xff\xff\x7f" HALF HALF
	   "{0"
	   "0",
	   "2^64"),
	/* a line number that does not fit into an int64 */
	NO("{)\3z\1fl\6\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0z\1n" VALUE "0", "(file, line, name)"),
};

START_TEST(other_values_than_profiles_are_refused)
{
	struct pstats_file f;
	struct profile p;

	ck_assert_int_eq(read_bytes(&f, &p, refused[_i].bytes, refused[_i].n), -EINVAL);
	ck_assert_msg(strstr(f.error.text, refused[_i].why), "said: %s, not: %s", f.error.text,
		      refused[_i].why);
	profile_fini(&p);
}
END_TEST

/* Python may write such a code object beside a profile. The reader must skip it. */
START_TEST(code_objects_are_skipped)
{
	static const char code[] = CODE("\xe3"
					"\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0" /* 5 numbers */
					"\xf3\2\0\0\0xy"
					"(\x0b\0\0\0NFT.Sy\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\0"
					"<\1\0\0\0i\1\0\0\0>\0\0\0\0[\2\0\0\0N}NN0"
					"x\1"
					"1\1"
					"2l\7\0\0\0\1\0\1\0\1\0\1\0\1\0\1\0\1\0"
					")\0)\0s\0\0\0\0z\4"
					"a.pyz\1mz\1q\7\0\0\0s\0\0\0\0s\0\0\0\0");
	struct pstats_file f;
	struct profile p;
	size_t fn;

	ck_assert_msg(!read_bytes(&f, &p, code, sizeof(code) - 1), "%s", f.error.text);
	fn = profile_find(&p, T("f"), 7, T("<code object m, file \"a.py\", line 7>"));
	ck_assert(fn != SIZE_MAX && p.fn[fn].listed);
	profile_fini(&p);
}
END_TEST

/* --- hostile sizes ---------------------------------------------------------------------------- */

START_TEST(deep_nesting_is_refused)
{
	size_t n = 100000;
	char *bytes = malloc(n);
	struct pstats_file f;
	struct profile p;

	for (size_t i = 0; i < n; i += 2)
		memcpy(bytes + i, ")\1", 2);
	ck_assert_int_eq(read_bytes(&f, &p, bytes, n), -EINVAL);
	ck_assert_msg(strstr(f.error.text, "nested values"), "%s", f.error.text);
	memset(bytes, '{', n);
	ck_assert_int_eq(read_bytes(&f, &p, bytes, n), -EINVAL);
	memset(bytes, 'c', n);
	ck_assert_int_eq(read_bytes(&f, &p, bytes, n), -EINVAL);
	free(bytes);
}
END_TEST

/* 1,000 functions refer to one dict of callers: a million callers in 30 kB. */
START_TEST(a_dict_of_callers_shared_1000_times_is_refused)
{
	char *bytes = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&bytes, &n);
	struct pstats_file f;
	struct profile p;

	fputc('{', to);
	for (int i = 0; i < 1000; i++) {
		fprintf(to, ")\3z\4%04di", i);
		fwrite("\7\0\0\0z\1n)\5" COUNTS, 1, sizeof("\7\0\0\0z\1n)\5" COUNTS) - 1, to);
		if (i) {
			fwrite("r\0\0\0\0", 1, 5, to);
			continue;
		}
		fputc('{' | 0x80, to);
		for (int k = 0; k < 1000; k++) {
			fprintf(to, ")\3z\4%04di", k);
			fwrite("\7\0\0\0z\1ni\1\0\0\0", 1, 12, to);
		}
		fputc('0', to);
	}
	fputc('0', to);
	fclose(to);
	ck_assert_int_eq(read_bytes(&f, &p, bytes, n), -EINVAL);
	ck_assert_msg(strstr(f.error.text, "more callers than there are bytes"), "%s",
		      f.error.text);
	profile_fini(&p);
	free(bytes);
}
END_TEST

/* --- damage ----------------------------------------------------------------------------------- */

/* A file with callers as tuples and as counts, references, a sampling mark, every kind of text. */
#define CALLER ")\3\xfa\1g\xe9\xff\0\0\0\xf5\2\0\0\0\xc3\xa9"
static const char whole[] = "\xfb" CALLER "\xa9\5" COUNTS "\xfb" CALLER "\xa9\4" COUNTS
			    ")\3r\1\0\0\0r\2\0\0\0z\1kr\11\0\0\0"
			    "0" KEY ")\5" COUNTS "{" KEY "l\2\0\0\0\1\0\1\0"
			    "0"
			    ")\1z\x0b__sampled__T"
			    "0";

static struct pstats_file read_damaged(const char *bytes, size_t n, int *rc)
{
	struct pstats_file f;
	struct profile p;

	*rc = read_bytes(&f, &p, bytes, n);
	ck_assert(*rc == 0 || *rc == -EINVAL);
	ck_assert_msg(!*rc == !f.error.text[0], "%d: %s", *rc, f.error.text);
	ck_assert_ptr_null(strchr(f.error.text, '\n'));
	if (!*rc) {
		FILE *null = fopen("/dev/null", "w");

		ck_assert_int_eq(profile_strip_dirs(&p), 0);
		ck_assert_int_eq(pstats_write(null, &p), 0);
		fclose(null);
	}
	profile_fini(&p);
	return f;
}

START_TEST(every_truncation_is_refused)
{
	size_t n = sizeof(whole) - 1;
	struct pstats_file f;
	int rc;

	for (size_t i = 0; i < n; i++) {
		read_damaged(whole, i, &rc);
		ck_assert_int_eq(rc, -EINVAL);
	}
	f = read_damaged(whole, n, &rc);
	ck_assert_msg(!rc && f.n_functions == 2 && f.sampled, "%d: %s", rc, f.error.text);
}
END_TEST

START_TEST(any_wrong_byte_or_bit_is_survived)
{
	static const unsigned char values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff,
						'{',  '(',  'r',  'c',	'0' };
	size_t n = sizeof(whole) - 1;
	char bytes[sizeof(whole)];
	int rc, n_refused = 0;

	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < 8 + (int)sizeof(values); k++) {
			memcpy(bytes, whole, n);
			bytes[i] = k < 8 ? (char)(whole[i] ^ 1 << k) : (char)values[k - 8];
			read_damaged(bytes, n, &rc);
			n_refused += rc != 0;
		}
	}
	ck_assert_int_gt(n_refused, 500);
}
END_TEST

START_TEST(random_bytes_are_survived)
{
	static const char types[] = "{(r)zuitgsl0NTc[\xfb\xa8\xa9\xfa\xe9\1\2\3\0\0\0\0";
	uint64_t x = 1;
	char bytes[64];
	int rc;

	for (int round = 0; round < 20000; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			x = x * 6364136223846793005ull + 1442695040888963407ull;
			bytes[i] = types[(x >> 33) % (sizeof(types) - 1)];
		}
		bytes[0] = '{';
		read_damaged(bytes, sizeof(bytes), &rc);
	}
}
END_TEST

static Suite *marshal_suite(void)
{
	Suite *s = suite_create("marshal");
	TCase *t = tcase_create("forms");

	tcase_add_loop_test(t, every_marshal_type_is_read, 0, sizeof(taken) / sizeof(taken[0]));
	tcase_add_loop_test(t, other_values_than_profiles_are_refused, 0,
			    sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(t, code_objects_are_skipped);
	suite_add_tcase(s, t);
	t = tcase_create("hostile");
	tcase_add_test(t, deep_nesting_is_refused);
	tcase_add_test(t, a_dict_of_callers_shared_1000_times_is_refused);
	tcase_add_test(t, every_truncation_is_refused);
	tcase_add_test(t, any_wrong_byte_or_bit_is_survived);
	tcase_add_test(t, random_bytes_are_survived);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return run(marshal_suite());
}
