/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The name of a process's recording, the fields of /proc/PID/stat, and the file systems that
 * machines share. Header-only, without state or system calls. Any thread of either side.
 */
#ifndef PYPROF_PROCESS_H
#define PYPROF_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A recording is pyprof.PID. The suffixed names pyprof.PID.1, pyprof.PID.2, ... are those of the
 * process before execve(2), and of a process that found its name taken.
 */
#define PYPROF_FILE_PREFIX "pyprof."

static inline bool pyprof_is_file_name(const char *name)
{
	size_t n = strlen(PYPROF_FILE_PREFIX);

	return !strncmp(name, PYPROF_FILE_PREFIX, n) && name[n] >= '0' && name[n] <= '9';
}

/* The file that header.boot_id is read from, without its newline. */
#define PYPROF_BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

/* Fields of /proc/PID/stat, numbered as in proc(5). */
#define PYPROF_STAT_PARENT 4
#define PYPROF_STAT_THREADS 20
#define PYPROF_STAT_START 22 /* header.process_start */

/*
 * Returns where field 3, the state, begins in the text of /proc/PID/stat, or NULL. The last ')' is
 * searched for, because the command in field 2 may hold any characters.
 */
static inline const char *pyprof_stat_state(const char *stat)
{
	const char *end = strrchr(stat, ')');

	return end && end[1] == ' ' && end[2] ? end + 2 : NULL;
}

/* Returns field 4 or a later one; 0: it is missing. */
static inline uint64_t pyprof_stat_field(const char *stat, int field)
{
	const char *at = pyprof_stat_state(stat);
	uint64_t n = 0;

	for (int i = 3; at && i < field; i++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	for (; at && *at >= '0' && *at <= '9'; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	return n;
}

/*
 * True if the process has ended and its parent has not waited for it yet. The count of threads is
 * read too: a main thread that ended before the others is in the same state.
 */
static inline bool pyprof_stat_is_zombie(const char *stat)
{
	const char *state = pyprof_stat_state(stat);

	return state && (*state == 'Z' || *state == 'X') &&
	       pyprof_stat_field(stat, PYPROF_STAT_THREADS) < 2;
}

/*
 * True for a file system that several machines may write at the same time. There, a recording of
 * another boot may be that of another machine, whose process runs; on all others that process has
 * ended. `type` is f_type of struct statfs; the numbers are those of statfs(2).
 */
static inline bool pyprof_is_shared_by_machines(uint64_t type)
{
	static const uint32_t shared[] = {
		0x00006969, /* NFS */
		0x0000517b, /* SMB */
		0xff534d42, /* CIFS */
		0xfe534d42, /* SMB2 */
		0x65735546, /* FUSE: sshfs, virtiofs, ... */
		0x00c36400, /* Ceph */
		0x01021997, /* 9p */
		0x47504653, /* GPFS */
		0x0bd00bd0, /* Lustre */
		0x7461636f, /* OCFS2 */
		0x01161970, /* GFS2 */
		0x5346414f, /* AFS */
		0x786f4256, /* VirtualBox */
	};

	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
		if ((uint32_t)type == shared[i])
			return true;
	}
	return false;
}

#endif
