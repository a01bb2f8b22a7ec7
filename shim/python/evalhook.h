/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frame evaluators (PEP 523): functions that evaluate each Python frame, in front of what stood
 * there before. Up to 3.11. Setting one is one store and needs no GIL.
 */
#ifndef SHIM_EVALHOOK_H
#define SHIM_EVALHOOK_H

#include <stdbool.h>

#include "pyapi.h"

struct evalhook {
	py_evalfunc
		ours; /* set by the owner; an evaluator's arguments differ by version, see evalhook_frame() */
	py_evalfunc next; /* what it goes on to; NULL until it is set for the first time */
};

/*
 * Puts it in front of what is there now; what that was before does not matter, others may have been
 * set and removed in any order. False: the interpreter has no place for one.
 */
bool evalhook_set(struct evalhook *h);

/* Takes it away. One that was set in front of it since stays, and goes on to it. */
void evalhook_remove(const struct evalhook *h);

/*
 * The frame among the first two arguments of an evaluator: (frame, throwing) on 3.8, (thread,
 * frame, throwing) later.
 */
static inline void *evalhook_frame(void *a, void *b)
{
	return py.version >= 0x030900 ? b : a;
}

/*
 * The code and the globals of such a frame, borrowed: on 3.8 to 3.10 it is a frame object, on 3.11
 * the interpreter's.
 */
static inline PyObject *evalhook_code(void *frame)
{
	return ((PyObject **)frame)[4];
}

static inline PyObject *evalhook_globals(void *frame)
{
	return ((PyObject **)frame)[py.version >= 0x030b00 ? 1 : 6];
}

/* To another tool's evaluator. */
PyObject *evalhook_call_tool(const struct evalhook *h, void *a, void *b, void *c);

/*
 * Goes on to the next one. A tail call where that is the interpreter's: nothing of ours is on the
 * stack then.
 */
static inline PyObject *evalhook_call_next(const struct evalhook *h, void *a, void *b, void *c)
{
	if (__builtin_expect(h->next != py._PyEval_EvalFrameDefault, 0))
		return evalhook_call_tool(h, a, b, c);
	return h->next(a, b, c);
}

#endif
