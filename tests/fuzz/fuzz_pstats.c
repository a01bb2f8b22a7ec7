/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a pstats file.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

static char path[] = "/dev/shm/pyshim-fuzz-XXXXXX";
static int fd;

static void remove_file(void)
{
	unlink(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_init();
	fd = mkstemp(path);
	if (fd < 0)
		abort();
	return atexit(remove_file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A recording would be something else: see fuzz_recording.c. */
	if (!size || (data[0] & 0x7f) != '{')
		return 0;
	if (ftruncate(fd, (off_t)size) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	fuzz_source(path, data[size - 1]);
	return 0;
}
