/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frame evaluators (PEP 523): functions that evaluate each Python frame, in front of the evaluator
 * that was set before. Up to 3.11. Setting one is one store, so any thread may do it, without the
 * GIL. The evaluators themselves run in every thread, with the GIL. Must not remove the evaluator
 * of another tool.
 */
#ifndef SHIM_EVALHOOK_H
#define SHIM_EVALHOOK_H

#include <stdbool.h>

#include "pyapi.h"

struct evalhook {
	py_evalfunc ours; /* set by the owner; for its arguments see evalhook_frame() */
	py_evalfunc next; /* the evaluator that it calls; NULL until it is first set */
};

/*
 * Puts it in front of the present evaluator. The earlier order does not matter: other tools may
 * have set and removed theirs in any order. False: the interpreter has no field for an evaluator.
 */
bool evalhook_set(struct evalhook *h);

/* Removes it. An evaluator that was set in front of it since stays, and calls it. */
void evalhook_remove(const struct evalhook *h);

/*
 * Returns the frame among the first two arguments of an evaluator: (frame, throwing) on 3.8,
 * (thread, frame, throwing) later.
 */
static inline void *evalhook_frame(void *a, void *b)
{
	return py.version >= 0x030900 ? b : a;
}

/*
 * Return the code and the globals of such a frame, borrowed: a frame object on 3.8 to 3.10, the
 * interpreter's internal frame on 3.11.
 */
static inline PyObject *evalhook_code(void *frame)
{
	return ((PyObject **)frame)[4];
}

static inline PyObject *evalhook_globals(void *frame)
{
	return ((PyObject **)frame)[py.version >= 0x030b00 ? 1 : 6];
}

/* Calls another tool's evaluator. */
PyObject *evalhook_call_tool(const struct evalhook *h, void *a, void *b, void *c);

/*
 * Calls the next evaluator. A tail call if that is the interpreter's: then the shim has no frame on
 * the C stack.
 */
static inline PyObject *evalhook_call_next(const struct evalhook *h, void *a, void *b, void *c)
{
	if (__builtin_expect(h->next != py._PyEval_EvalFrameDefault, 0))
		return evalhook_call_tool(h, a, b, c);
	return h->next(a, b, c);
}

#endif
