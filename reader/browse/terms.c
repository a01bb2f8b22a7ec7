/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "terms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The length in bytes of the blank at `at`, or 0. */
static size_t blank_bytes(struct text t, size_t at)
{
	/* U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000 */
	static const char wide[][4] = {
		"\xc2\x85",	"\xc2\xa0",	"\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
		"\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
		"\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
		"\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
	};
	unsigned char c = (unsigned char)t.bytes[at];

	if (c < 0x80)
		return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		size_t n = strlen(wide[i]);

		if (t.n - at >= n && !memcmp(t.bytes + at, wide[i], n))
			return n;
	}
	return 0;
}

struct text terms_strip(struct text line)
{
	size_t start = 0, end = 0, n;

	while (start < line.n && (n = blank_bytes(line, start)))
		start += n;
	for (size_t at = end = start; at < line.n; at += n ? n : 1) {
		n = blank_bytes(line, at);
		if (!n)
			end = at + 1;
	}
	return (struct text){ line.bytes + start, end - start };
}

int terms_split(struct terms *t, struct text line)
{
	size_t start = 0, n;

	t->n = 0;
	t->buffer = malloc(line.n + 1);
	t->word = reallocarray(NULL, line.n / 2 + 1, sizeof(*t->word));
	if (!t->buffer || !t->word)
		return -ENOMEM;
	memcpy(t->buffer, line.bytes, line.n);
	t->buffer[line.n] = 0;
	for (size_t at = 0; at <= line.n; at += n ? n : 1) {
		n = at < line.n ? blank_bytes(line, at) : 1;
		if (!n)
			continue;
		if (at > start)
			t->word[t->n++] = (struct text){ t->buffer + start, at - start };
		t->buffer[at] = 0;
		start = at + n;
	}
	return 0;
}

void terms_close(struct terms *t)
{
	free(t->buffer);
	free(t->word);
}

/* Returns the end of digits, which may have single underscores between them. NULL: no digit. */
static const char *skip_digits(const char *s)
{
	if (*s < '0' || *s > '9')
		return NULL;
	while ((*s >= '0' && *s <= '9') || (*s == '_' && s[1] >= '0' && s[1] <= '9'))
		s++;
	return s;
}

static const char *skip_sign(const char *s)
{
	return s + (*s == '+' || *s == '-');
}

/* int() of 3.11 and later accepts no more digits. */
enum { MAX_DIGITS = 4300 };

static bool is_integer(const char *word)
{
	const char *digits = skip_sign(word), *end = skip_digits(digits);
	size_t n = 0;

	for (const char *s = digits; end && s < end; s++)
		n += *s != '_';
	return end && !*end && n <= MAX_DIGITS;
}

static bool is_real(const char *word)
{
	const char *s = skip_sign(word), *whole, *part = NULL;

	if (!strcasecmp(s, "nan") || !strcasecmp(s, "inf") || !strcasecmp(s, "infinity"))
		return true;
	whole = skip_digits(s);
	s = whole ? whole : s;
	if (*s == '.') {
		part = skip_digits(++s);
		s = part ? part : s;
	}
	if (!whole && !part)
		return false;
	if (*s == 'e' || *s == 'E') {
		s = skip_digits(skip_sign(s + 1));
		if (!s)
			return false;
	}
	return !*s;
}

static void remove_underscores(char *to, const char *word)
{
	for (; *word; word++)
		if (*word != '_')
			*to++ = *word;
	*to = 0;
}

bool terms_restriction(struct text word, struct restriction *out)
{
	bool integer = is_integer(word.bytes);
	char *number;

	*out = (struct restriction){ .kind = RESTRICT_PATTERN, .pattern = word };
	if (strlen(word.bytes) != word.n || (!integer && !is_real(word.bytes)))
		return true;
	number = (char *)word.bytes; /* in the buffer of the terms; not needed as a pattern */
	remove_underscores(number, word.bytes);
	if (integer) { /* strtoll limits it; the limit restricts nothing, like the number itself */
		out->kind = RESTRICT_COUNT;
		out->count = strtoll(number, NULL, 10);
		return true;
	}
	out->kind = RESTRICT_FRACTION;
	out->fraction = strtod(number, NULL);
	return !(out->fraction > 1 || out->fraction < 0);
}
