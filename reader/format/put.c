/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "put.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void put_raw(struct put *j, const char *text)
{
	fputs_unlocked(text, j->to);
}

void put_separator(struct put *j)
{
	if (j->any)
		put_raw(j, ", ");
	j->any = true;
}

void put_begin(struct put *j, const char *bracket)
{
	put_separator(j);
	put_raw(j, bracket);
	j->any = false;
}

void put_end(struct put *j, const char *bracket)
{
	put_raw(j, bracket);
	j->any = true;
}

void put_begin_line(struct put *j, const char *bracket)
{
	put_raw(j, j->any ? ",\n" : "\n");
	j->any = false;
	put_begin(j, bracket);
}

void put_key(struct put *j, const char *name)
{
	put_separator(j);
	fprintf(j->to, "\"%s\": ", name);
	j->any = false;
}

void put_null(struct put *j)
{
	put_separator(j);
	put_raw(j, "null");
}

void put_bool(struct put *j, bool value)
{
	put_separator(j);
	put_raw(j, value ? "true" : "false");
}

void put_int(struct put *j, int64_t value)
{
	put_separator(j);
	fprintf(j->to, "%" PRId64, value);
}

void put_count(struct put *j, uint64_t value)
{
	put_separator(j);
	fprintf(j->to, "%" PRIu64, value);
}

void put_seconds(struct put *j, double value)
{
	char digits[40];
	int precision = 15;

	if (!isfinite(value)) { /* from a pstats file, or an unknown value */
		put_null(j);
		return;
	}
	do
		snprintf(digits, sizeof(digits), "%.*g", precision++, value);
	while (precision <= 17 && strtod(digits, NULL) != value);
	put_separator(j);
	put_raw(j, digits);
	if (!strpbrk(digits, ".e"))
		put_raw(j, ".0");
}

static bool needs_escape(const struct put *j, const unsigned char *s)
{
	return *s < 0x20 || *s == '"' || *s == '\\' || (*s == '<' && j->in_script) ||
	       (*s == 0xed && s[1] >= 0xa0);
}

/* Number of bytes at `s` that need no escape. */
static size_t plain_bytes(const struct put *j, const unsigned char *s, size_t n)
{
	size_t at = 0;

	while (at < n) {
		size_t more = text_sequence(s + at, n - at);

		if (!more || needs_escape(j, s + at))
			break;
		at += more;
	}
	return at;
}

/*
 * Prints the next character as an escape, and returns its bytes. A byte that is not UTF-8 becomes
 * U+DC00 + byte, as by os.fsdecode.
 */
static size_t put_escape(struct put *j, const unsigned char *s, size_t n)
{
	size_t bytes = text_sequence(s, n);

	if (bytes == 3) {
		fprintf(j->to, "\\u%04x", 0xd000u | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu));
		return 3;
	}
	if (!bytes)
		fprintf(j->to, "\\u%04x", 0xdc00u | *s);
	else if (*s == '"' || *s == '\\')
		fprintf(j->to, "\\%c", *s);
	else
		fprintf(j->to, "\\u%04x", *s);
	return 1;
}

void put_text(struct put *j, struct text t)
{
	const unsigned char *s = (const unsigned char *)t.bytes;

	put_separator(j);
	put_raw(j, "\"");
	for (size_t at = 0; at < t.n;) {
		size_t plain = plain_bytes(j, s + at, t.n - at);

		fwrite_unlocked(s + at, 1, plain, j->to);
		at += plain;
		if (at < t.n)
			at += put_escape(j, s + at, t.n - at);
	}
	put_raw(j, "\"");
}

void put_string(struct put *j, const char *s)
{
	put_text(j, (struct text){ s, strlen(s) });
}

void put_bounded_string(struct put *j, const char *s, size_t cap)
{
	put_text(j, (struct text){ s, strnlen(s, cap) });
}

void put_key_string(struct put *j, const char *key, const char *value)
{
	put_key(j, key);
	put_string(j, value);
}

void put_key_bool(struct put *j, const char *key, bool value)
{
	put_key(j, key);
	put_bool(j, value);
}

void put_key_count(struct put *j, const char *key, uint64_t value)
{
	put_key(j, key);
	put_count(j, value);
}

void put_key_seconds(struct put *j, const char *key, double value)
{
	put_key(j, key);
	put_seconds(j, value);
}
