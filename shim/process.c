/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t process_read(const char *path, char *out, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0)
		return 0;
	while (n < cap) {
		ssize_t got = read(fd, out + n, cap - n);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	return n;
}

uint64_t process_start(pid_t pid)
{
	char path[32], text[1024];
	size_t n;
	char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = process_read(path, text, sizeof(text) - 1);
	text[n] = '\0';
	/* Fields are counted behind the closing parenthesis of the command, field 2. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}
