/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Regular expressions: the reader must agree with Python's re where PCRE2 alone would not. Each
 * expectation was checked with re of Python 3.13. The integration tests compare thousands.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "select/match.h"
#include "tests/run.h"

#define T(s) ((struct text){ s, sizeof(s) - 1 })
#define TEXT(s)                  \
	{                        \
		s, sizeof(s) - 1 \
	}

static const struct {
	const char *pattern;
	struct text in;
	int found;
} searches[] = {
	{ "", TEXT(""), 1 },
	{ "ab", TEXT("xaby"), 1 },
	{ "a$", TEXT("a\n"), 1 },
	{ "a\\Z", TEXT("a\n"), 0 },
	{ "a\\Z", TEXT("a"), 1 },
	{ "(?m)^$", TEXT("a\n"), 1 },
	{ "a.b", TEXT("a\nb"), 0 },
	{ "a.b", TEXT("a\rb"), 1 },
	{ "(?s)a.b", TEXT("a\nb"), 1 },
	{ "\\v", TEXT("\n"), 0 },
	{ "\\v", TEXT("\v"), 1 },
	{ "^\\s$", TEXT("\x1c"), 1 },
	{ "^\\s$", TEXT("\xe1\xa0\x8e"), 0 }, /* U+180E */
	{ "^\\w$", TEXT("\xc3\xa9"), 1 },
	{ "^\\w$", TEXT("\xe2\x80\xbf"),
	  0 }, /* U+203F, a word character in later versions of PCRE2 */
	{ "^[^\\W\\d_]$", TEXT("\xc3\xa9"), 1 },
	{ "(?a)\\w", TEXT("\xc3\xa9"), 0 },
	{ "\\d", TEXT("\xd9\xa3"), 1 },
	{ "(?a)\\d", TEXT("\xd9\xa3"), 0 },
	{ "\\bcaf\xc3\xa9\\b", TEXT("caf\xc3\xa9s"), 0 },
	{ "(?i)\xc3\x89T", TEXT("\xc3\xa9t"), 1 },
	{ "(?i)i", TEXT("\xc4\xb0"), 1 },
	{ "(?ai)k", TEXT("\xe2\x84\xaa"), 0 },
	{ "(?i)k", TEXT("\xe2\x84\xaa"), 1 },
	{ "a{,2}b", TEXT("{,2}"), 0 },
	{ "^a{,2}b", TEXT("aab"), 1 },
	{ "^a{,2}b", TEXT("aaab"), 0 },
	{ "a{x}", TEXT("a{x}"), 1 },
	{ "[[:alpha:]]", TEXT("p]"), 1 },
	{ "[[:alpha:]]", TEXT("p"), 0 },
	{ "[\\b]", TEXT("\b"), 1 },
	{ "[]]", TEXT("]"), 1 },
	{ "\\101\\x42\\u0043\\U00000044", TEXT("ABCD"), 1 },
	{ "(a)\\1", TEXT("aa"), 1 },
	{ "(?P<x>.)(?P=x)", TEXT("aa"), 1 },
	{ "(a)?(?(1)b|c)", TEXT("c"), 1 },
	{ "(?x) a b # c", TEXT("ab"), 1 },
	{ "(?x:a b) c", TEXT("ab c"), 1 },
	{ "a++a", TEXT("aaa"), 0 },
	{ "(?>a*)a", TEXT("aaa"), 0 },
	{ "a(?#c){2}", TEXT("aa"), 1 },
	{ "(?<=ab|cd)x", TEXT("cdx"), 1 },
	{ "\\.py:\\d+\\(", TEXT("/a/b.py:12(f)"), 1 },
	{ "^{built-in", TEXT("{built-in method x}"), 1 },
	/* surrogates: from a name, and from a typed byte that is not UTF-8 */
	{ "^.$", TEXT("\xed\xa0\x80"), 1 },
	{ "\\ud800", TEXT("\xed\xa0\x80"), 1 },
	{ "[\\ud800-\\udfff]", TEXT("\xed\xb3\xbf"), 1 },
	{ "[\\ud700-\\ue000]", TEXT("\xed\xb3\xbf"), 1 },
	{ "[^\\ud800-\\udfff]", TEXT("\xed\xb3\xbf"), 0 },
	{ "\xff", TEXT("\xed\xb3\xbf"), 1 },
	{ "\\W", TEXT("\xed\xb3\xbf"), 1 },
	{ "\\w", TEXT("\xed\xb3\xbf"), 0 },
};

START_TEST(matches_are_those_of_re)
{
	struct text pattern = { searches[_i].pattern, strlen(searches[_i].pattern) };
	struct match m;

	ck_assert_int_eq(match_init(&m, pattern, NULL), 0);
	ck_assert_msg(match_search(&m, searches[_i].in, NULL) == searches[_i].found, "%s",
		      searches[_i].pattern);
	match_fini(&m);
}
END_TEST

