/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Puts JSON values to a stream, one after the other, with separators. The formats that are JSON or
 * contain it call it, in the reader's one thread. Owns nothing. Errors stay in the stream.
 * LC_NUMERIC must be C.
 *
 * The bytes are UTF-8. A surrogate in a text is printed as an escape like \udcXX, which Python's
 * json.loads reads back as the same str.
 */
#ifndef READER_PUT_H
#define READER_PUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "profile/profile.h"

struct put {
	FILE *to;
	bool any;	/* the current array or object has a value already */
	bool in_script; /* within a script element of HTML: no text may contain "<" */
};

/* Prints the text unchanged. */
void put_raw(struct put *j, const char *text);
/* Separates a value or a key from the one before it. */
void put_separator(struct put *j);

/* `bracket`: "{" or "[", and at the end "}" or "]". */
void put_begin(struct put *j, const char *bracket);
/* Begins on a new line: documents can be read, and compared line by line. */
void put_begin_line(struct put *j, const char *bracket);
void put_end(struct put *j, const char *bracket);

/* In an object, before each value. `name` is printed unchanged. */
void put_key(struct put *j, const char *name);

void put_null(struct put *j);
void put_bool(struct put *j, bool value);
void put_int(struct put *j, int64_t value);
void put_count(struct put *j, uint64_t value);

/*
 * Prints at most 15 digits, or 16 or 17 if fewer do not read back as the same double. A point or an
 * exponent makes it a float in Python. A number that is not finite is null.
 */
void put_seconds(struct put *j, double value);

void put_text(struct put *j, struct text t);
void put_string(struct put *j, const char *s);
/* For an array of `cap` bytes in a recording, which may lack its NUL. */
void put_bounded_string(struct put *j, const char *s, size_t cap);

/* A key and its value. */
void put_key_string(struct put *j, const char *key, const char *value);
void put_key_bool(struct put *j, const char *key, bool value);
void put_key_count(struct put *j, const char *key, uint64_t value);
void put_key_seconds(struct put *j, const char *key, double value);

#endif
