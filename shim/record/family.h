/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The recordings of a process and of all its forked children, in memory that they share. If a
 * family has left enough recordings of ended processes, a forked child continues one of these
 * instead of making another file. So a program that forks for ever leaves a bounded number of
 * files, and no call is lost.
 *
 * Each process writes its own slot; slots are handed over by compare-and-swap. Their contents need
 * no other order: they were written before the process ended, and the kernel has reported that end.
 * Only processes of the family can reach the memory, so it is trusted. All calls need the GIL,
 * except family_forked.
 */
#ifndef SHIM_FAMILY_H
#define SHIM_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

struct region;

/* Makes the shared memory, in the first process. If that fails, each recording has its own file. */
void family_open(void);

/*
 * The function numbers that a forked child has from its parent: which process gave them, and how
 * many there are. Two children with equal ones share them.
 */
struct family_numbers {
	uint64_t owner; /* PYPROF_CONSUMER() of the parent */
	uint64_t n;
};

/*
 * Enters the recording of this process. `forked`: a later child may continue it; its first numbers
 * are then these. `pid_namespace` is this process's, 0: unknown; the same below.
 */
void family_join(bool forked, uint64_t pid_namespace, const struct family_numbers *numbers);

/* Called in a forked child before anything else: it has no recording yet. Async-signal-safe. */
void family_forked(void);

/*
 * Called in a forked child: finds the recording of an ended process that it should continue, as a
 * region that is not mapped yet. False: it should make its own. A recording that shares these
 * numbers is preferred; `*shared` says if it does. It belongs to this process from here on;
 * family_refuse() gives it up permanently.
 */
bool family_take(struct region *r, uint64_t pid_namespace, const struct family_numbers *numbers,
		 bool *shared);
void family_refuse(void);

#endif