/* PCRE2 accepts each of these, or nearly. */
static const char *const invalid[] = {
	"(",
	")",
	"a)",
	"[",
	"[]",
	"[^]",
	"*",
	"a**",
	"a*{2}",
	"(*)",
	"|*",
	"^*",
	"$+",
	"\\b{2}",
	"(?:*)",
	"(*UTF)a",
	"(*ACCEPT)",
	"a{2,1}",
	"\\",
	"a\\",
	"(?#x",
	"(?#\\)",
	"\\h",
	"\\K",
	"\\R",
	"\\Qa\\E",
	"\\e",
	"\\cA",
	"\\p{L}",
	"\\X",
	"\\G",
	"\\N",
	"\\k<a>",
	"\\g1",
	"\\x1",
	"\\u12",
	"\\U00110000",
	"\\400",
	"\\1",
	"(\\1)",
	"\\8",
	"(a)\\2",
	"(?<n>a)",
	"(?'n'a)",
	"(?P<1>a)",
	"(?P<n>",
	"(?P<n>a)(?P<n>b)",
	"(?P=n)",
	"(?P>n)",
	"(?R)",
	"(?1)",
	"(?|a)",
	"(?^i:a)",
	"(?&n)",
	"(?C1)",
	"(?+1)",
	"(?(1)a)",
	"(a)(?(1)b|c|d)",
	"(?(R)a)",
	"(?(DEFINE)a)",
	"(?<=a*)",
	"(?<=a|bc)",
	"(?<!a+)b",
	"(?<=(a))(?<=(b)\\2)",
	"[b-a]",
	"[a-\\d]",
	"[\\d-z]",
	"[\\A]",
	"[\\8]",
	"a(?i)",
	"(?L)",
	"(?au)",
	"(?i-i:a)",
	"(?-a:b)",
	"(?i",
	"(?)",
	"(?-i)a",
};

START_TEST(patterns_that_re_refuses_are_invalid)
{
	char *result;

	ck_assert_msg(pattern_translate((struct text){ invalid[_i], strlen(invalid[_i]) },
					&result) == PATTERN_INVALID,
		      "%s became %s", invalid[_i], result);
	ck_assert_ptr_null(result);
}
END_TEST

START_TEST(patterns_beyond_pcre2_are_errors)
{
	static const char *const patterns[] = { "\\N{DIGIT ONE}", "a{65536}",
						"(?:a{60000}){60000}" };
	char nested[1000];
	struct match m;

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		ck_assert_int_eq(match_init(&m, (struct text){ patterns[i], strlen(patterns[i]) },
					    NULL),
				 -ENOTSUP);
	memset(nested, '(', 500);
	memset(nested + 500, ')', 500);
	ck_assert_int_eq(match_init(&m, (struct text){ nested, 1000 }, NULL), -ENOTSUP);
}
END_TEST

START_TEST(an_endless_search_is_stopped)
{
	struct match m;

	ck_assert_int_eq(match_init(&m, T("(a|a|aa)+$"), NULL), 0);
	ck_assert_int_eq(match_search(&m, T("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
				      NULL),
			 -ENOTSUP);
	match_fini(&m);
}
END_TEST

static const struct {
	struct text pattern;
	const char *repr;
} reprs[] = {
	{ TEXT(""), "''" },
	{ TEXT("a b"), "'a b'" },
	{ TEXT("it's"), "\"it's\"" },
	{ TEXT("\""), "'\"'" },
	{ TEXT("'\""), "'\\'\"'" },
	{ TEXT("\\d\t\n\r\x1b\x7f"), "'\\\\d\\t\\n\\r\\x1b\\x7f'" },
	{ TEXT("\0"), "'\\x00'" },
	{ TEXT("\xc2\xa0\xc2\xad\xc3\xa9"), "'\\xa0\\xad\xc3\xa9'" },
	{ TEXT("\xe2\x80\xa8\xe2\x82\xac"), "'\\u2028\xe2\x82\xac'" },
	{ TEXT("\xf0\x9f\x90\x8d\xf4\x8f\xbf\xbf"), "'\xf0\x9f\x90\x8d\\U0010ffff'" },
	{ TEXT("\xff\xed\xa0\x80"), "'\\udcff\\udced\\udca0\\udc80'" },
};

START_TEST(repr_equals_pythons)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);

	ck_assert_int_eq(match_put_repr(to, reprs[_i].pattern), 0);
	fclose(to);
	ck_assert_str_eq(text, reprs[_i].repr);
	free(text);
}
END_TEST

static Suite *pattern_suite(void)
{
	Suite *s = suite_create("pattern");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, matches_are_those_of_re, 0, sizeof(searches) / sizeof(searches[0]));
	tcase_add_loop_test(t, patterns_that_re_refuses_are_invalid, 0,
			    sizeof(invalid) / sizeof(invalid[0]));
	tcase_add_test(t, patterns_beyond_pcre2_are_errors);
	tcase_add_test(t, an_endless_search_is_stopped);
	tcase_add_loop_test(t, repr_equals_pythons, 0, sizeof(reprs) / sizeof(reprs[0]));
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return run(pattern_suite());
}
