/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The recordings of a process and of all that it has forked, in memory that they share. A forked
 * child whose family has left enough recordings of ended processes goes on in one of these instead
 * of making another file: a program that forks for ever leaves a bounded number of files, and no
 * call is lost.
 *
 * Each process writes its own slot; slots are handed over by compare-and-swap. What the slot says
 * was written before its process ended, which the kernel says it has: no other order is needed.
 * Only processes of the family can reach the memory, so it is believed. All calls need the GIL.
 */
#ifndef SHIM_FAMILY_H
#define SHIM_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

struct region;

/*
 * Makes the shared memory, in the first process. Without it, each recording has a file of its own.
 */
void family_open(void);

/*
 * The numbers that a forked child has from its parent: whose, and how many. Two children with the
 * same ones share them.
 */
struct family_numbers {
	uint64_t owner; /* PYPROF_CONSUMER() of the parent */
	uint64_t n;
};

/*
 * Enters the recording of this process. `forked`: a later child may go on in it; its first numbers
 * are then these. `pid_namespace` is this process's, 0: unknown; here as below.
 */
void family_join(bool forked, uint64_t pid_namespace, const struct family_numbers *numbers);

/* In a forked child, before anything else: it has no recording yet. Async-signal-safe. */
void family_forked(void);

/*
 * In a forked child: the recording of an ended process that this one is to go on in, as a region
 * that is not mapped yet, or false. One that shares these numbers, if there is any; `shared` says
 * so. It is this process's from here on; family_refuse() gives it up for good.
 */
bool family_take(struct region *r, uint64_t pid_namespace, const struct family_numbers *numbers,
		 bool *shared);
void family_refuse(void);

#endif
