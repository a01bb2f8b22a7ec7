/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text of an error: "verb object: found X, expected Y", one line that is safe for a terminal.
 * Owns nothing: the caller owns the struct, and a function that fails returns -errno and sets it.
 * All of the reader calls it, from any thread. It must not allocate.
 */
#ifndef READER_ERROR_H
#define READER_ERROR_H

struct error {
	char text[512]; /* "" if no text was set */
};

/* Sets the text, truncated if it is too long, and returns `err`. `e` may be NULL. */
int error_set(struct error *e, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Returns the text, or strerror(-err) if no text was set. */
const char *error_text(const struct error *e, int err);

/* Replaces control characters and bytes that are not UTF-8 by question marks. */
void error_make_printable(char *text);

#endif
