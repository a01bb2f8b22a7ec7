/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "match.h"

#include <errno.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Without JIT: its compilation takes longer than a search in a few thousand short names. */
static enum pattern_status compile(struct match *m, const char *pattern)
{
	PCRE2_SIZE at;
	int error;

	m->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
				&error, &at, NULL);
	if (!m->code) /* pattern_translate has checked the syntax, so it is too large */
		return error == PCRE2_ERROR_NOMEMORY ? PATTERN_NO_MEMORY : PATTERN_UNSUPPORTED;
	m->data = pcre2_match_data_create(1, NULL);
	if (!m->data)
		match_fini(m);
	return m->data ? PATTERN_OK : PATTERN_NO_MEMORY;
}

int match_init(struct match *m, struct text pattern, struct error *e)
{
	char *translated;
	enum pattern_status status = pattern_translate(pattern, &translated);

	m->code = m->data = NULL;
	if (!status)
		status = compile(m, translated);
	free(translated);
	switch (status) {
	case PATTERN_OK:
		return 0;
	case PATTERN_INVALID:
		return error_set(e, -EINVAL,
				 "found '%.*s', expected a regular expression of Python's",
				 (int)(pattern.n < 200 ? pattern.n : 200), pattern.bytes);
	case PATTERN_UNSUPPORTED:
		return error_set(
			e, -ENOTSUP,
			"found a regular expression with \\N{name}, with repeats of more than "
			"65535 or too large, expected \\u or \\U, or a smaller one");
	case PATTERN_NO_MEMORY:
		break;
	}
	return -ENOMEM;
}

void match_fini(struct match *m)
{
	pcre2_match_data_free(m->data);
	pcre2_code_free(m->code);
	m->code = m->data = NULL;
}

int match_search(struct match *m, struct text t, struct error *e)
{
	char *owned;
	int n, err = pattern_hide_surrogates(&t, &owned);

	if (err)
		return err;
	n = pcre2_match(m->code, (PCRE2_SPTR)t.bytes, t.n, 0, PCRE2_NO_UTF_CHECK, m->data, NULL);
	free(owned);
	if (n == PCRE2_ERROR_NOMEMORY)
		return -ENOMEM;
	if (n >= 0 || n == PCRE2_ERROR_NOMATCH)
		return n >= 0;
	return error_set(e, -ENOTSUP,
			 "found a regular expression that takes too many steps on some name, "
			 "expected a simpler one");
}

/* A code point as UTF-8, in `to` of 4 bytes. */
static struct text encode(uint32_t c, char *to)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = n; i-- > 1; c >>= 6)
		to[i] = (char)(0x80 | (c & 0x3f));
	to[0] = (char)(lead[n] | c);
	return (struct text){ to, n };
}

/*
 * `printable` matches like str.isprintable, except for characters that PCRE2's version of Unicode
 * has in another class than Python's.
 */
static void put_repr_char(FILE *to, struct match *printable, uint32_t c, char quote)
{
	static const char escaped[] = "\t\n\r\\", letter[] = "tnr\\";
	const char *at = c && c < 0x80 ? strchr(escaped, (int)c) : NULL;
	char utf8[4];
	struct text t = encode(c, utf8);

	if (at)
		fprintf(to, "\\%c", letter[at - escaped]);
	else if (c == (unsigned char)quote)
		fprintf(to, "\\%c", quote);
	else if (c >= ' ' && c < 0x7f)
		fputc((int)c, to);
	else if (c >= 0xa0 && (c < 0xd800 || c > 0xdfff) && printable->code &&
		 match_search(printable, t, NULL) == 1)
		fwrite(t.bytes, 1, t.n, to);
	else
		fprintf(to, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

int match_put_repr(FILE *to, struct text pattern)
{
	struct match printable = { NULL, NULL };
	size_t n;
	uint32_t *c = pattern_decode(pattern, &n);
	bool single = pattern.n && memchr(pattern.bytes, '\'', pattern.n);
	bool both = single && memchr(pattern.bytes, '"', pattern.n);
	char quote = single && !both ? '"' : '\'';

	if (!c || compile(&printable, "[^\\p{C}\\p{Z}]") == PATTERN_NO_MEMORY) {
		free(c);
		return -ENOMEM;
	}
	fputc(quote, to);
	for (size_t i = 0; i < n; i++)
		put_repr_char(to, &printable, c[i], quote);
	fputc(quote, to);
	match_fini(&printable);
	free(c);
	return 0;
}
