/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ring for each thread that runs Python: its thread-local writing position, the registry of all
 * rings, and the slow paths of put(): a first event, a full block, a long pause.
 *
 * Time. A thread's records count in its own time, from which the shim's slow paths are left out:
 * each of them is bracketed by two clock reads, and `base`, the clock reading that a record's
 * ticks count from, is moved on by what it took. The hot path pays nothing for that.
 *
 * Everything here runs in the thread itself with the GIL held, but for thread_exit.
 */
#ifndef SHIM_THREAD_H
#define SHIM_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "pyprof/format.h"

struct thread_ring;

struct thread_self {
	/* the hot path's */
	uint64_t *next; /* where the next record goes */
	uint64_t *stop; /* next == stop: take the slow path; both NULL before the first event */
	uint64_t base;	/* clock reading of tick 0 */
	/* Between a call site's event and its function's: PYPROF_CALL ^ PYPROF_BARE_CALL. */
	uint64_t start_xor;
	/* the slow paths' */
	uint64_t *end; /* of the block */
	uint64_t skipped_ticks;
	uint64_t sequence; /* of the block */
	struct pyprof_block *block;
	struct thread_ring *ring;
	uint32_t number;
	uint32_t lookahead;  /* records until the next soft stop */
	uint32_t n_restarts; /* of the recording, that this thread has taken part in */
	uint64_t
		paused_ticks; /* the clock at a pause that is over, and that this thread has not told */
	uint64_t state;	      /* pyapi_state_id() of the PyThreadState whose events these are */
	bool named;
	bool blind;	/* a gap is to be told with the next event */
	bool taken;	/* PYPROF_GAP_BEGINS is told, and the profile hook may be others' still */
	bool not_event; /* the record at hand is no event: its loss is none */
};

extern __thread struct thread_self thread_self
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * The place for a record of this time, and its ticks; NULL: there is none, and the loss has been
 * counted. `entering`: the record is of a Python function that has just started.
 */
uint64_t *thread_room(uint64_t now, uint64_t *ticks, bool entering);

/* Records an event from a slow path; the event after it takes the slow path too. */
void thread_put(unsigned kind, uint32_t number, uint64_t now);

/*
 * Brackets of a slow path, which may nest: what passes between the outermost two is left out of
 * the thread's time. `enter` gives what `leave` takes.
 */
uint64_t thread_slow_enter(void);
void thread_slow_leave(uint64_t entered);

/* Whether the calling thread is between two such brackets. */
bool thread_is_slow(void);
/* The program stops recording: what runs is counted up to here. */
void thread_note_pause(void);

/*
 * Before a recording begins or continues in the midst of running frames: they are not those that
 * threads have recorded. Each thread closes the latter, at the pause if there was one, and records
 * the former at its next event.
 */
void thread_restart(void);

/*
 * The profile hook of this thread is being taken, or has been: tells so, for no record may follow.
 * Once, until `taken` is cleared.
 */
void thread_mark_taken(void);

/*
 * This thread's events have not been seen for a while, and are again from now on. What passed is
 * told as a gap, and then the frames that it runs now.
 */
void thread_end_blind(void);

/*
 * The same of the thread that runs this PyThreadState, with its next event; false: it is none that
 * has recorded.
 */
bool thread_note_blind_of(uint64_t state);

/*
 * The function of this thread's last record, as a record has it, where that is the call of a C
 * function; else 0.
 */
uint32_t thread_last_c_call(void);

/* The process ends: says when, which is after the last event. Needs no GIL. */
void thread_note_end(void);

/* The ring that this thread writes, or NULL. */
const struct pyprof_ring *thread_ring_of_self(void);

/* No rings yet: a new recording begins, in this process or in a forked child. Async-signal-safe. */
void thread_reset(void);

/*
 * Behind thread_reset, in a recording that another process has begun: its rings are free for the
 * threads of this one. False: the rings are damaged, or there is no memory.
 */
bool thread_adopt(void);

/* Once per process image. */
void thread_init(void);

#endif
