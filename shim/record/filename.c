/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filename.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "pyprof/clock.h"
#include "pyprof/process.h"
#include "system/config.h"
#include "system/digits.h"
#include "system/process.h"

#define MAX_NAMES 1000
#define MAX_GAP 64 /* numbers in a row without a file, behind which no more are looked for */
#define MAX_PATH_BYTES 256

/*
 * Of former programs of this process the last is kept, and of the others the latest that fit into
 * this.
 */
#define MAX_FORMER 32
#define MAX_FORMER_BYTES (64ull << 20)

static uint32_t n_images, n_images_removed; /* of the recording that was created last */

/* pyprof.PID, pyprof.PID.1, ... */
static bool name_path(char *path, size_t cap, uint32_t pid, unsigned i)
{
	static const char plain[] = "/" PYPROF_FILE_PREFIX;
	size_t n = strlen(config.dir);

	if (n + sizeof(plain) + 2 * DIGITS_MAX + 1 > cap)
		return false;
	memcpy(path, config.dir, n);
	memcpy(path + n, plain, sizeof(plain));
	path = digits_put(path + n + sizeof(plain) - 1, pid);
	if (i) {
		*path++ = '.';
		path = digits_put(path, i);
	}
	*path = '\0';
	return true;
}

/* --- whose a file is -------------------------------------------------------------------------- */

/*
 * The parts of a header that tell; a whole one would be a large thing for the stack of a small
 * thread.
 */
struct identity {
	uint64_t magic;
	uint32_t pid;
	uint64_t process_start, pid_namespace;
	uint32_t n_images, n_images_removed;
	char boot_id[40];
};

static bool read_at(int fd, void *to, size_t bytes, size_t offset)
{
	return pread(fd, to, bytes, (off_t)offset) == (ssize_t)bytes;
}

#define READ_FIELD(fd, to, field) \
	read_at(fd, to, sizeof(*(to)), offsetof(struct pyprof_header, field))

static bool read_identity(int fd, struct identity *f)
{
	uint16_t version[2];

	if (!READ_FIELD(fd, &f->magic, magic) || !READ_FIELD(fd, &version, major) ||
	    !READ_FIELD(fd, &f->pid, pid) || !READ_FIELD(fd, &f->process_start, process_start) ||
	    !READ_FIELD(fd, &f->boot_id, boot_id) ||
	    !READ_FIELD(fd, &f->pid_namespace, pid_namespace) ||
	    !READ_FIELD(fd, &f->n_images, n_images) ||
	    !READ_FIELD(fd, &f->n_images_removed, n_images_removed))
		return false;
	if (version[0] != PYPROF_MAJOR || version[1] < 1)
		f->pid_namespace = f->n_images = f->n_images_removed = 0;
	return f->magic == PYPROF_MAGIC;
}

enum owner {
	OWNER_OTHER,  /* not ours, or nobody can tell from here */
	OWNER_DEAD,   /* of a process that had our PID, or another boot's */
	OWNER_FORMER, /* of this process, before execve(2) */
};

/* On a disk that several machines share, another boot may be another machine, which runs. */
static enum owner owner_of_other_boot(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 || pyprof_is_shared_by_machines((uint64_t)fs.f_type)
		       ? OWNER_OTHER
		       : OWNER_DEAD;
}

static enum owner judge(const struct pyprof_header *own, const struct identity *f, int fd)
{
	if (*own->boot_id && *f->boot_id &&
	    strncmp(own->boot_id, f->boot_id, sizeof(f->boot_id)) != 0)
		return owner_of_other_boot(fd);
	if (f->pid != own->pid || !own->process_start || !own->pid_namespace ||
	    f->pid_namespace != own->pid_namespace)
		return OWNER_OTHER;
	return f->process_start == own->process_start ? OWNER_FORMER : OWNER_DEAD;
}

/* A regular file of this user, under one name only; `access` is O_RDONLY or O_RDWR. */
static int open_own(const char *path, int access, struct stat *st)
{
	int fd = open(path, access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd >= 0 && (fstat(fd, st) < 0 || !S_ISREG(st->st_mode) || st->st_uid != geteuid() ||
			st->st_nlink != 1)) {
		close(fd);
		return -1;
	}
	return fd;
}

static enum owner owner_of(const char *path, const struct pyprof_header *own, struct identity *f,
			   struct stat *st)
{
	int fd = open_own(path, O_RDONLY, st);
	enum owner owner = OWNER_OTHER;

	if (fd < 0)
		return owner;
	if (read_identity(fd, f))
		owner = judge(own, f, fd);
	close(fd);
	return owner;
}

/* --- former programs of this process ---------------------------------------------------------- */

struct former {
	unsigned number; /* in its name */
	uint32_t image,
		n_removed; /* 0, 1, ... in the order in which they were executed; before it */
	uint64_t bytes;
};

/* Those that have a number behind the PID, in any order. */
static size_t find_former(const struct pyprof_header *own, struct former *out, size_t cap)
{
	char path[MAX_PATH_BYTES];
	struct identity f;
	struct stat st;
	size_t n = 0;

	for (unsigned i = 1, gap = 0; i < MAX_NAMES && gap < MAX_GAP && n < cap; i++) {
		if (!name_path(path, sizeof(path), own->pid, i))
			break;
		gap = access(path, F_OK) < 0 ? gap + 1 : 0;
		if (gap || owner_of(path, own, &f, &st) != OWNER_FORMER)
			continue;
		out[n++] = (struct former){ i, f.n_images, f.n_images_removed,
					    (uint64_t)st.st_blocks * 512 };
	}
	return n;
}

