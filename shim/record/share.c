/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory of a tmpfs page is charged to the control group of the process that touches it first.
 * So a ring counts against memory.max like the program's own memory.
 */
#include "pyprof/process.h"
#include "share.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "system/config.h"
#include "system/process.h"

#define TMPFS_MAGIC 0x01021994
#define MAX_FILES 4096 /* files that are counted in the folder */
#define MAX_LEVELS 8   /* nested control groups */
#define UNLIMITED (1ull << 60)
#define UNASKED_PARTS 256

/* Parts of file system and memory, one of which all recordings may take before a new one begins. */
#define FILE_PARTS 2
#define MEMORY_PARTS 8

struct space {
	uint64_t total, free; /* bytes; total 0: unknown */
};

/* A control group that has a memory limit. */
struct group {
	char path[192];
	bool v2;
};

static struct group groups[MAX_LEVELS];
static int n_groups;
static bool is_tmpfs;
static uint64_t mount_bytes;	 /* the size of the tmpfs by its mount options; 0: unknown */
static uint64_t own_bytes_known; /* size of all recordings in the folder, when last counted */
static char text[4096]; /* of a file in /proc or /sys; static because a stack may be small */

static void read_text(const char *path)
{
	text[process_read(path, text, sizeof(text) - 1)] = '\0';
}

/* --- the file system ------------------------------------------------------------------------- */

static void count_file(int dir, const char *name, uint64_t *all, uint64_t *recordings)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	*all += (uint64_t)st.st_blocks * 512;
	if (pyprof_is_file_name(name))
		*recordings += (uint64_t)st.st_blocks * 512;
}

/*
 * Counts the bytes that the folder's files use, and those of the recordings among them. False: the
 * folder cannot be read. Not by opendir, which allocates.
 */
static bool count_files(uint64_t *all, uint64_t *recordings)
{
	static char entries[4096] __attribute__((aligned(8)));
	int fd = open(config.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent64 *e;
	ssize_t n;

	*all = *recordings = 0;
	if (fd < 0)
		return false;
	for (int i = 0; i < MAX_FILES && (n = getdents64(fd, entries, sizeof(entries))) > 0;) {
		for (ssize_t at = 0; at < n; at += e->d_reclen, i++) {
			e = (struct dirent64 *)(entries + at);
			count_file(fd, e->d_name, all, recordings);
		}
	}
	close(fd);
	return true;
}

static uint64_t recordings_bytes(void)
{
	uint64_t all, recordings;

	if (count_files(&all, &recordings))
		own_bytes_known = recordings;
	return own_bytes_known;
}

/* Returns "size=65536k" among a mount's options in bytes; 0: it is missing. */
static uint64_t parse_size(const char *options)
{
	const char *at = strstr(options, "size=");
	char *end;
	uint64_t n;

	if (!at)
		return 0;
	n = strtoull(at + 5, &end, 10);
	return *end == 'k' ? n << 10 : *end == 'm' ? n << 20 : *end == 'g' ? n << 30 : n;
}

/* Returns the size of the file system by the mount table: a filter may forbid statfs. */
static uint64_t size_by_mounts(void)
{
	static const char tmpfs[] = " - tmpfs ";
	size_t cap = 64u << 10, dir_n = strlen(config.dir);
	char *table = malloc(cap), *line, *rest;
	uint64_t bytes = 0;

	if (!table)
		return 0;
	table[process_read("/proc/self/mountinfo", table, cap - 1)] = '\0';
	for (line = strtok_r(table, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char point[256];
		size_t n;

		if (sscanf(line, "%*s %*s %*s %*s %255s", point) != 1)
			continue;
		n = strlen(point);
		if (strncmp(config.dir, point, n) != 0 ||
		    (n < dir_n && n > 1 && config.dir[n] != '/'))
			continue;
		/* A later line is mounted over an earlier one. */
		bytes = strstr(line, tmpfs) ? parse_size(strstr(line, tmpfs)) : 0;
	}
	free(table);
	return bytes;
}

static struct space ask_mounted(void)
{
	struct space s = { .total = mount_bytes };
	uint64_t all, recordings;

	if (s.total && count_files(&all, &recordings))
		s.free = all < s.total ? s.total - all : 0;
	return s;
}

static struct space ask_file_system(void)
{
	struct space s = { 0 };
	struct statfs fs;

	if (process_is_filtered())
		return ask_mounted();
	if (statfs(config.dir, &fs) < 0)
		return s;
	s.total = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
	s.free = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	return s;
}

/* --- memory ---------------------------------------------------------------------------------- */

static void read_in(const char *folder, const char *name)
{
	char path[sizeof(groups[0].path) + 32];

	snprintf(path, sizeof(path), "%.*s/%s", (int)sizeof(groups[0].path) - 1, folder, name);
	read_text(path);
}

static uint64_t read_number(const char *folder, const char *name)
{
	read_in(folder, name);
	return text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : UNLIMITED;
}

/*
 * Returns the value after "NAME " (or "NAME:") at the start of a line of `text`; 0: it is missing.
 */
static uint64_t find_value(const char *name)
{
	size_t n = strlen(name);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, name, n) && (at[n] == ' ' || at[n] == ':'))
			return strtoull(at + n + 1, NULL, 10);
	}
	return 0;
}

/*
 * Returns the limit less the memory that cannot be reclaimed: page cache of files can be, pages of
 * tmpfs cannot.
 */
