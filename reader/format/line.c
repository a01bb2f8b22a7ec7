/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "line.h"

void line_put(FILE *to, struct text t)
{
	const unsigned char *s = (const unsigned char *)t.bytes;
	size_t from = 0;

	for (size_t at = 0; at + 2 < t.n; at++) {
		if (s[at] != 0xed || s[at + 1] < 0xa0)
			continue;
		fwrite(s + from, 1, at - from, to);
		fprintf(to, "\\u%04x", 0xd000u | (s[at + 1] & 0x3fu) << 6 | (s[at + 2] & 0x3fu));
		from = at + 3;
		at += 2;
	}
	fwrite(s + from, 1, t.n - from, to);
}

static size_t begins_one(char byte)
{
	return ((unsigned char)byte & 0xc0) != 0x80;
}

size_t line_width(struct text t)
{
	size_t width = 0;

	for (size_t i = 0; i < t.n; i++)
		width += begins_one(t.bytes[i]);
	return width;
}

struct text line_tail(struct text t, size_t width)
{
	size_t at = t.n;

	while (at && width) {
		at--;
		width -= begins_one(t.bytes[at]);
	}
	return (struct text){ t.bytes + at, t.n - at };
}
