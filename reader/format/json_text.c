/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json_text.h"

#include "profile/profile.h"

static bool needs_escape(const unsigned char *s, bool in_script)
{
	return *s < 0x20 || *s == '"' || *s == '\\' || (*s == '<' && in_script) ||
	       (*s == 0xed && s[1] >= 0xa0);
}

/* Number of bytes at `s` that need no escape. */
static size_t plain_bytes(const unsigned char *s, size_t n, bool in_script)
{
	size_t at = 0;

	while (at < n) {
		size_t more = text_sequence(s + at, n - at);

		if (!more || needs_escape(s + at, in_script))
			break;
		at += more;
	}
	return at;
}

/*
 * Prints the next character as an escape, and returns its bytes. A byte that is not UTF-8 becomes
 * U+DC00 + byte, as by os.fsdecode.
 */
static size_t put_escape(FILE *to, const unsigned char *s, size_t n)
{
	size_t bytes = text_sequence(s, n);

	if (bytes == 3) {
		fprintf(to, "\\u%04x", 0xd000u | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu));
		return 3;
	}
	if (!bytes)
		fprintf(to, "\\u%04x", 0xdc00u | *s);
	else if (*s == '"' || *s == '\\')
		fprintf(to, "\\%c", *s);
	else
		fprintf(to, "\\u%04x", *s);
	return 1;
}

static void put_part(FILE *to, struct text t, bool in_script)
{
	const unsigned char *s = (const unsigned char *)t.bytes;

	for (size_t at = 0; at < t.n;) {
		size_t plain = plain_bytes(s + at, t.n - at, in_script);

		fwrite_unlocked(s + at, 1, plain, to);
		at += plain;
		if (at < t.n)
			at += put_escape(to, s + at, t.n - at);
	}
}

void json_text_put_part(FILE *to, struct text t)
{
	put_part(to, t, false);
}

void json_text_put_in_script(FILE *to, struct text t)
{
	fputc_unlocked('"', to);
	put_part(to, t, true);
	fputc_unlocked('"', to);
}

void json_text_put(FILE *to, struct text t)
{
	fputc_unlocked('"', to);
	json_text_put_part(to, t);
	fputc_unlocked('"', to);
}
