/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry of the rings of this process. Needs the GIL, except rings_leave and rings_reset.
 */
#ifndef SHIM_RINGS_H
#define SHIM_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <urcu/rculist.h>

#include "pyprof/table.h"
#include "writer.h"

/*
 * A node of the registry. It is added once and never freed while the process lives, so that walking
 * the list needs no lock and no grace period. A new thread takes over the ring of an ended one by
 * one compare-and-swap on `state` (X2, in pyprof/order.h), because threads end without the GIL.
 */
struct thread_ring {
	struct cds_list_head node;
	struct pyprof_ring *shared;
	struct thread_self *owner; /* the thread that writes now */
	struct thread_self left;   /* where the ended thread stopped writing ... */
	uint64_t last;		   /* ... and its clock */
	struct pyprof_table table;
	uint32_t n_blocks;
	int state; /* RING_TAKEN, RING_FREE */
};

/* Returns the ring of an ended thread, or a new one; NULL: no space or no memory. */
struct thread_ring *rings_take(void);

/* The thread that has the ring ends, with `left` and `last` set. Called without the GIL. */
void rings_leave(struct thread_ring *ring);

/* Returns the next ring that a thread has, after `ring` (NULL: the first one), or NULL. */
struct thread_ring *rings_next_taken(struct thread_ring *ring);

/* Forgets all rings: a new recording begins. Async-signal-safe. */
void rings_reset(void);

/*
 * Takes over the rings of a recording that another process has begun; they are free for the threads
 * of this one. False: the rings are damaged, or there is no memory.
 */
bool rings_adopt(void);

#endif
