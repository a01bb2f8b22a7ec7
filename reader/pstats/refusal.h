/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Python's pstats says of a file that is no profile: the exception that pstats.Stats(FILE)
 * ends with, as the browser prints it. Pure.
 */
#ifndef READER_REFUSAL_H
#define READER_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

enum refusal_kind {
	REFUSAL_UNKNOWN, /* Python has other words than those known here, or would take the file */
	REFUSAL_BYTES,	 /* they are no marshalled value: `words` */
	REFUSAL_EMPTY,	 /* the value is false: nothing to make statistics of */
	REFUSAL_VALUE,	 /* the value is another thing than statistics: `words` */
};

struct refusal {
	enum refusal_kind kind;
	char words[128]; /* "ValueError: ..." */
};

void refusal_find(struct refusal *r, const void *bytes, size_t n_bytes);

#endif
