/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Brings the tracefunc engine (3.8 to 3.11, where a profile function belongs to one thread) to
 * every thread that runs Python, from its first frame. sys.monitoring needs none of this.
 */
#ifndef SHIM_SPAWN_H
#define SHIM_SPAWN_H

#include <stdbool.h>

/*
 * This thread's profile function may be, or become, somebody else's: before its next frame it is
 * looked at (profilehook_look), and again before each until spawn_unwatch(), which needs no GIL.
 */
void spawn_watch(void);
void spawn_unwatch(void);

/*
 * The same where a C function is called for the first time: before 3.12, for most have no business
 * with the hook.
 */
void spawn_watch_first(void);

/* This thread's first frame was found by the frame hook. Needs the GIL. */
void spawn_note_new(void);

/*
 * Now and then, beside a record that took the slow path: whether another thread has lost its
 * function. Needs the GIL.
 */
void spawn_look(void);

/* The program makes a thread now. Any thread, with or without the GIL. */
void spawn_before_create(void);

/* Sets profilehook_wanted() in every thread there is. Needs the GIL. */
void spawn_cover_threads(void);

#endif
