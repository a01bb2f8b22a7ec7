/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a recording: it begins, continues in forked children, and ends. Called by any thread
 * with the GIL of the main interpreter, unless a function says otherwise. Must not end the program:
 * if recording fails, it runs unprofiled.
 */
#ifndef SHIM_SESSION_H
#define SHIM_SESSION_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Makes the file, or continues after a pause. `engine` is of enum pyprof_engine. False: there is no
 * recording, and the program runs unprofiled. Keeps errno.
 */
bool session_begin(uint32_t engine);

/* Called in a forked child before its first record. False: it has no recording. Keeps errno. */
bool session_begin_in_child(void);

/* Called when a subinterpreter was made: its calls are left out. It may have a GIL of its own. */
void session_note_subinterpreter(void);

/*
 * Called around a fork, by the thread that forks, with or without the GIL, perhaps in a signal
 * handler: before; afterwards in the parent; and in the child before it runs anything. From then on
 * the child's stores do not reach the parent's recording.
 */
void session_before_fork(void);
void session_after_fork(void);
void session_forked(void);

/* The same for a child in which none of these ran; called by its first slow path. */
void session_fork_was_missed(void);

#endif
