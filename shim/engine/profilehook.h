/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The profile function of a PyThreadState, which the tracefunc engine uses: the one that each
 * thread should have, and setting it. Called by any thread with the GIL, unless a function says
 * otherwise. Must not replace a function of the program.
 */
#ifndef SHIM_PROFILEHOOK_H
#define SHIM_PROFILEHOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "python/pyapi.h"

struct profilehook {
	py_tracefunc wanted, former;
	size_t word; /* index of the word that holds the function; 0: unknown */
};

extern struct profilehook profilehook __attribute__((visibility("hidden")));

/*
 * Returns the function that every thread should have now; NULL: none, or another engine runs. Any
 * thread, with or without the GIL.
 */
static inline py_tracefunc profilehook_wanted(void)
{
	return profilehook.wanted;
}

/* Changes the wanted function. Threads keep theirs until it is set in them. */
void profilehook_want(py_tracefunc f);

/*
 * Called once in each interpreter that is initialised, before there can be an audit hook in Python.
 * Learns where a thread keeps its function, by setting `f` for a moment.
 */
void profilehook_prepare(py_tracefunc f);

/* True if that place is known. */
static inline bool profilehook_is_known(void)
{
	return profilehook.word != 0;
}

static inline py_tracefunc profilehook_of(void *thread)
{
	return profilehook.word ? (py_tracefunc)((void **)thread)[profilehook.word] : NULL;
}

static inline bool profilehook_is_none(void *thread)
{
	return profilehook.word && !profilehook_of(thread);
}

static inline bool profilehook_is_ours(void *thread)
{
	return profilehook.word && profilehook_of(thread) == profilehook.wanted;
}

/* True if a thread has no function, the wanted one, or the one that was wanted before. */
static inline bool profilehook_is_free(void *thread)
{
	py_tracefunc f = profilehook_of(thread);

	return !f || f == profilehook.wanted || f == profilehook.former;
}

/*
 * Sets the wanted function in the calling thread, or in another one. False: the thread has a
 * function of the program, which stays, or the layout is unknown.
 */
bool profilehook_set_here(void);
void profilehook_set_in(void *thread);

/* True while the shim sets the calling thread's function through the C-API. */
bool profilehook_sets(void);

/* --- places where the program may have changed it (taken.h) ----------------------------------- */

enum profilehook_where {
	PROFILEHOOK_IN_CALL,  /* in a C function, before the interpreter reports that it returns */
	PROFILEHOOK_BETWEEN,  /* between two instructions */
	PROFILEHOOK_AT_FRAME, /* before a frame is evaluated */
};

/* Checks the calling thread's function, by the function that profilehook_on_look was given. */
void profilehook_look(enum profilehook_where where);
void profilehook_on_look(void (*look)(enum profilehook_where where));

/*
 * True if the calling thread's function was seen to be the program's. Nothing need be done until
 * that changes.
 */
extern __thread bool profilehook_is_taken
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

#endif
