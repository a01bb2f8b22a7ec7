/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profile/profile.h"
#include "pyprof/order.h"

#define MAX_BLOCK_BYTES (64u << 20)
#define EXTRA_BYTES (1ull << 30) /* of address space, for a file that grows */

/* --- a file that shrinks ---------------------------------------------------------------------- */

/* Mappings in which a bus error gives zeroes. Entries are only added and cleared. */
static struct {
	uintptr_t from, to;
	int prot;
} guarded[64];

/*
 * Maps zeroes from the page of the fault to the end of the mapping. One page at a time would take
 * more mappings than a process may have if the file is long.
 */
static bool give_zeroes(uintptr_t at)
{
	uintptr_t page = at & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1);

	for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++) {
		if (at >= guarded[i].from && at < guarded[i].to)
			return mmap((void *)page, guarded[i].to - page, guarded[i].prot,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
				    0) != MAP_FAILED;
	}
	return false;
}

/*
 * A signal that a process sent (si_code <= 0) or a fault outside the guarded mappings gets the
 * default action, which ends this process.
 */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code > 0 && give_zeroes((uintptr_t)info->si_addr))
		return; /* the load is tried again */
	signal(number, SIG_DFL);
	raise(number);
}

void attach_guard(const void *base, uint64_t bytes, int prot)
{
	struct sigaction action = { .sa_sigaction = on_bus_error,
				    .sa_flags = SA_SIGINFO | SA_NODEFER };
	uintptr_t from = (uintptr_t)base;

	for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++) {
		if (!guarded[i].from) {
			guarded[i].prot = prot;
			guarded[i].to = from + bytes;
			guarded[i].from = from;
			break;
		}
	}
	sigaction(SIGBUS, &action, NULL);
}

void attach_unguard(const void *base)
{
	for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++) {
		if (guarded[i].from == (uintptr_t)base)
			guarded[i].from = guarded[i].to = 0;
	}
}

/* --- bounds ----------------------------------------------------------------------------------- */

uint64_t attach_bytes(const struct attach *a)
{
	const struct pyprof_header *h = (const struct pyprof_header *)a->base;
	uint64_t now = a->live ? pyprof_observe(&h->file_bytes) : 0; /* C6 */

	if (now < a->bytes)
		now = a->bytes;
	return now < a->map_bytes ? now : a->map_bytes;
}

/* Sums up the data extents. Counts all bytes if the file system does not report holes. */
static uint64_t data_bytes(int fd, uint64_t bytes)
{
	uint64_t sum = 0;
	off_t at = 0, end;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end <= at)
			return bytes;
		sum += (uint64_t)(end - at);
		at = end;
	}
	return errno == ENXIO ? sum : bytes; /* ENXIO: no data after `at` */
}

/* Some file systems report compressed blocks or none, so the larger of both measures is used. */
static uint64_t real_bytes(int fd, const struct stat *st)
{
	uint64_t bytes = (uint64_t)st->st_size, blocks = (uint64_t)st->st_blocks * 512, data;

	if (blocks >= bytes)
		return bytes;
	data = data_bytes(fd, bytes);
	return data > blocks ? data : blocks;
}

uint64_t attach_real_bytes(const struct attach *a)
{
	struct stat st;

	if (!a->live || fstat(a->fd, &st) < 0)
		return a->real_bytes;
	return real_bytes(a->fd, &st);
}

