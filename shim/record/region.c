/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filename.h"
#include "pageguard.h"
#include "pieces.h"
#include "pyprof/clock.h"
#include "pyprof/order.h"
#include "share.h"
#include "system/config.h"
#include "system/killpoint.h"
#include "system/log.h"
#include "system/process.h"
#include "system/sandbox.h"

#define FIRST_BYTES (40u << 10) /* header, the first names, rings and block */
#define STEP_BYTES (64u << 10)
#define MAX_STEP_BYTES (4u << 20)
#define REFUSAL_NS 1000000000ull
#define MAX_INTERRUPTED 100 /* calls of fallocate(2) that a signal may interrupt */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Address space beyond the rings, for names and tables. It grows in place if more is needed. */
#define EXTRA_BYTES (56ull << 20)

/*
 * Fallback sizes of the whole mapping, if a limit forbids that. The rings are smaller then, and are
 * folded earlier.
 */
static const uint64_t scant_bytes[] = { 64ull << 20, 16ull << 20, 4ull << 20, 1ull << 20 };

/*
 * The preferred address: far from where the kernel places mappings by itself, so that the range can
 * grow.
 */
#define MAP_HINT ((void *)(sizeof(void *) == 8 ? 0x200000000000ull : 0))

/* Distance at which a forked child maps its parent's recording: more than the largest mapping. */
#define ASIDE_BYTES (2ull << 40)

struct region region;

/*
 * True if the file may have this length. Growing beyond RLIMIT_FSIZE would raise SIGXFSZ in the
 * program.
 */
static bool allowed_size(uint64_t bytes)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
	       (limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur);
}

