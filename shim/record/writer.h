/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The position at which a thread writes records. Each thread has one of its own (thread.h); a ring
 * keeps that of its last thread (rings.h). Plain data.
 */
#ifndef SHIM_WRITER_H
#define SHIM_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "pyprof/format.h"

struct thread_ring;

struct thread_self {
	/* the hot path's */
	uint64_t *next; /* address of the next record */
	uint64_t *stop; /* next == stop: take the slow path; both NULL before the first event */
	uint64_t base;	/* clock reading at tick 0 */
	/*
	 * PYPROF_CALL ^ PYPROF_DIRECT_CALL after a call-site event, until the event that it
	 * announces; else 0.
	 */
	uint64_t start_xor;
	/* the slow paths' */
	uint64_t *end; /* of the block */
	uint64_t skipped_ticks;
	uint64_t sequence; /* of the block */
	struct pyprof_block *block;
	struct thread_ring *ring;
	uint32_t number;
	uint32_t lookahead;    /* records until the next soft stop */
	uint32_t n_restarts;   /* of the recording, that this thread has taken part in */
	uint64_t paused_ticks; /* the clock at a past pause, until this thread has recorded it */
	uint64_t state;	       /* pyapi_state_id() of the PyThreadState of these events */
	bool named;
	bool blind;	/* a blind interval is to be recorded with the next event */
	bool taken;	/* PYPROF_BLIND_BEGINS is recorded, and the program may have the hook */
	bool not_event; /* the current record is not an event: its loss is not counted */
};

#endif