const void *attach_at(const struct attach *a, uint64_t offset, uint64_t bytes)
{
	uint64_t limit = attach_bytes(a);

	if (offset % 8 || bytes > limit || offset > limit - bytes)
		return NULL;
	return a->base + offset;
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool allows_foreign;

void attach_allow_foreign(void)
{
	allows_foreign = true;
}

static bool is_foreign(const struct stat *st)
{
	return st->st_uid != geteuid() && st->st_uid != 0;
}

/* Checks the file before it is opened, because opening a device may have side effects. */
static int check_file(struct attach *a)
{
	struct stat st;

	if (lstat(a->path, &st) == 0 && S_ISLNK(st.st_mode) && is_foreign(&st) && !allows_foreign)
		return error_set(&a->error, -EPERM,
				 "open %s: found a symbolic link of user %u, expected a recording "
				 "(--force follows it)",
				 a->path, (unsigned)st.st_uid);
	if (stat(a->path, &st) < 0)
		return error_set(&a->error, -errno,
				 "open %s: %s, expected a recording or a pstats file", a->path,
				 strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(&a->error, -EINVAL,
				 "open %s: found %s, expected a recording or a pstats file",
				 a->path, S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
	if (is_foreign(&st) && !allows_foreign)
		return error_set(
			&a->error, -EPERM,
			"open %s: found a file of user %u, expected one of your own (--force opens "
			"it)",
			a->path, (unsigned)st.st_uid);
	if (st.st_size == 0)
		return error_set(
			&a->error, -EINVAL,
			"open %s: found an empty file, expected a recording or a pstats file",
			a->path);
	return 0;
}

/* Checks again after opening, because the file may have been replaced. A descriptor or -errno. */
static int open_file(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int err = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;

	if (!err && (!S_ISREG(st.st_mode) || (is_foreign(&st) && !allows_foreign)))
		err = -EPERM;
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return err;
}

static int map_file(struct attach *a)
{
	struct stat st;
	void *at;
	int err = check_file(a);
	int fd = err ? err : open_file(a->path);

	if (err)
		return err;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(&a->error, fd < 0 ? fd : -errno,
				 "open %s: %s, expected a recording", a->path,
				 strerror(fd < 0 ? -fd : errno));
	a->map_bytes = (uint64_t)st.st_size + EXTRA_BYTES;
	at = mmap(NULL, (size_t)a->map_bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		err = error_set(&a->error, -errno, "map %s: %s", a->path, strerror(errno));
		close(fd);
		return err;
	}
	a->base = at;
	a->fd = fd;
	a->bytes = (uint64_t)st.st_size;
	a->real_bytes = real_bytes(fd, &st);
	attach_guard(a->base, a->map_bytes, PROT_READ);
	return 0;
}

/* Fields that the target changes are copied one by one, each with one load. */
static void copy_header(struct pyprof_header *to, const struct pyprof_header *h)
{
	pyprof_copy(to, h, offsetof(struct pyprof_header, file_bytes));
	to->file_bytes = pyprof_get(&h->file_bytes);
	to->end_ticks = pyprof_get(&h->end_ticks);
	to->n_unnamed = pyprof_get(&h->n_unnamed);
	to->n_subinterpreters = pyprof_get(&h->n_subinterpreters);
	to->pid_namespace = h->pid_namespace;
	to->n_processes = pyprof_get(&h->n_processes);
	to->replaced_mono_ns = pyprof_get(&h->replaced_mono_ns);
	to->n_images = h->n_images;
	to->n_images_removed = h->n_images_removed;
	to->n_unrecorded = pyprof_get(&h->n_unrecorded);
	pyprof_copy(to->unrecorded, h->unrecorded, sizeof(to->unrecorded));
	to->n_lost_children = pyprof_get(&h->n_lost_children);
	to->paused_ticks = pyprof_get(&h->paused_ticks);
	to->is_paused = pyprof_get(&h->is_paused);
	to->file_device = pyprof_get(&h->file_device);
	to->file_inode = pyprof_get(&h->file_inode);
	to->load_ticks = pyprof_get(&h->load_ticks);
	to->load_mono_ns = pyprof_get(&h->load_mono_ns);
}

/*
 * True if this is the file that the target made. A copy has another inode or another device. A
 * header without an inode is older than minor 1 and counts as the original.
 */
static bool is_original(const struct attach *a)
{
	struct stat st;

	if (!a->header.file_inode || fstat(a->fd, &st) < 0)
		return true;
	return st.st_ino == a->header.file_inode && st.st_dev == a->header.file_device;
}

static int check_format(struct attach *a)
{
	const struct pyprof_header *h = (const struct pyprof_header *)a->base;
	uint64_t magic;

	if (a->bytes < sizeof(magic))
		return error_set(&a->error, -EINVAL,
				 "read %s: found %" PRIu64 " bytes, expected a recording", a->path,
				 a->bytes);
	magic = pyprof_observe(&h->magic); /* C7 */
	if (magic == __builtin_bswap64(PYPROF_MAGIC))
		return error_set(
			&a->error, -EINVAL,
			"read %s: found the other byte order, expected a recording of this "
			"kind of machine",
			a->path);
	if (a->base[0] == '{' || a->base[0] == ('{' | 0x80))
		return error_set(&a->error, -EINVAL,
				 "read %s: found a pstats file, expected a recording", a->path);
	if (magic == 0 && a->bytes >= PYPROF_HEADER_BYTES)
		return error_set(
			&a->error, -EINVAL,
			"read %s: found a recording that was never begun, expected a whole one",
			a->path);
	if (magic != PYPROF_MAGIC)
		return error_set(
			&a->error, -EINVAL,
			"read %s: found another kind of file, expected a recording or a pstats file",
			a->path);
	if (a->bytes < PYPROF_HEADER_BYTES)
		return error_set(&a->error, -EINVAL,
				 "read %s: found %" PRIu64
				 " bytes, expected a header of %u: truncated",
				 a->path, a->bytes, PYPROF_HEADER_BYTES);
	copy_header(&a->header, h);
	a->copied = !is_original(a);
	return 0;
}

/* Uses only the fields that all formats share if this is another format. */
static void find_owner(struct attach *a)
{
	struct pyprof_header h = a->header;
	struct stat st;

	if (h.major != PYPROF_MAJOR)
		h.pid_namespace = h.n_processes = h.replaced_mono_ns = 0;
	if (lstat(a->path, &st) < 0 || (!S_ISREG(st.st_mode) && stat(a->path, &st) < 0))
		a->owner.state = OWNER_ENDED;
	else
		owner_find(&a->owner, &h, a->path, &st);
	a->live = !a->copied && (a->owner.state == OWNER_RUNS || a->owner.state == OWNER_UNKNOWN);
}

/* True if a live target extended the file between the opening and the reading of the header. */
static bool has_grown(struct attach *a)
{
	struct stat st;

	if (!a->live || fstat(a->fd, &st) < 0 || (uint64_t)st.st_size < a->header.file_bytes)
		return false;
	a->bytes = (uint64_t)st.st_size;
	return a->bytes <= a->map_bytes;
}

static int check_header(struct attach *a)
{
	struct pyprof_header *h = &a->header;

	if (h->major != PYPROF_MAJOR)
		return error_set(
			&a->error, -EINVAL,
			"read %s: found format %u.%u, expected %u.x: another pyshim-read is "
			"needed",
			a->path, h->major, h->minor, PYPROF_MAJOR);
	if (h->required)
		return error_set(&a->error, -EINVAL,
				 "read %s: found required features 0x%" PRIx64
				 ", expected none that this pyshim-read does not know",
				 a->path, h->required);
	if (h->file_bytes > a->bytes && !has_grown(a))
		return error_set(&a->error, -EINVAL,
				 "read %s: found %" PRIu64 " bytes, expected %" PRIu64
				 ": truncated",
				 a->path, a->bytes, h->file_bytes);
	if (h->header_bytes != PYPROF_HEADER_BYTES || h->file_bytes < PYPROF_HEADER_BYTES ||
	    h->block_bytes < sizeof(struct pyprof_block) + sizeof(uint64_t) || h->block_bytes % 8 ||
	    h->block_bytes > MAX_BLOCK_BYTES || h->clock < PYPROF_CLOCK_TSC ||
	    h->clock > PYPROF_CLOCK_COUNT)
		return error_set(&a->error, -EINVAL,
				 "read %s: found a header with impossible values, expected "
				 "one that the shim has written",
				 a->path);
	a->bytes = h->file_bytes; /* the file is longer: the target reserves it in advance */
	h->boot_id[sizeof(h->boot_id) - 1] = '\0';
	h->python[sizeof(h->python) - 1] = '\0';
	h->shim[sizeof(h->shim) - 1] = '\0';
	for (size_t i = 0; i < PYPROF_UNRECORDED; i++) {
		h->unrecorded[i][sizeof(h->unrecorded[i]) - 1] = '\0';
		error_make_printable(h->unrecorded[i]);
	}
	error_make_printable(h->python);
	error_make_printable(h->shim);
	return 0;
}

int attach_open(struct attach *a, const char *path)
{
	int err;

	memset(a, 0, sizeof(*a));
	a->path = strdup(path);
	err = a->path ? map_file(a) : error_set(&a->error, -ENOMEM, "open %s: out of memory", path);
	if (!err)
		err = check_format(a);
	if (!err)
		find_owner(a);
	if (!err)
		err = check_header(a);
	if (err)
		attach_close(a);
	return err;
}

void attach_close(struct attach *a)
{
	if (a->base) {
		attach_unguard(a->base);
		munmap((void *)(uintptr_t)a->base, (size_t)a->map_bytes);
		close(a->fd);
	}
	a->base = NULL;
	free(a->path);
	a->path = NULL;
}
