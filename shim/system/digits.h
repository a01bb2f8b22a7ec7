/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decimal numbers without the C library, whose pages a forked child would have to map for them.
 * Async-signal-safe.
 */
#ifndef SHIM_DIGITS_H
#define SHIM_DIGITS_H

#include <stdint.h>

#define DIGITS_MAX 20 /* of a uint64_t */

/* Writes the digits of `n` at `to`, without a NUL; their end. */
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

/* The number at the start of a text, behind spaces; 0 where there is none. */
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
