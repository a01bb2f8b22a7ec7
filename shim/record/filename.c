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
#define MAX_GAP 64 /* missing numbers in a row that end the search */
#define MAX_PATH_BYTES 256

/*
 * Limits for former programs of this process. The last one is always kept; of the others, the
 * latest are kept that fit.
 */
#define MAX_FORMER 32
#define MAX_FORMER_BYTES (64ull << 20)

static uint32_t n_images, n_images_removed; /* of the recording that was created last */

/* Makes the path pyprof.PID (i = 0), pyprof.PID.1, ... */
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

/* --- the owner of a file ---------------------------------------------------------------------- */

/*
 * The fields of a header that identify its process. A whole header is too large for the stack of a
 * small thread.
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
	OWNER_OTHER,  /* not ours, or unknown */
	OWNER_DEAD,   /* of an ended process that had our PID, or of another boot */
	OWNER_FORMER, /* of this process, before execve(2) */
};

/*
 * Returns the owner of a file of another boot. On a file system that several machines share,
 * another boot may be that of another machine, whose process runs.
 */
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

/* Opens a regular file of this user that has one name only. `access` is O_RDONLY or O_RDWR. */
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
	unsigned number;	   /* in its name */
	uint32_t image, n_removed; /* order of execution, from 0; how many were removed before it */
	uint64_t bytes;
};

/* Finds those that have a number behind the PID, in any order. */
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

/* Removes the oldest ones until the rest is within the limits. Returns how many it removed. */
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

/* Marks the file as replaced, for a reader that opens it by its name. */
static void mark_replaced(const char *path)
{
	uint64_t now = pyprof_clock_ns(CLOCK_MONOTONIC);
	struct stat st;
	int fd = open_own(path, O_RDWR, &st);

	if (fd < 0)
		return;
	if (pwrite(fd, &now, sizeof(now), offsetof(struct pyprof_header, replaced_mono_ns)) < 0) {
		/* A reader then finds out because the process does not have the file mapped. */
	}
	close(fd);
}

/* --- names ------------------------------------------------------------------------------------ */

/* Renames a file to the first free number. */
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

/*
 * Called if a file of another owner has the plain name: then the program before this one has a
 * number already.
 */
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
 * Frees the plain name for the living program. A file with this name that belongs to a dead
 * process, or to a former program of this process, is renamed to a number.
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

/* Returns a random number that is probably free, for when MAX_NAMES names are taken. */
static unsigned number_at_random(void)
{
	return MAX_NAMES + (unsigned)(pyprof_clock_ns(CLOCK_REALTIME) / 1000 % 1000000000);
}

/* Creates a file under a new name, never under an existing one. */
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
