/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Texts in lines for people: how wide they are, and how they are printed. The text report and the
 * call tree call it, in the reader's one thread. Owns nothing. It must not escape control
 * characters: see select/shown.h.
 */
#ifndef READER_LINE_H
#define READER_LINE_H

#include <stdio.h>

#include "base/texts.h"

/* Prints the bytes. A surrogate, which is not UTF-8, is printed as \udcXX. */
void line_put(FILE *to, struct text t);

/* Width in code points: bytes that do not continue one. */
size_t line_width(struct text t);

/* Returns the last `width` code points of a text. */
struct text line_tail(struct text t, size_t width);

#endif