/* Reserves space by writing zeros, for when posix_fallocate's system call may be forbidden. */
static int reserve_by_writing(int fd, uint64_t from, uint64_t to)
{
	static const char zeros[4096];

	if (lseek(fd, (off_t)from, SEEK_SET) < 0)
		return -errno;
	while (from < to) {
		ssize_t n = write(fd, zeros, to - from < sizeof(zeros) ? to - from : sizeof(zeros));

		if (n < 0 && errno != EINTR)
			return -errno;
		from += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

static int reserve(int fd, uint64_t from, uint64_t to)
{
	int err = EINTR;

	if (!allowed_size(to))
		return -EFBIG;
	if (process_is_filtered())
		return reserve_by_writing(fd, from, to);
	for (int tries = 0; err == EINTR && tries < MAX_INTERRUPTED; tries++)
		err = posix_fallocate(fd, (off_t)from, (off_t)(to - from));
	return -err;
}

/* --- the address range ------------------------------------------------------------------------ */

/* Returns an eighth of the address space that RLIMIT_AS leaves: the program may need the rest. */
static uint64_t spare_address_space(void)
{
	struct rlimit limit;
	uint64_t used;

	if (getrlimit(RLIMIT_AS, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	used = process_address_bytes();
	return limit.rlim_cur > used ? (limit.rlim_cur - used) / 8 : 0;
}

static bool map_bytes(struct region *r, int fd, uint64_t bytes)
{
	void *at = mmap(MAP_HINT, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return false;
	r->base = at;
	r->header = at;
	r->map_bytes = bytes;
	return true;
}

static int map_some(struct region *r, int fd, uint64_t spare)
{
	uint64_t bytes = config.buffer_bytes + EXTRA_BYTES;

	if (bytes <= spare && map_bytes(r, fd, bytes))
		return 0;
	for (size_t i = 0; i < sizeof(scant_bytes) / sizeof(scant_bytes[0]); i++) {
		if (scant_bytes[i] <= spare && scant_bytes[i] < bytes &&
		    map_bytes(r, fd, scant_bytes[i]))
			return 0;
	}
	return -ENOMEM;
}

static int map(struct region *r, int fd)
{
	uint64_t spare = spare_address_space();
	int err = map_some(r, fd, spare);
	void *at = MAP_FAILED;

	if (!err && process_is_filtered() && r->map_bytes <= spare / 2)
		at = mmap(NULL, r->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	r->mirror = at == MAP_FAILED ? NULL : at;
	return err;
}

/* Extends the address range in place. */
static bool map_more(uint64_t need)
{
	uint64_t bytes = (need + EXTRA_BYTES - 1) / EXTRA_BYTES * EXTRA_BYTES;

	if (process_is_filtered() || bytes - region.map_bytes > spare_address_space() ||
	    mremap(region.base, region.map_bytes, bytes, 0) == MAP_FAILED)
		return false;
	region.map_bytes = bytes;
	pageguard_set(region.base, bytes);
	return true;
}

/* --- the file's length ------------------------------------------------------------------------ */

/*
 * Sets the file's length; under a filter by writing a byte at its end, since ftruncate may be
 * forbidden.
 */
static int set_length(int fd, uint64_t bytes)
{
	if (!allowed_size(bytes))
		return -EFBIG;
	if (!process_is_filtered())
		return ftruncate(fd, (off_t)bytes) < 0 ? -errno : 0;
	return lseek(fd, (off_t)bytes - 1, SEEK_SET) < 0 || write(fd, "", 1) != 1 ? -errno : 0;
}

/*
 * Makes the file as long as the mapping, so that it need not be opened again; shorter if space is
 * scarce. The limit is computed once: a forked child uses its parent's.
 */
static void set_first_length(struct region *r, int fd)
{
	static uint64_t most;
	uint64_t bytes = r->map_bytes;
	struct rlimit limit;

	if (!most)
		most = share_max_length();
	if (bytes > most)
		bytes = most;
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes > limit.rlim_cur)
		bytes = limit.rlim_cur;
	bytes = bytes / PYPROF_EXTENT_ALIGN * PYPROF_EXTENT_ALIGN;
	if (bytes > r->length && set_length(fd, bytes) == 0)
		r->length = bytes;
}

static uint64_t inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/*
 * Opens the file again by its name, if that still leads to the same inode. Returns the descriptor
 * or -errno.
 */
static int reopen(void)
{
	struct stat st;
	int fd;

	if (!process_has_descriptors())
		return -EMFILE;
	fd = open(region.path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_dev != region.device || st.st_ino != region.inode) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

/*
 * True if the file has been removed; false if that is unknown, because the program changed its
 * root.
 */
static bool is_removed(void)
{
	struct stat st;

	if (stat(region.path, &st) == 0)
		return st.st_dev != region.device || st.st_ino != region.inode;
	return errno == ENOENT && inode_of("/") == region.root_inode;
}

static int lengthen(uint64_t need)
{
	uint64_t bytes = region.map_bytes;
	int fd = reopen();
	int err;

	if (fd < 0)
		return fd;
	err = set_length(fd, bytes);
	if (err)
		err = set_length(fd, bytes = need);
	close(fd);
	if (!err)
		region.length = bytes;
	return err;
}

/* --- creating --------------------------------------------------------------------------------- */

/* Makes the file readable and writable for its owner, regardless of the umask. */
static void set_mode(int fd, const struct stat *st)
{
	if ((st->st_mode & 0600) != 0600 && fchmod(fd, 0600) < 0)
		log_debug("chmod %s: %s", region.path, strerror(errno));
}

static int prepare_file(struct region *r, int fd)
{
	struct stat st;
	int err = reserve(fd, 0, FIRST_BYTES);

	if (err)
		return err;
	if (fstat(fd, &st) < 0)
		return -errno;
	r->length = r->reserved_bytes = FIRST_BYTES;
	r->device = st.st_dev;
	r->inode = st.st_ino;
	set_mode(fd, &st);
	err = map(r, fd);
	if (!err)
		set_first_length(r, fd);
	return err;
}

/*
 * Logs that the file could not be made. A forked child does so only for PYSHIM_DEBUG: its parent's
 * header counts it, and a line for each child would be too many.
 */
static void log_failure(const struct region *r, bool forked, int err)
{
	if (config.has_dir && !forked && err == -EDQUOT)
		log_error("create a recording in %s: found that recordings take half of it or an "
			  "eighth of the memory, expected less (pyshim-read --clean); the program "
			  "runs unprofiled",
			  config.dir);
	else if (config.has_dir && !forked)
		log_error("create %s: %s, expected that PYSHIM_DIR can hold it; the program runs "
			  "unprofiled",
			  r->path, strerror(-err));
	else
		log_debug("create %s: %s: off", r->path, strerror(-err));
}

/*
 * Creates the file, but not if a limit or the share of recordings forbids its first bytes: under a
 * filter it could not be removed again.
 */
static int create_file(struct region *r, const struct pyprof_header *preset)
{
	int err = !allowed_size(FIRST_BYTES)	      ? -EFBIG
		  : !share_has_recording(FIRST_BYTES) ? -EDQUOT
						      : 0;

	if (!err)
		return filename_create(r->path, sizeof(r->path), preset);
	strncpy(r->path, config.dir, sizeof(r->path) - 1);
	return err;
}

int region_create(const struct pyprof_header *preset)
{
	struct region r = { .pid = (int)preset->pid, .process_start = preset->process_start };
	int fd = create_file(&r, preset);
	int err = fd < 0 ? fd : prepare_file(&r, fd);

	if (fd >= 0)
		close(fd);
	if (err) {
		if (fd >= 0 && !process_is_filtered())
			unlink(r.path);
		log_failure(&r, preset->forked, err);
		return err;
	}
	r.root_inode = inode_of("/");
	r.used_bytes = PYPROF_HEADER_BYTES;
	region = r;
	pieces_reset();
	pageguard_set(r.base, r.map_bytes);
	/* Copies all except `magic`, which a reader may be looking at already. */
	memcpy((char *)region.header + sizeof(preset->magic),
	       (const char *)preset + sizeof(preset->magic),
	       offsetof(struct pyprof_header, file_bytes) - sizeof(preset->magic));
	region.header->file_device = r.device;
	region.header->file_inode = r.inode;
	pyprof_set(&region.header->file_bytes, FIRST_BYTES);
	return 0;
}

/*
 * Gives an adopted file the name of this process. It must belong to this user; under a filter it
 * keeps its name.
 */
static int rename_adopted(struct region *r, const struct stat *st, const struct pyprof_header *own)
{
	char old[sizeof(r->path)];

	if (process_is_filtered())
		return 0;
	if (st->st_uid != geteuid())
		return -ESTALE;
	memcpy(old, r->path, sizeof(old));
	return filename_take(r->path, sizeof(r->path), old, own);
}

/* Maps the recording that `r` describes, and renames it to that of process `own`. */
static int open_adopted(struct region *r, const struct pyprof_header *own)
{
	struct stat st;
	int fd = open(r->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_dev != r->device || st.st_ino != r->inode ||
	    (uint64_t)st.st_size < r->reserved_bytes)
		err = -ESTALE;
	if (!err)
		err = map(r, fd);
	close(fd);
	if (!err && r->map_bytes < r->reserved_bytes)
		err = -ENOMEM;
	if (!err)
		err = rename_adopted(r, &st, own);
	if (err)
		region_unmap(r);
	return err;
}

int region_adopt(struct region *r, const struct pyprof_header *own)
{
	int err = open_adopted(r, own);

	if (err)
		return err;
	if (r->header->magic != PYPROF_MAGIC || r->header->header_bytes != PYPROF_HEADER_BYTES ||
	    r->header->block_bytes != REGION_BLOCK_BYTES) {
		region_unmap(r);
		return -EINVAL;
	}
	r->root_inode = inode_of("/");
	region = *r;
	pieces_reset();
	pageguard_set(region.base, region.map_bytes);
	return 0;
}

void region_open_for_readers(void)
{
	pyprof_publish(&region.header->magic, PYPROF_MAGIC); /* P7 */
}

void region_abandon(void)
{
	if (!process_is_filtered() && !is_removed())
		unlink(region.path);
	region_unmap(&region);
}

static void unmap(uint8_t **at, uint64_t bytes)
{
	if (*at)
		munmap(*at, bytes);
	*at = NULL;
}

void region_unmap(struct region *r)
{
	pageguard_set_aside(NULL, 0);
	unmap(&r->aside, r->map_bytes);
	unmap(&r->mirror, r->map_bytes);
	unmap(&r->base, r->map_bytes);
	r->header = NULL;
}

/* Moves the mapping aside. The kernel has no page table entries for it in a child yet. */
static uint8_t *move_aside(void)
{
	void *at = mremap(region.base, region.map_bytes, region.map_bytes,
			  MREMAP_MAYMOVE | MREMAP_FIXED, region.base + ASIDE_BYTES);

	return at == MAP_FAILED ? NULL : at;
}

void region_detach(void)
{
	if (!region.base)
		return;
	/* The parent's recording can still be read there. */
	region.aside = region.mirror || process_was_filtered() ? region.mirror : move_aside();
	region.mirror = NULL;
	pageguard_set_aside(region.aside, region.map_bytes);
	mmap(region.base, region.map_bytes, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

/* --- growing ---------------------------------------------------------------------------------- */

static int reserve_by_name(uint64_t from, uint64_t to)
{
	int fd = reopen();
	int err;

	if (fd < 0)
		return fd;
	err = reserve(fd, from, to);
	close(fd);
	return err;
}

/* Reserves under a filter: by writing, or else by touching the pages. */
static int reserve_filtered(uint64_t from, uint64_t to)
{
	int err = reserve_by_name(from, to);

	if (err && err != -ENOSPC && pageguard_touch(region.base + from, to - from))
		err = 0;
	return err;
}

static int reserve_mapped(uint64_t from, uint64_t to)
{
	uint8_t *at = region.base + from;

	if (process_is_filtered())
		return reserve_filtered(from, to);
	if (is_removed())
		return -ENOENT;
	if (madvise(at, to - from, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno == EINVAL) /* a kernel before 5.14 */
		return reserve_by_name(from, to);
	/* Gives back the pages that were reserved before space ran out. */
	madvise(at, to - from, MADV_REMOVE);
	return -ENOSPC;
}

/* Returns the size to reserve. Rings grow by an eighth, so that the number of steps stays small. */
static uint64_t step_to(uint64_t need, bool for_ring)
{
	uint64_t step = for_ring ? region.reserved_bytes / 8 : STEP_BYTES;
	uint64_t to;

	if (step < STEP_BYTES)
		step = STEP_BYTES;
	if (step > MAX_STEP_BYTES)
		step = MAX_STEP_BYTES;
	step = step / PYPROF_EXTENT_ALIGN * PYPROF_EXTENT_ALIGN;
	to = (need + step - 1) / step * step;
	return to > region.map_bytes || to > region.length ? need : to;
}

static int grow(uint64_t need, bool for_ring)
{
	uint64_t to;
	int err = 0;

	if (pageguard_has_tripped())
		return -ESTALE;
	if (need > region.map_bytes && !map_more(need))
		return -ENOMEM;
	if (need > region.length)
		err = lengthen(need);
	if (err)
		return err;
	to = step_to(need, for_ring);
	err = reserve_mapped(region.reserved_bytes, to);
	if (err && to > need)
		err = reserve_mapped(region.reserved_bytes, to = need);
	if (err)
		return err;
	KILLPOINT("file-grown");
	region.reserved_bytes = to;
	pyprof_publish(&region.header->file_bytes, to); /* P6 */
	return 0;
}

/*
 * True if growing to `need` failed recently. It is not tried again for a while: without space, each
 * event takes this path, and the system calls would slow the program down a hundredfold. For
 * RLIMIT_FSIZE one call finds out.
 */
static bool is_refused(uint64_t need)
{
	if (!region.refused_bytes || need < region.refused_bytes)
		return false;
	return region.refused_by_limit ? !allowed_size(need)
				       : pyprof_clock_ns(CLOCK_MONOTONIC) < region.refused_until_ns;
}

static void note_refusal(uint64_t need, int err)
{
	region.refused_bytes = need;
	region.refused_by_limit = !allowed_size(need);
	region.refused_until_ns = pyprof_clock_ns(CLOCK_MONOTONIC) + REFUSAL_NS;
	log_debug("grow %s to %llu bytes: %s", region.path, (unsigned long long)need,
		  strerror(-err));
}

static bool reach(uint64_t need, bool for_ring)
{
	int saved = errno;
	int err;

	if (need <= region.reserved_bytes)
		return true;
	if (sandbox_is_closed() || is_refused(need))
		return false;
	err = grow(need, for_ring);
	errno = saved;
	if (err)
		note_refusal(need, err);
	return !err;
}

/* --- giving out space ------------------------------------------------------------------------- */

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + PYPROF_EXTENT_ALIGN - 1) / PYPROF_EXTENT_ALIGN * PYPROF_EXTENT_ALIGN;
}

static uint64_t end_of(uint64_t bytes)
{
	return region.used_bytes + round_up(bytes);
}

void region_free(uint64_t offset, uint64_t bytes)
{
	int saved = errno;

	bytes = round_up(bytes);
	/* Back to the file system if others need the space. */
	if (region.share != SHARE_EXCEEDED || !pieces_give_back(region.base, offset, bytes))
		pieces_keep(region.base, offset, bytes);
	errno = saved;
}

bool region_is_short(void)
{
	return region.share == SHARE_EXCEEDED;
}

void region_publish_size(void)
{
	struct region_size *to = region.published;

	if (!to)
		return;
	pyprof_set(&to->length, region.length);
	pyprof_set(&to->reserved_bytes, region.reserved_bytes);
	pyprof_set(&to->used_bytes, region.used_bytes);
}

static uint64_t take_new(uint64_t bytes, bool for_ring)
{
	uint64_t at = region.used_bytes;

	if (bytes > 1ull << 40 || !reach(end_of(bytes), for_ring))
		return 0;
	region.used_bytes = end_of(bytes);
	region_publish_size();
	return at;
}

uint64_t region_alloc(uint64_t bytes)
{
	uint64_t at = pieces_take(region.base, round_up(bytes));

	return at ? at : take_new(bytes, false);
}

/*
 * True if rings leave enough for names and tables: half of EXTRA_BYTES, or half of all if the file
 * or the address range is small.
 */
static bool leaves_room(uint64_t need)
{
	struct rlimit limit;
	uint64_t cap = region.map_bytes;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < cap)
		cap = limit.rlim_cur;
	return need <= cap - (cap < EXTRA_BYTES ? cap / 2 : EXTRA_BYTES / 2);
}

static bool ask_for_share(uint64_t bytes)
{
	uint64_t now = pyprof_clock_ns(CLOCK_MONOTONIC);

	if (now < region.share_until_ns)
		return false;
	region.share = share_ask(bytes, &region.share_bytes);
	if (region.share == SHARE_LEFT)
		return true;
	region.share_bytes = 0;
	region.share_until_ns = now + REFUSAL_NS;
	return false;
}

static bool has_share(uint64_t need)
{
	uint64_t bytes = step_to(need, true) - region.reserved_bytes;
	int saved = errno;
	bool has;

	if (need <= region.reserved_bytes)
		return true;
	if (sandbox_is_closed() || !leaves_room(need))
		return false;
	if (bytes <= region.share_bytes) {
		region.share_bytes -= bytes;
		return true;
	}
	has = ask_for_share(bytes);
	errno = saved;
	return has;
}

uint64_t region_alloc_ring(uint64_t bytes)
{
	uint64_t at = pieces_take(region.base, round_up(bytes));

	return at || !has_share(end_of(bytes)) ? at : take_new(bytes, true);
}
