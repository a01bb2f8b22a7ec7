/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Returns the length of a UTF-8 character, or 0 if it is invalid or controls a terminal. */
static size_t printable_bytes(const unsigned char *text)
{
	size_t n = *text < 0x80 ? 1 : *text < 0xc2 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : 4;

	if (*text < ' ' || *text == 127 || *text > 0xf4 || (*text == 0xc2 && text[1] < 0xa0))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

void error_make_printable(char *text)
{
	while (*text) {
		size_t n = printable_bytes((const unsigned char *)text);

		if (!n)
			*text = '?';
		text += n ? n : 1;
	}
}

int error_set(struct error *e, int err, const char *format, ...)
{
	va_list args;

	if (!e)
		return err;
	va_start(args, format);
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	error_make_printable(e->text);
	return err;
}

const char *error_text(const struct error *e, int err)
{
	return *e->text ? e->text : strerror(-err);
}
