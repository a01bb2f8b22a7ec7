/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text of an error: "verb object: what was found, what was expected", in one line that is safe
 * for a terminal. Functions that can fail return 0 or -errno and fill one, which their caller owns.
 */
#ifndef READER_ERROR_H
#define READER_ERROR_H

struct error {
	char text[512]; /* "": none was given */
};

/* Sets the text, cut off where it is too long, and returns `err`. `e` may be NULL. */
int error_set(struct error *e, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The text; where there is none, that of the errno `-err`. */
const char *error_text(const struct error *e, int err);

/* Replaces control characters and bytes that are not UTF-8 by question marks. */
void error_make_printable(char *text);

#endif
