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

/*
 * What follows the closing parenthesis of the command, field 2 of /proc/PID/stat; or NULL. PID 0 is this
 * process.
 */
static char *read_stat(pid_t pid, char *text, size_t cap)
{
	char path[32] = "/proc/self/stat";
	size_t n;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = process_read(path, text, cap - 1);
	text[n] = '\0';
	return strrchr(text, ')');
}

bool process_is_filtered(void)
{
	static bool is; /* a filter never goes away again */
	char text[4096];
	const char *mode;

	if (is)
		return true;
	text[process_read("/proc/self/status", text, sizeof(text) - 1)] = '\0';
	mode = strstr(text, "\nSeccomp:\t");
	is = mode && mode[10] == '2';
	return is;
}

void process_ids(pid_t *pid, pid_t *parent)
{
	char text[1024];
	size_t n;
	const char *at;

	if (!process_is_filtered()) {
		*pid = getpid();
		*parent = getppid();
		return;
	}
	n = process_read("/proc/self/stat", text, sizeof(text) - 1);
	text[n] = '\0';
	*pid = (pid_t)strtol(text, NULL, 10);
	at = strrchr(text, ')'); /* of the command, which may hold anything; then the state */
	*parent = at && n - (size_t)(at - text) > 4 ? (pid_t)strtol(at + 4, NULL, 10) : 0;
}

uint64_t process_address_bytes(void)
{
	char text[128];

	text[process_read("/proc/self/statm", text, sizeof(text) - 1)] = '\0';
	return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t read_field(pid_t pid, int which)
{
	char text[1024];
	char *at = read_stat(pid, text, sizeof(text));

	for (int field = 2; at && field < which; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

uint64_t process_start(pid_t pid)
{
	return read_field(pid, 22);
}

uint64_t process_threads(void)
{
	return read_field(0, 20);
}

bool process_is_zombie(pid_t pid)
{
	char text[1024];
	const char *at = read_stat(pid, text, sizeof(text));

	return at && at[1] == ' ' && (at[2] == 'Z' || at[2] == 'X');
}
