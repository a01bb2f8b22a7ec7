/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What /proc tells of a process. Any thread; no allocation.
 */
#ifndef SHIM_PROCESS_H
#define SHIM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * When it started, in clock ticks since boot (field 22 of /proc/PID/stat); 0: unknown. PID 0: this
 * process.
 */
uint64_t process_start(pid_t pid);

/* The inode of this process's PID namespace; 0: unknown. */
uint64_t process_pid_namespace(void);

/*
 * Whether /proc shows the PIDs of this process's own PID namespace, and not those of one around it.
 */
bool process_has_own_proc(void);

/* How many threads this process has; 0: unknown. */
uint64_t process_threads(void);

/*
 * Whether a seccomp filter watches over this process: a system call that CPython does not make by
 * itself may be its end. Then these come from /proc; opening and reading files is what CPython does
 * all the time. True as well where sandbox_is_closed(), after which nothing is opened either.
 */
bool process_is_filtered(void);

/* The same as it was found last, without looking: for what happens often. */
bool process_was_filtered(void);

/*
 * Whether there are descriptors enough for a few of ours for a moment. Where the last ones are
 * taken, what another thread opens meanwhile fails: pthread_exit aborts where it finds none for
 * libgcc_s.so.1. Takes none itself.
 */
bool process_has_descriptors(void);

/* The calling thread's id; 0: unknown. */
pid_t process_thread_id(void);

/* getpid() and getppid(). */
void process_ids(pid_t *pid, pid_t *parent);

/*
 * This process. `forked`: since it was asked last, this process was forked from the one that asked;
 * then it has the same PID namespace, if /proc shows both by the PIDs that they have. Not for two
 * threads at once.
 */
struct process_self {
	pid_t pid, parent;
	uint64_t start, pid_namespace; /* as below; 0: unknown */
};

void process_describe(struct process_self *s, bool forked);

/* How much address space this process uses, in bytes; 0: unknown. */
uint64_t process_address_bytes(void);

/* Whether it has ended, all its threads have, and nobody has waited for it yet. */
bool process_is_zombie(pid_t pid);

/*
 * Whether no process has this PID. One system call; under a filter none is made, and the result is
 * false.
 */
bool process_is_gone(pid_t pid);

/*
 * Whether the process with this PID and start time has ended; false where that is not known.
 * `start`: the low 32 bits, 0: unknown. Reads /proc, which takes some 10 us, if a process with this
 * PID exists.
 */
bool process_has_ended(pid_t pid, uint32_t start);

/* Whether the calling process is another one; false where that cannot be asked. */
bool process_is_foreign(pid_t pid);

/* Up to `cap` bytes of a file; how many it had, at most `cap`. */
size_t process_read(const char *path, char *out, size_t cap);

#endif
