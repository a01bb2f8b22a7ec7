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

#include "config.h"
#include "filename.h"
#include "killpoint.h"
#include "log.h"
#include "process.h"
#include "pyprof/clock.h"
#include "pyprof/ring.h"
#include "sandbox.h"

#define FIRST_BYTES (256u << 10)
#define MAX_STEP_BYTES (4u << 20)
#define MIN_SPARE_BYTES (256u << 10)
#define REFUSAL_NS 1000000000ull

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Address space beyond the rings, for names and tables; less where a limit forbids it ... */
static const uint64_t extra_bytes[] = { 1ull << 30, 128ull << 20, 16ull << 20, 2ull << 20 };

/* ... or this for all, if need be: the rings are the smaller then, and are folded. */
static const uint64_t scant_bytes[] = { 64ull << 20, 16ull << 20, 4ull << 20, 1ull << 20 };

struct region region;

/* Growing beyond RLIMIT_FSIZE would raise SIGXFSZ in the program. */
static bool allowed_size(uint64_t bytes)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
	       (limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur);
}

/* Where posix_fallocate's system call may be forbidden: zeros take up space as well. */
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
	if (!allowed_size(to))
		return -EFBIG;
	if (process_is_filtered())
		return reserve_by_writing(fd, from, to);
	return -posix_fallocate(fd, (off_t)from, (off_t)(to - from));
}

/* An eighth of what RLIMIT_AS leaves: the program may need the rest. */
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
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return false;
	r->base = at;
	r->header = at;
	r->map_bytes = bytes;
	return true;
}

static int map(struct region *r, int fd)
{
	uint64_t spare = spare_address_space();

	for (size_t i = 0; i < sizeof(extra_bytes) / sizeof(extra_bytes[0]); i++) {
		uint64_t bytes = config.buffer_bytes + extra_bytes[i];

		if (bytes <= spare && map_bytes(r, fd, bytes))
			return 0;
	}
	for (size_t i = 0; i < sizeof(scant_bytes) / sizeof(scant_bytes[0]); i++) {
		if (scant_bytes[i] <= spare && map_bytes(r, fd, scant_bytes[i]))
			return 0;
	}
	return -ENOMEM;
}

int region_create(const struct pyprof_header *preset)
{
	struct region r = { .pid = (int)preset->pid };
	struct stat st;
	int fd, err;

	fd = filename_create(r.path, sizeof(r.path), r.pid, preset->process_start);
	err = fd < 0 ? fd : 0;
	if (fd < 0)
		goto out;
	err = reserve(fd, 0, FIRST_BYTES);
	if (!err && fstat(fd, &st) < 0)
		err = -errno;
	if (!err)
		err = map(&r, fd);
	if (err) {
		if (!process_is_filtered())
			unlink(r.path);
		goto out;
	}
	r.device = st.st_dev;
	r.inode = st.st_ino;
	r.reserved_bytes = FIRST_BYTES;
	r.used_bytes = PYPROF_HEADER_BYTES;
	region = r;
	/* All but `magic`, which a reader may be looking at already. */
	memcpy((char *)region.header + sizeof(preset->magic),
	       (const char *)preset + sizeof(preset->magic),
	       offsetof(struct pyprof_header, file_bytes) - sizeof(preset->magic));
	region.header->file_device = st.st_dev;
	region.header->file_inode = st.st_ino;
	pyprof_set(&region.header->file_bytes, FIRST_BYTES);
out:
	if (fd >= 0)
		close(fd);
	if (err && config.has_dir)
		log_error("create %s: %s, expected that PYSHIM_DIR can hold it; the program runs "
			  "unprofiled",
			  r.path, strerror(-err));
	else if (err)
		log_debug("create %s: %s: off", r.path, strerror(-err));
	return err;
}

void region_open_for_readers(void)
{
	pyprof_publish(&region.header->magic, PYPROF_MAGIC); /* P7 */
}

void region_unmap(struct region *r)
{
	if (r->base)
		munmap(r->base, r->map_bytes);
	r->base = NULL;
	r->header = NULL;
}

/* The file again, by its name, if that still leads to it. */
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

static int grow(uint64_t need)
{
	/* An eighth of what there is, so that the number of steps stays small. */
	uint64_t step = region.reserved_bytes / 8;
	uint64_t to;
	int fd, err;

	if (step < FIRST_BYTES)
		step = FIRST_BYTES;
	if (step > MAX_STEP_BYTES)
		step = MAX_STEP_BYTES;
	step = step / PYPROF_EXTENT_ALIGN * PYPROF_EXTENT_ALIGN;
	if (need > region.map_bytes)
		return -ENOMEM;
	to = (need + step - 1) / step * step;
	if (to > region.map_bytes)
		to = need;
	fd = reopen();
	if (fd < 0)
		return fd;
	err = reserve(fd, region.reserved_bytes, to);
	if (err && to > need) {
		to = need;
		err = reserve(fd, region.reserved_bytes, to);
	}
	close(fd);
	if (err)
		return err;
	/* One call instead of a page fault each; an old kernel (before 5.14) refuses, and faults. */
	if (!process_is_filtered())
		madvise(region.base + region.reserved_bytes, to - region.reserved_bytes,
			MADV_POPULATE_WRITE);
	KILLPOINT("file-grown");
	region.reserved_bytes = to;
	pyprof_publish(&region.header->file_bytes, to); /* P6 */
	return 0;
}

/*
 * Where the file could not grow, it is not tried again for a while: without room, each event comes here, and
 * the system calls would slow the program down a hundredfold.
 */
static bool is_refused(uint64_t need)
{
	return region.refused_bytes && need >= region.refused_bytes &&
	       pyprof_clock_ns(CLOCK_MONOTONIC) < region.refused_until_ns;
}

static void note_refusal(uint64_t need, int err)
{
	region.refused_bytes = need;
	region.refused_until_ns = pyprof_clock_ns(CLOCK_MONOTONIC) + REFUSAL_NS;
	log_debug("grow %s to %llu bytes: %s", region.path, (unsigned long long)need,
		  strerror(-err));
}

static bool reach(uint64_t need)
{
	int saved = errno;
	int err;

	if (need <= region.reserved_bytes)
		return true;
	if (sandbox_is_closed() || is_refused(need))
		return false;
	err = grow(need);
	errno = saved;
	if (err)
		note_refusal(need, err);
	return !err;
}

/* Takes `bytes` where `spare` more remain reserved behind them. */
static uint64_t take(uint64_t bytes, uint64_t spare)
{
	uint64_t at = region.used_bytes;
	uint64_t end;

	if (bytes > region.map_bytes || spare > region.map_bytes)
		return 0;
	end = at + (bytes + PYPROF_EXTENT_ALIGN - 1) / PYPROF_EXTENT_ALIGN * PYPROF_EXTENT_ALIGN;
	if (!reach(end + spare))
		return 0;
	region.used_bytes = end;
	return at;
}

uint64_t region_alloc(uint64_t bytes)
{
	uint64_t before = region.used_bytes;
	uint64_t at = take(bytes, 0);

	region.needed_bytes += region.used_bytes - before;
	return at;
}

uint64_t region_alloc_spare(uint64_t bytes)
{
	return take(bytes, MIN_SPARE_BYTES + 3 * region.needed_bytes);
}
