/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fuzz target: any bytes as a pstats file. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Recordings belong to fuzz_recording.c. */
	if (!size || (data[0] & 0x7f) != '{')
		return 0;
	fuzz_source(fuzz_file(data, size), data[size - 1]);
	return 0;
}
