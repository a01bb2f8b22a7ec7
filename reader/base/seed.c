/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seed.h"

#include <string.h>
#include <sys/auxv.h>

uint64_t seed_odd[2] = { 0x9e3779b97f4a7c15ull, 0xd1b54a32d192ed03ull };

/* AT_RANDOM points to 16 random bytes from the kernel. */
__attribute__((constructor)) static void take_seed(void)
{
	const char *random = (const char *)getauxval(AT_RANDOM);

	if (random)
		memcpy(seed_odd, random, sizeof(seed_odd));
	seed_odd[0] |= 1;
	seed_odd[1] |= 1;
}
