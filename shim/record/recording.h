/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of this process's recording, as all writers see it. There is one at a time in a
 * process. session/ changes the state; record/ only switches it off, and keeps the counts. Any
 * thread, with the GIL of the main interpreter.
 */
#ifndef SHIM_RECORDING_H
#define SHIM_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

enum recording_state {
	RECORDING_NONE, /* not begun */
	RECORDING_ON,
	RECORDING_FORKED, /* a forked child: its own recording begins with its first event */
	RECORDING_PAUSED, /* pyshim_stop() was called; pyshim_start() continues */
	RECORDING_OFF,	  /* permanently: something failed, or cannot be recorded */
};

struct recording {
	enum recording_state state;
	uint32_t clock;	 /* enum pyprof_clock, once begun */
	uint32_t engine; /* enum pyprof_engine */
	uint32_t max_blocks, n_blocks;
	/*
	 * Incremented when threads may be in frames whose calls were not recorded: in a forked
	 * child, and after pyshim_start(). Each thread then records its running frames.
	 */
	uint32_t n_restarts;
	uint64_t table_bytes; /* size of the rings' fold tables */
};

extern struct recording recording;

/*
 * Functions of the layers above that writers call; session/ sets them before the first event.
 * Called with the GIL held, except thread_ends.
 */
struct recording_upcalls {
	bool (*begin_in_child)(void);  /* begins a forked child's own recording; sets the state */
	void (*fork_was_missed)(void); /* this process was forked without a fork handler */
	void (*give_up)(void);	       /* recording is off permanently: stops the events */
	/*
	 * Records the running frames of this thread, the outermost first. `entering`: without the
	 * innermost, which has just been entered and gets a call of its own.
	 */
	void (*open_frames)(bool entering, uint64_t now);
	void (*thread_ends)(void); /* called in the thread, without the GIL */
};

extern struct recording_upcalls recording_upcalls;

/*
 * The function of the event that needs room, in the position that it has in a record; 0: none. If a
 * forked child begins with this event and cannot continue its parent's numbers, it stores the new
 * one here.
 */
extern __thread uint32_t recording_event_fn
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * True if records and names can be written now. In a forked child the first call begins the child's
 * own recording.
 */
bool recording_ready(void);

/*
 * Called on slow paths: notices a child that was made without any fork handler. The recording is
 * that of another process, and the child gets its own, as a forked child.
 */
void recording_check_process(void);

/*
 * Switches recording off permanently: the file has contents that the shim has not written, or its
 * pages are gone.
 */
void recording_is_damaged(const char *what);

#endif
