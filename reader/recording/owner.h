/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process that writes a recording, looked up in /proc: whether it still runs.
 *
 * A PID means something only in its PID namespace. The header says which one that is, so a process
 * of another namespace is found by its innermost PID, its start and the namespace's inode, as far
 * as this /proc shows it. Where nothing can be proven the state is OWNER_UNKNOWN, and nobody may
 * act as if it had ended.
 *
 * One thread. Reads /proc only; keeps a list of all processes for a few seconds.
 */
#ifndef READER_OWNER_H
#define READER_OWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "pyprof/format.h"

enum owner_state {
	OWNER_ENDED,	/* the process has ended, or does not have this file any more */
	OWNER_RUNS,	/* it runs, and may be writing */
	OWNER_REPLACED, /* it runs, as another program: this is of before execve(2) */
	OWNER_UNKNOWN,	/* it cannot be seen from here */
};

struct owner {
	enum owner_state state;
	uint32_t pid;	/* where it runs: its PID as seen from here ... */
	uint64_t start; /* ... and its start */
};

/* A recording: of its header the constant fields are used, and those of minor 1. */
void owner_find(struct owner *o, const struct pyprof_header *h, const char *path,
		const struct stat *st);

/* The process alone, without a file: namespace 0 or start 0 is unknown. */
void owner_find_process(struct owner *o, uint32_t pid, uint64_t start, uint64_t pid_namespace);

/* Whether the kernel that runs now is the one that the recording was made under. */
bool owner_is_of_this_boot(const struct pyprof_header *h);

/* Whether the process that was found running still does. */
bool owner_still_runs(const struct owner *o);

/*
 * Whether the process that was found running may still write the file: after execve it is another
 * program. True also where its mappings cannot be seen, and where it shows none: its main thread
 * has ended.
 */
bool owner_may_write(const struct owner *o, const char *path);

/* Whether any process that can be seen has the file mapped, the one in its header or another. */
bool owner_is_mapped(const char *path, const struct stat *st);

/* When a process started, as header.process_start has it; 0: there is none, or it has ended. */
uint64_t owner_process_start(uint32_t pid);

/* The inode of this process's PID namespace; 0: there is no /proc. */
uint64_t owner_namespace(void);

/*
 * Whether a process has the same clocks and PIDs as this one: only then it can judge our claim on a
 * ring.
 */
bool owner_shares_namespaces(const struct owner *o, const struct pyprof_header *h);

#endif
