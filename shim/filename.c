/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filename.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "process.h"
#include "pyprof/abi.h"

#define MAX_NAMES 1000
#define MAX_PATH_BYTES 256

/* pyprof.PID, pyprof.PID.1, ... */
static bool name_path(char *path, size_t cap, int pid, int i)
{
	int n = snprintf(path, cap, i ? "%s/pyprof.%d.%d" : "%s/pyprof.%d", config.dir, pid, i);

	return n > 0 && (size_t)n < cap;
}

/* One at a time: the whole header is too much for a thread with a small stack. */
static bool read_word(int fd, size_t offset, uint64_t *word)
{
	return pread(fd, word, sizeof(*word), (off_t)offset) == (ssize_t)sizeof(*word);
}

/* Whether a file is the recording of a process that had our PID before us, and is ours to move. */
static bool is_predecessors(const char *path, uint64_t own_start)
{
	uint64_t magic, start;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool is = false;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    read_word(fd, offsetof(struct pyprof_header, magic), &magic) &&
	    read_word(fd, offsetof(struct pyprof_header, process_start), &start))
		is = magic == PYPROF_MAGIC && own_start && start != own_start;
	close(fd);
	return is;
}

/*
 * The plain name is the living process's: a recording that a dead process with our PID has left
 * there gets a number. It is not changed.
 */
static void move_predecessor(int pid, uint64_t own_start)
{
	char plain[MAX_PATH_BYTES], other[MAX_PATH_BYTES];

	if (!name_path(plain, sizeof(plain), pid, 0) || !is_predecessors(plain, own_start))
		return;
	for (int i = 1; i < MAX_NAMES; i++) {
		if (!name_path(other, sizeof(other), pid, i) ||
		    renameat2(AT_FDCWD, plain, AT_FDCWD, other, RENAME_NOREPLACE) == 0 ||
		    errno != EEXIST)
			return;
	}
}

/*
 * A name of our own: never one that exists. The plain name belongs to this process already when it
 * has called execv.
 */
static int open_new(char *path, size_t cap, int pid)
{
	int fd = -1;

	for (int i = 0; i < MAX_NAMES; i++) {
		if (!name_path(path, cap, pid, i))
			return -ENAMETOOLONG;
		fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	return fd < 0 ? -errno : fd;
}

int filename_create(char *path, size_t cap, int pid, uint64_t process_start)
{
	if (!process_is_filtered())
		move_predecessor(pid, process_start);
	return open_new(path, cap, pid);
}

int filename_take(char *path, size_t cap, const char *old, int pid, uint64_t process_start)
{
	move_predecessor(pid, process_start);
	if (!name_path(path, cap, pid, 0))
		return -ENAMETOOLONG;
	return renameat2(AT_FDCWD, old, AT_FDCWD, path, RENAME_NOREPLACE) < 0 ? -errno : 0;
}
