/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of this process's recording, as all writers see it. session/ changes it. One at a time
 * in a process. Needs the GIL of the main interpreter.
 */
#ifndef SHIM_RECORDING_H
#define SHIM_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

enum recording_state {
	RECORDING_NONE, /* not begun */
	RECORDING_ON,
	RECORDING_FORKED, /* this is a child: its own recording begins with its first event */
	RECORDING_PAUSED, /* pyshim_stop() was called; pyshim_start() continues */
	RECORDING_OFF,	  /* for good: something failed */
};

struct recording {
	enum recording_state state;
	uint32_t clock;	 /* enum pyprof_clock, once begun */
	uint32_t engine; /* enum pyprof_engine */
	uint32_t max_blocks, n_blocks;
	/*
	 * Incremented where threads are inside frames whose calls were not recorded: in a forked
	 * child, and after pyshim_start(). Each thread then records the frames that it runs.
	 */
	uint32_t n_restarts;
	uint64_t table_bytes; /* of the rings' fold tables */
};

extern struct recording recording;

/*
 * What writers need of the layers above, which set it before the first event. Called with the GIL
 * held, but for thread_ends.
 */
struct recording_upcalls {
	bool (*begin_in_child)(void);  /* begins a forked child's own recording; sets the state */
	void (*fork_was_missed)(void); /* this process was forked, and no handler ran */
	void (*give_up)(void);	       /* the recording is off for good: no more events, please */
	/*
	 * Records the frames of this thread that are running already, the outermost first; without
	 * the innermost where that one has just been entered and gets a call of its own.
	 */
	void (*open_frames)(bool entering, uint64_t now);
	void (*thread_ends)(void); /* called in the thread, without the GIL */
};

extern struct recording_upcalls recording_upcalls;

/*
 * The function of the event for which room is looked for, as a record has it; 0: none. A forked
 * child that begins with it, and does not continue with its parent's numbers, gives it its new one.
 */
extern __thread uint32_t recording_event_fn
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * Whether records and names can be written now. In a forked child the first call begins the
 * child's own recording.
 */
bool recording_ready(void);

/*
 * In a child that was made without any fork handler: the recording is another process's, and
 * becomes that of a forked child. Called on slow paths.
 */
void recording_check_process(void);

/* The file says something that the shim has not written, or its pages are gone: off for good. */
void recording_is_damaged(const char *what);

#endif