static size_t oldest_of(const struct former *former, size_t n)
{
	size_t oldest = 0;

	for (size_t i = 1; i < n; i++)
		oldest = former[i].image < former[oldest].image ? i : oldest;
	return oldest;
}

/* How many had to go, so that the rest is within bounds. */
static uint32_t remove_oldest(const struct pyprof_header *own)
{
	struct former former[MAX_FORMER + 8];
	size_t n = find_former(own, former, sizeof(former) / sizeof(former[0]));
	char path[MAX_PATH_BYTES];
	uint32_t n_removed = 0;
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += former[i].bytes;
	while (n > 1 && (n > MAX_FORMER || bytes > MAX_FORMER_BYTES)) {
		size_t oldest = oldest_of(former, n);

		if (name_path(path, sizeof(path), own->pid, former[oldest].number) &&
		    unlink(path) == 0)
			n_removed++;
		bytes -= former[oldest].bytes;
		former[oldest] = former[--n];
	}
	return n_removed;
}

/* Its file says that it is over, for who reads it by its name. */
static void mark_replaced(const char *path)
{
	uint64_t now = pyprof_clock_ns(CLOCK_MONOTONIC);
	struct stat st;
	int fd = open_own(path, O_RDWR, &st);

	if (fd < 0)
		return;
	if (pwrite(fd, &now, sizeof(now), offsetof(struct pyprof_header, replaced_mono_ns)) < 0) {
		/* It is then told by that the process does not have it mapped. */
	}
	close(fd);
}

/* --- names ------------------------------------------------------------------------------------ */

/* Gives a file the first number that is free. */
static bool give_number(const char *path, uint32_t pid)
{
	char other[MAX_PATH_BYTES];

	for (unsigned i = 1; i < MAX_NAMES; i++) {
		if (!name_path(other, sizeof(other), pid, i))
			return false;
		if (renameat2(AT_FDCWD, path, AT_FDCWD, other, RENAME_NOREPLACE) == 0)
			return true;
		if (errno != EEXIST)
			return false;
	}
	return false;
}

static void note_former(uint32_t image, uint32_t n_removed)
{
	n_images = image + 1;
	n_images_removed = n_removed;
}

/* The plain name is somebody else's, so the program before this one has a number already. */
static void find_latest(const struct pyprof_header *own)
{
	struct former former[MAX_FORMER + 8];
	size_t n = find_former(own, former, sizeof(former) / sizeof(former[0]));
	size_t latest = 0;
	char path[MAX_PATH_BYTES];

	for (size_t i = 1; i < n; i++)
		latest = former[i].image > former[latest].image ? i : latest;
	if (!n || !name_path(path, sizeof(path), own->pid, former[latest].number))
		return;
	note_former(former[latest].image, former[latest].n_removed);
	mark_replaced(path);
	n_images_removed += remove_oldest(own);
}

/*
 * The plain name is the living program's: what has it and is a dead process's, or a former
 * program's of this process, gets a number.
 */
static void make_way(const struct pyprof_header *own)
{
	char plain[MAX_PATH_BYTES];
	struct identity f;
	struct stat st;
	enum owner owner;

	if (!name_path(plain, sizeof(plain), own->pid, 0))
		return;
	owner = owner_of(plain, own, &f, &st);
	if (owner == OWNER_OTHER) {
		if (access(plain, F_OK) == 0)
			find_latest(own);
		return;
	}
	if (owner == OWNER_FORMER) {
		note_former(f.n_images, f.n_images_removed);
		mark_replaced(plain);
	}
	if (give_number(plain, own->pid) && owner == OWNER_FORMER)
		n_images_removed += remove_oldest(own);
}

/* Where a thousand names are taken, a number that nobody is likely to have. */
static unsigned number_at_random(void)
{
	return MAX_NAMES + (unsigned)(pyprof_clock_ns(CLOCK_REALTIME) / 1000 % 1000000000);
}

/* A name of our own: never one that exists. */
static int open_new(char *path, size_t cap, uint32_t pid)
{
	int fd = -1;

	for (unsigned i = 0; i < MAX_NAMES + 8; i++) {
		if (!name_path(path, cap, pid, i < MAX_NAMES ? i : number_at_random()))
			return -ENAMETOOLONG;
		fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	return fd < 0 ? -errno : fd;
}

int filename_create(char *path, size_t cap, const struct pyprof_header *own)
{
	n_images = n_images_removed = 0;
	if (!process_is_filtered())
		make_way(own);
	return open_new(path, cap, own->pid);
}

void filename_note_former(struct pyprof_header *h)
{
	h->n_images = n_images;
	h->n_images_removed = n_images_removed;
}

int filename_take(char *path, size_t cap, const char *old, const struct pyprof_header *own)
{
	int failed;

	if (!name_path(path, cap, own->pid, 0))
		return -ENAMETOOLONG;
	failed = renameat2(AT_FDCWD, old, AT_FDCWD, path, RENAME_NOREPLACE);
	if (failed && errno == EEXIST) {
		make_way(own);
		failed = renameat2(AT_FDCWD, old, AT_FDCWD, path, RENAME_NOREPLACE);
	}
	return failed ? -errno : 0;
}
