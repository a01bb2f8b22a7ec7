/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A line that was typed -> words and numbers, as Python's str.strip, str.split, int and float take
 * them apart: blanks are those of Unicode, digits may have underscores between them. Digits of
 * other scripts are no digits here. Pure.
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

/* 0 or -ENOMEM; terms_close is for both. */
int terms_split(struct terms *t, struct text line);
void terms_close(struct terms *t);

/*
 * The restriction that a word is to pstats' browser: an integer, else a fraction, else a pattern.
 * The word must outlive it. False where it is a number that is neither, as 1.5.
 */
bool terms_restriction(struct text word, struct restriction *out);

#endif
