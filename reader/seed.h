/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random numbers of this process, for its hash tables: the numbers and names in a file could be
 * chosen so that they all meet in one place of a table whose hash is known.
 */
#ifndef READER_SEED_H
#define READER_SEED_H

#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

/* 0 <= which < 2: odd, and the same as long as the process lives. The kernel has made it. */
static inline uint64_t seed_odd(unsigned which)
{
	const char *random = (const char *)getauxval(AT_RANDOM); /* 16 bytes */
	uint64_t seed = 0x9e3779b97f4a7c15ull;

	if (random)
		memcpy(&seed, random + which * sizeof(seed), sizeof(seed));
	return seed | 1;
}

#endif
