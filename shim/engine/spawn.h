/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Brings the tracefunc engine (3.8 to 3.11, where a profile function belongs to one thread) to
 * every thread that runs Python, from its first frame. sys.monitoring does not need it. Must not
 * replace a function of the program.
 */
#ifndef SHIM_SPAWN_H
#define SHIM_SPAWN_H

#include <stdbool.h>

/*
 * Called when this thread's profile function is, or may become, the program's. It is checked before
 * the thread's next frame (profilehook_look), and again before each one until spawn_unwatch(),
 * which needs no GIL.
 */
void spawn_watch(void);
void spawn_unwatch(void);

/*
 * The same when a C function is called for the first time, for a limited time: most C functions do
 * not touch the hook. Before 3.12 only. Needs the GIL.
 */
void spawn_watch_first(void);

/* Called when the frame hook has found this thread's first frame. Needs the GIL. */
void spawn_note_new(void);

/*
 * Called with a record that took the slow path: checks, at intervals, if other threads have lost
 * their function. Needs the GIL.
 */
void spawn_look(void);

/* Called when the program is about to make a thread. Any thread, with or without the GIL. */
void spawn_before_create(void);

/* Sets profilehook_wanted() in every existing thread. Needs the GIL. */
void spawn_cover_threads(void);

#endif
