/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Facts about a process from /proc, or from system calls where a filter permits them. Any thread,
 * with or without the GIL, except process_describe. Must not allocate, nor make a system call that
 * a filter may forbid.
 */
#ifndef SHIM_PROCESS_H
#define SHIM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Returns the start time in clock ticks since boot (field 22 of /proc/PID/stat); 0: unknown. PID 0:
 * this process.
 */
uint64_t process_start(pid_t pid);

/* Returns the inode of this process's PID namespace; 0: unknown. */
uint64_t process_pid_namespace(void);

/* True if /proc shows the PIDs of this process's own PID namespace, and not of one around it. */
bool process_has_own_proc(void);

/* Returns the number of threads of this process; 0: unknown. */
uint64_t process_threads(void);

/*
 * True if a seccomp filter is on this process: it may kill the process for a system call that
 * CPython does not make by itself. Then the functions below take their facts from /proc, because
 * CPython opens and reads files anyway. Also true if sandbox_is_closed(): then no file is opened
 * either. The result is kept for 50 ms.
 */
bool process_is_filtered(void);

/* Returns the last result of the above without looking again, for frequent callers. */
bool process_was_filtered(void);

/*
 * True if the shim may open a few descriptors for a moment. If it took the last ones, opening would
 * fail in other threads: pthread_exit aborts if it has none for libgcc_s.so.1. Opens none itself.
 * Also true if that cannot be found out.
 */
bool process_has_descriptors(void);

/* Returns the calling thread's id; 0: unknown. */
pid_t process_thread_id(void);

/* Stores what getpid() and getppid() return. Under a filter they come from /proc. */
void process_ids(pid_t *pid, pid_t *parent);

/*
 * This process. `forked`: this process was forked from the one that made the preceding call. Then
 * it has the same PID namespace, provided that /proc shows both by the PIDs that they have. Not for
 * two threads at once.
 */
struct process_self {
	pid_t pid, parent;
	uint64_t start, pid_namespace; /* as above; 0: unknown */
};

void process_describe(struct process_self *s, bool forked);

/* Returns the size of this process's address space in bytes; 0: unknown. */
uint64_t process_address_bytes(void);

/* True if the process and all its threads have ended and its parent has not waited for it yet. */
bool process_is_zombie(pid_t pid);

/*
 * True if no process has this PID. One system call; under a filter none is made and the result is
 * false.
 */
bool process_is_gone(pid_t pid);

/*
 * True if the process with this PID and start time has ended; false if that is not known. `start`:
 * the low 32 bits of process_start(), 0: unknown. Reads /proc, which takes about 10 us, if a
 * process with this PID exists.
 */
bool process_has_ended(pid_t pid, uint32_t start);

/* True if the calling process does not have this PID; false if that cannot be asked. */
bool process_is_foreign(pid_t pid);

/* Reads up to `cap` bytes of a file. Returns how many were read; 0 also if it cannot be opened. */
size_t process_read(const char *path, char *out, size_t cap);

#endif
