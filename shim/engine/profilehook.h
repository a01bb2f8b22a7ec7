/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The profile function of a PyThreadState, which the tracefunc engine uses: which one each thread
 * should have, and setting it. Needs the GIL where nothing else is said.
 */
#ifndef SHIM_PROFILEHOOK_H
#define SHIM_PROFILEHOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "python/pyapi.h"

struct profilehook {
	py_tracefunc wanted, former;
	size_t word; /* the one of PyThreadState that holds the function; 0: not known */
};

extern struct profilehook profilehook __attribute__((visibility("hidden")));

/*
 * The function that every thread should have now; NULL: none, or another engine runs. Any thread,
 * without the GIL too.
 */
static inline py_tracefunc profilehook_wanted(void)
{
	return profilehook.wanted;
}

/* Changes it. Threads keep what they have until it is set in them. */
void profilehook_want(py_tracefunc f);

/*
 * Once in each interpreter that is initialised, before there can be an audit hook in Python: learns
 * where a thread keeps its function, with `f` for a moment.
 */
void profilehook_prepare(py_tracefunc f);

/* Whether that place is known. */
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

/* Whether a thread has none, the wanted one, or the one that was wanted before. */
static inline bool profilehook_is_free(void *thread)
{
	py_tracefunc f = profilehook_of(thread);

	return !f || f == profilehook.wanted || f == profilehook.former;
}

/*
 * Gives the wanted function to the calling thread, or to another. False: it has one of the
 * program's own, which stays, or the place is not known.
 */
bool profilehook_set_here(void);
void profilehook_set_in(void *thread);

/* Whether the calling thread's function is being set by us, through the C-API. */
bool profilehook_sets(void);

/* --- where the program may have changed it (taken.h) ------------------------------------------ */

enum profilehook_where {
	PROFILEHOOK_IN_CALL,  /* in a C function, before the interpreter reports that it returns */
	PROFILEHOOK_BETWEEN,  /* between two instructions */
	PROFILEHOOK_AT_FRAME, /* before a frame is evaluated */
};

/* Checks the calling thread's function: calls what profilehook_on_look was given. */
void profilehook_look(enum profilehook_where where);
void profilehook_on_look(void (*look)(enum profilehook_where where));

/*
 * Whether the calling thread's function has been seen to be the program's: nothing more to do until
 * that has gone.
 */
extern __thread bool profilehook_is_taken
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

#endif