static uint64_t group_free(const struct group *g)
{
	uint64_t limit = read_number(g->path, g->v2 ? "memory.max" : "memory.limit_in_bytes");
	uint64_t used = read_number(g->path, g->v2 ? "memory.current" : "memory.usage_in_bytes");
	uint64_t cache, shmem;

	if (limit >= UNLIMITED || used >= UNLIMITED)
		return UNLIMITED;
	read_in(g->path, "memory.stat");
	cache = find_value(g->v2 ? "file" : "total_cache");
	shmem = find_value(g->v2 ? "shmem" : "total_shmem");
	cache = cache > shmem ? cache - shmem : 0;
	used = used > cache ? used - cache : 0;
	return limit > used ? limit - used : 0;
}

static uint64_t machine_free(void)
{
	uint64_t kib;

	read_text("/proc/meminfo");
	kib = find_value("MemAvailable");
	return kib ? kib << 10 : UNLIMITED;
}

static void add_group(const char *root, const char *path, size_t path_n, bool v2)
{
	struct group *g = &groups[n_groups];
	int n = snprintf(g->path, sizeof(g->path), "%s%.*s", root, (int)path_n, path);

	g->v2 = v2;
	if (n_groups < MAX_LEVELS - 1 && n > 0 && (size_t)n < sizeof(g->path) &&
	    read_number(g->path, v2 ? "memory.max" : "memory.limit_in_bytes") < UNLIMITED)
		n_groups++;
}

/* Adds a group and all above it. In a container the path may begin above the mounted part. */
static void add_groups(const char *root, const char *path, bool v2)
{
	size_t n = strlen(path);

	while (n > 1) {
		add_group(root, path, n, v2);
		do
			n--;
		while (n && path[n] != '/');
	}
	add_group(root, "", 0, v2);
}

/* Reads lines "0::/path" (version 2) and "4:memory:/path" (version 1). */
static void find_groups(void)
{
	static char table[1024];
	char *line, *rest;

	n_groups = 0;
	table[process_read("/proc/self/cgroup", table, sizeof(table) - 1)] = '\0';
	for (line = strtok_r(table, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		const char *names = strchr(line, ':');
		const char *path = names ? strchr(names + 1, ':') : NULL;

		if (path && path == names + 1) {
			add_groups("/sys/fs/cgroup", path + 1, true);
			add_groups("/sys/fs/cgroup/unified", path + 1, true);
		} else if (path && memmem(names, (size_t)(path - names), "memory", 6)) {
			add_groups("/sys/fs/cgroup/memory", path + 1, false);
		}
	}
}

static uint64_t memory_free(void)
{
	uint64_t least = machine_free();

	for (int i = 0; i < n_groups; i++) {
		uint64_t n = group_free(&groups[i]);

		least = n < least ? n : least;
	}
	return least;
}

/* --- the shares ------------------------------------------------------------------------------ */

static void look_once(void)
{
	static bool looked;
	struct statfs fs;

	if (looked)
		return;
	looked = is_tmpfs = true;
	if (process_is_filtered())
		mount_bytes = size_by_mounts();
	else if (statfs(config.dir, &fs) == 0)
		is_tmpfs = fs.f_type == TMPFS_MAGIC;
	find_groups();
}

static bool exceeds(uint64_t own, uint64_t free, unsigned parts)
{
	return own > (free + own) / parts;
}

bool share_has_recording(uint64_t bytes)
{
	struct space s;
	uint64_t own, memory;

	look_once();
	s = ask_file_system();
	if (!s.total || !is_tmpfs)
		return true;
	own = s.total - s.free + bytes; /* of all files */
	memory = memory_free();
	if (!exceeds(own, s.free, FILE_PARTS) && !exceeds(own, memory, MEMORY_PARTS))
		return true;
	own = recordings_bytes();
	return !own || (!exceeds(own + bytes, s.free, FILE_PARTS) &&
			!exceeds(own + bytes, memory, MEMORY_PARTS));
}

uint64_t share_max_length(void)
{
	struct space s = ask_file_system();
	uint64_t memory = is_tmpfs ? memory_free() : UNLIMITED;
	uint64_t free = s.total && s.free < memory ? s.free : memory;

	return free / 2;
}

/*
 * Judges `bytes` more: all recordings together may have one of `parts` parts of the free space and
 * of their own.
 */
static enum share judge(uint64_t bytes, uint64_t free, uint64_t own, unsigned parts)
{
	uint64_t most = (free + own) / parts;

	return own > most ? SHARE_EXCEEDED : own + bytes > most ? SHARE_FULL : SHARE_LEFT;
}

static uint64_t least_free(const struct space *s, uint64_t memory)
{
	return s->total && s->free < memory ? s->free : memory;
}

enum share share_ask(uint64_t bytes, uint64_t *without_asking)
{
	enum share of_files, of_memory;
	uint64_t own, memory;
	struct space s;

	*without_asking = 0;
	if (!process_has_descriptors())
		return SHARE_FULL;
	s = ask_file_system();
	if (!is_tmpfs) /* a disk: the use by others is unknown */
		return s.total ? judge(bytes, s.free, 0, 4) : SHARE_LEFT;
	memory = memory_free();
	*without_asking = least_free(&s, memory) / UNASKED_PARTS;
	/*
	 * Three quarters are free, so recordings have at most a quarter, and memory is plentiful:
	 * counting is not needed.
	 */
	if (s.total && s.free >= bytes && s.free - bytes >= s.total - s.total / 4 && !n_groups &&
	    bytes <= memory / 64)
		return SHARE_LEFT;
	own = recordings_bytes();
	of_files = s.total ? judge(bytes, s.free, own, 4) : SHARE_LEFT;
	of_memory = judge(bytes, memory, own, 16);
	return of_files > of_memory ? of_files : of_memory;
}
