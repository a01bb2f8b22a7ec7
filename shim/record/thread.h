/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread that writes: its position in its ring (writer.h), and the slow paths of hook_put(): a
 * first event, a full block, a long pause.
 *
 * Time: a thread's records count in its own time, which leaves out the shim's slow paths. Each slow
 * path is enclosed by two clock reads, and `base`, the clock reading at tick 0, is moved by their
 * difference. The hot path needs no instruction for that.
 *
 * Everything here is called by the thread itself with the GIL held, except the destructor of a
 * thread, thread_note_end and thread_reset. Must not exit, print through stdio, or take a lock for
 * each event.
 */
#ifndef SHIM_THREAD_H
#define SHIM_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "pyprof/format.h"
#include "writer.h"

extern __thread struct thread_self thread_self
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * Returns the address for a record of this time, and its ticks; NULL: there is no room, and the
 * loss has been counted. `entering`: the record is that of a Python function that has just started.
 */
uint64_t *thread_room(uint64_t now, uint64_t *ticks, bool entering);

/* Records an event from a slow path. The next event takes the slow path too. */
void thread_put(unsigned kind, uint32_t number, uint64_t now);

/*
 * Brackets of a slow path, which may nest: the time between the outermost two is left out of the
 * thread's time. `leave` takes the result of `enter`, a clock reading.
 */
uint64_t thread_slow_enter(void);
void thread_slow_leave(uint64_t entered);

/* True if the calling thread is between two such brackets. Async-signal-safe. */
bool thread_is_slow(void);
/* Called when the program pauses recording: running calls are counted up to now. */
void thread_note_pause(void);

/*
 * Called before a recording begins or continues in the middle of running frames, which differ from
 * the recorded ones. At its next event, each thread ends the recorded ones, at the pause if there
 * was one, and records the running ones.
 */
void thread_restart(void);

/*
 * Called when the profile hook of this thread is being taken, or has been. Records that at once,
 * because no record may follow. Does nothing again until `taken` is cleared.
 */
void thread_mark_taken(void);

/*
 * Called when this thread's events were not seen for a while, and are again from now on. Records a
 * blind interval, and then the frames that run now.
 */
void thread_end_blind(void);

/*
 * The same for the thread that runs this PyThreadState, with its next event. False: no thread with
 * it has recorded.
 */
bool thread_note_blind_of(uint64_t state);

/*
 * If this thread's last record is the call of a C function: returns the function, in the position
 * that it has in a record. Otherwise 0.
 */
uint32_t thread_last_c_call(void);

/* Called when the process ends: stores the time, which is after the last event. Needs no GIL. */
void thread_note_end(void);

/* Returns the ring that this thread writes, or NULL. */
const struct pyprof_ring *thread_ring_of_self(void);

/*
 * Forgets all rings: a new recording begins, in this process or in a forked child.
 * Async-signal-safe.
 */
void thread_reset(void);

/*
 * Called after thread_reset, in a recording that another process has begun: its rings become free
 * for the threads of this process. False: the rings are damaged, or there is no memory.
 */
bool thread_adopt(void);

/* Called once per process image. */
void thread_init(void);

#endif
