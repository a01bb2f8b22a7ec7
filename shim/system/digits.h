/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decimal numbers without the C library: a forked child would have to map its pages for them.
 * Header-only, without state. Any thread, with or without the GIL; async-signal-safe.
 */
#ifndef SHIM_DIGITS_H
#define SHIM_DIGITS_H

#include <stdint.h>

#define DIGITS_MAX 20 /* of a uint64_t */

/* Writes the digits of `n` at `to`, without a NUL, and returns their end. */
static inline char *digits_put(char *to, uint64_t n)
{
	char reversed[DIGITS_MAX];
	int count = 0;

	do
		reversed[count++] = (char)('0' + n % 10);
	while (n /= 10);
	while (count)
		*to++ = reversed[--count];
	return to;
}

/* Returns the number at the start of a text, after spaces; 0 if it is missing. */
static inline uint64_t digits_get(const char *text)
{
	uint64_t n = 0;

	while (*text == ' ')
		text++;
	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (uint64_t)(*text - '0');
	return n;
}

#endif
