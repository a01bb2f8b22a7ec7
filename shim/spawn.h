/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Brings the tracefunc engine (3.8 to 3.11, where a profile function belongs to one thread) to
 * every thread that runs Python, from its first frame. sys.monitoring needs none of this.
 */
#ifndef SHIM_SPAWN_H
#define SHIM_SPAWN_H

#include <stdbool.h>

/* Learns where a thread keeps its profile function; the calling thread has ours. Needs the GIL. */
void spawn_learn(void);

/* Whether a thread has a profile function of ours, or none. Needs the GIL. */
bool spawn_is_free(void *thread);

/*
 * The program is about to call something that may take this thread's profile function away: from
 * its next frames on, the hook is looked after until it is ours again. Needs the GIL.
 */
void spawn_watch(void);

/* It has returned, and its return was seen. Needs the GIL. */
void spawn_watch_return(void);

/* Sets tracefunc_wanted() in every thread there is. Needs the GIL. */
void spawn_cover_threads(void);

#endif
