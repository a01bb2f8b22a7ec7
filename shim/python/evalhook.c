/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "evalhook.h"

#include <stddef.h>

/*
 * 3.8: returns the field of PyInterpreterState that holds _PyEval_EvalFrameDefault. Its offset is
 * learned once. The state itself is another one after the interpreter was finalized and initialized
 * again.
 */
static py_evalfunc *eval_field(void)
{
	static size_t place;
	void **words = py.PyInterpreterState_Main();

	for (size_t i = 0; !place && words && i < 256; i++) {
		if (words[i] == (void *)py._PyEval_EvalFrameDefault)
			place = i;
	}
	return place && words ? (py_evalfunc *)&words[place] : NULL;
}

static py_evalfunc get(void)
{
	if (py._PyInterpreterState_GetEvalFrameFunc)
		return py._PyInterpreterState_GetEvalFrameFunc(py.PyInterpreterState_Main());
	return eval_field() ? *eval_field() : NULL;
}

/* May be called only after get() has returned an evaluator. */
static void set(py_evalfunc f)
{
	if (py._PyInterpreterState_SetEvalFrameFunc)
		py._PyInterpreterState_SetEvalFrameFunc(py.PyInterpreterState_Main(), f);
	else if (eval_field())
		*eval_field() = f;
}

bool evalhook_set(struct evalhook *h)
{
	py_evalfunc now = get();

	if (!now || !py._PyEval_EvalFrameDefault)
		return false;
	if (now == h->ours)
		return true;
	h->next = now;
	set(h->ours);
	return true;
}

void evalhook_remove(const struct evalhook *h)
{
	if (get() == h->ours)
		set(h->next);
}

/* The frame that this thread evaluates through another tool's evaluator. */
static __thread struct {
	const struct evalhook *hook;
	void *frame;
} passing __attribute__((tls_model("initial-exec")));

/*
 * The other evaluator may call ours, if ours was set when it was set. The same frame comes back
 * then, and the interpreter's own evaluator runs it.
 */
__attribute__((noinline)) PyObject *evalhook_call_tool(const struct evalhook *h, void *a, void *b,
						       void *c)
{
	__typeof__(passing) outer = passing;
	void *frame = evalhook_frame(a, b);
	PyObject *result;

	if (frame == outer.frame && h == outer.hook)
		return py._PyEval_EvalFrameDefault(a, b, c);
	passing.hook = h;
	passing.frame = frame;
	result = h->next(a, b, c);
	passing = outer;
	return result;
}
