/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Splits a typed line into words and numbers, like Python's str.strip, str.split, int and float:
 * blanks are those of Unicode, and digits may have underscores between them. Only ASCII digits are
 * accepted. browse.c calls it. Its state is in the caller's struct terms; it must not print.
 */
#ifndef READER_TERMS_H
#define READER_TERMS_H

#include "format/report.h"

/* Without the blanks around it. */
struct text terms_strip(struct text line);

struct terms {
	char *buffer;
	struct text *word; /* each with a NUL behind it */
	size_t n;
};

/* 0 or -ENOMEM; call terms_close in both cases. */
int terms_split(struct terms *t, struct text line);
void terms_close(struct terms *t);

/*
 * The restriction that pstats' browser makes of a word: an integer, else a fraction, else a
 * pattern. The word must outlive it. False for another number, such as 1.5.
 */
bool terms_restriction(struct text word, struct restriction *out);

#endif
