/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks up in /proc the process that writes a recording, and says if it still runs. Owns a list of
 * all processes, which it keeps for a few seconds. The files of this folder, --wait, calibrate and
 * the launcher call it, from one thread. It reads /proc and must not signal or trace a process.
 *
 * A PID is valid only in its PID namespace. The header names that namespace, so a process of
 * another namespace is found by its innermost PID, its start and the inode of the namespace, if
 * this /proc shows it. If nothing can be proven, the state is OWNER_UNKNOWN, and callers must not
 * act as if the process had ended.
 */
#ifndef READER_OWNER_H
#define READER_OWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "pyprof/format.h"

enum owner_state {
	OWNER_ENDED,	/* the process has ended, or does not map this file any more */
	OWNER_RUNS,	/* it runs, and may be writing */
	OWNER_REPLACED, /* it runs another program: the recording is from before execve(2) */
	OWNER_UNKNOWN,	/* it cannot be seen from here */
};

struct owner {
	enum owner_state state;
	uint32_t pid;	/* if it runs: its PID as seen from here; else 0 ... */
	uint64_t start; /* ... and its start, as in header.process_start */
};

/* Finds the owner of a recording. `st` is the state of the file `path`. */
void owner_find(struct owner *o, const struct pyprof_header *h, const char *path,
		const struct stat *st);

/* Finds a process without a file. 0 as `start` or `pid_namespace` means unknown. */
void owner_find_process(struct owner *o, uint32_t pid, uint64_t start, uint64_t pid_namespace);

/* True if the recording was made since this machine booted. */
bool owner_is_of_this_boot(const struct pyprof_header *h);

/* True if the process that was found running still runs. */
bool owner_still_runs(const struct owner *o);

/*
 * True if the process that was found running may still write the file; after execve it is another
 * program. Also true if its mappings cannot be seen, or if it shows none because its main thread
 * has ended before the others.
 */
bool owner_may_write(const struct owner *o, const char *path);

/* True if any visible process maps the file for writing, the one in its header or another. */
bool owner_is_mapped(const char *path, const struct stat *st);

/* Returns field 22 of /proc/PID/stat. 0: the process does not exist, or is a zombie. */
uint64_t owner_process_start(uint32_t pid);

/* Returns the inode of this process's PID namespace. 0: /proc is missing. */
uint64_t owner_namespace(void);

/*
 * True if the process runs in this process's PID and time namespaces. Only then can it check
 * whether the holder of a claim, which is this process, is alive.
 */
bool owner_shares_namespaces(const struct owner *o, const struct pyprof_header *h);

#endif
