/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the exception of Python's pstats.Stats(FILE) for a file that is not a profile, which the
 * browser prints. Owns nothing. browse calls it, from one thread. It must not guess: if the
 * exception is not known for certain, the kind is REFUSAL_UNKNOWN.
 */
#ifndef READER_REFUSAL_H
#define READER_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

enum refusal_kind {
	REFUSAL_UNKNOWN, /* the exception is not known, or Python would accept the file */
	REFUSAL_BYTES,	 /* the bytes are not a marshalled value: `words` */
	REFUSAL_EMPTY,	 /* the value is false, so there are no statistics */
	REFUSAL_VALUE,	 /* the value is not a dict of statistics: `words` */
};

struct refusal {
	enum refusal_kind kind;
	char words[128]; /* the exception, like "ValueError: ..."; "" if not known */
};

/* Sets `r` for the bytes of a file. Without memory, the kind is REFUSAL_UNKNOWN. */
void refusal_find(struct refusal *r, const void *bytes, size_t n_bytes);

#endif
