/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a recording: it begins, continues in forked children, and ends. Needs the GIL of the
 * main interpreter where nothing else is said.
 */
#ifndef SHIM_SESSION_H
#define SHIM_SESSION_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Makes the file, or continues after a pause. False: no recording, and the program runs unprofiled.
 */
bool session_begin(uint32_t engine);

/* In a forked child, before its first record. False: it has no recording. errno stays as it is. */
bool session_begin_in_child(void);

/*
 * Another interpreter than the main one was made: its calls are left out. May have a GIL of its
 * own.
 */
void session_note_subinterpreter(void);

/*
 * Around a fork, in the thread that forks, whether it has the GIL or not, perhaps in a signal
 * handler: before; in the parent afterwards; and in the child before it runs anything. From there
 * on nothing that the child does reaches the parent's recording.
 */
void session_before_fork(void);
void session_after_fork(void);
void session_forked(void);

/* The same for a child in which none of these ran; called by its first slow path. */
void session_fork_was_missed(void);

#endif
