/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a recording: begin, go on in a forked child, go off. One at a time in a process.
 * Needs the GIL of the main interpreter.
 */
#ifndef SHIM_RECORDING_H
#define SHIM_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

#include "pyprof/abi.h"

enum recording_state {
	RECORDING_NONE, /* not begun */
	RECORDING_ON,
	RECORDING_FORKED, /* this is a child: its own recording begins with its first event */
	RECORDING_PAUSED, /* pyshim_stop() was called; pyshim_start() goes on */
	RECORDING_OFF,	  /* for good: something failed */
};

struct recording {
	enum recording_state state;
	uint32_t clock;	 /* enum pyprof_clock, once begun */
	uint32_t engine; /* enum pyprof_engine */
	uint32_t max_blocks, n_blocks;
	/*
	 * Moved on where threads find themselves in the midst of frames whose calls were not recorded:
	 * in a forked child, and after pyshim_start(). Each thread then records the frames that it runs.
	 */
	uint32_t n_restarts;
	uint64_t table_bytes; /* of the rings' fold tables */
};

extern struct recording recording;

/* Makes the file. False: no recording, and the program runs unprofiled. */
bool recording_begin(uint32_t engine);

/*
 * The function of the event for which room is looked for, as a record has it; 0: none. A forked child
 * that begins with it, and does not go on with its parent's numbers, gives it its new one.
 */
extern __thread uint32_t recording_event_fn
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * Whether records and names can be written now. In a forked child the first call begins the
 * child's own recording.
 */
bool recording_ready(void);

/* Another interpreter than the main one was made: its calls are left out. May have a GIL of its own. */
void recording_note_subinterpreter(void);

/*
 * Around a fork, in the thread that forks, whether it has the GIL or not, perhaps in a signal
 * handler: before; in the parent afterwards; and in the child before it runs anything. From there
 * on nothing that the child does reaches the parent's recording.
 */
void recording_before_fork(void);
void recording_after_fork(void);
void recording_forked(void);

/* A child that was made past those: 1: the recording is another process's. Asked on slow paths. */
bool recording_is_foreign(void);

/* The file says something that the shim has not written, or its pages are gone: off for good. */
void recording_is_damaged(const char *what);

/*
 * A new block for a ring that has `n_owned`, or 0 with the cause. A ring is given one whatever the
 * budget says: with one it can go on for ever, by folding it.
 */
uint64_t recording_block(uint32_t n_owned, enum pyprof_loss *cause);

/* Whether fold tables take more than a quarter of the budget. */
bool recording_has_many_tables(void);

/* Whether blocks and tables have come to take more than the budget: rings are to do with one block then. */
bool recording_is_over_budget(void);

/*
 * A block that the budget does not allow, 64 MiB of them at most, or 0: for the time in which a reader that
 * holds the ring stands still, and nothing can be folded.
 */
uint64_t recording_block_beyond(void);

#endif
