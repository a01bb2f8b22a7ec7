/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "input.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 };

#define MAX_BYTES (8ull << 30)

static bool is_zero(const char *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE_BYTES - 1);
}

/* Reads a page, or less at the end of the input. Returns the number of bytes or -errno. */
static ssize_t read_page(char *page)
{
	size_t n = 0;
	ssize_t got = 1;

	while (n < PAGE_BYTES && got) {
		got = read(STDIN_FILENO, page + n, PAGE_BYTES - n);
		if (got < 0 && errno != EINTR)
			return -errno;
		n += got > 0 ? (size_t)got : 0;
	}
	return (ssize_t)n;
}

/* Copies standard input. Pages of zeroes, which a recording has reserved only, become holes. */
static int copy_to(int fd)
{
	char page[PAGE_BYTES];
	uint64_t at = 0;
	ssize_t n;

	while ((n = read_page(page)) > 0) {
		if (at + (uint64_t)n > MAX_BYTES)
			return -EFBIG;
		if ((n < PAGE_BYTES || !is_zero(page)) &&
		    pwrite(fd, page, (size_t)n, (off_t)at) != n)
			return -errno;
		at += (uint64_t)n;
	}
	if (n < 0)
		return (int)n;
	return ftruncate(fd, (off_t)at) < 0 ? -errno : 0;
}

static int refuse(struct error *error, const char *found)
{
	return error_set(
		error, -EINVAL,
		"read standard input: found %s, expected a recording or a pstats file of at "
		"most 8 GiB",
		found);
}

/* Returns the descriptor of the copy, which stays open, or -errno. */
static int copy_input(struct error *error)
{
	int fd, err;

	if (isatty(STDIN_FILENO))
		return refuse(error, "a terminal");
	fd = memfd_create("standard input", MFD_CLOEXEC);
	if (fd < 0)
		return refuse(error, strerror(errno));
	err = copy_to(fd);
	if (!err)
		return fd;
	close(fd);
	return refuse(error, err == -EFBIG ? "more" : strerror(-err));
}

const char *input_path(const char *name, struct error *error)
{
	static char path[64];
	int fd;

	if (strcmp(name, "-"))
		return name;
	if (!*path) {
		fd = copy_input(error);
		if (fd < 0)
			return NULL;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	return path;
}
