/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * C functions, under unknown names, that take the profile hook by the C-API and as yappi does; and
 * frame evaluators (PEP 523). ctypes.PyDLL loads the library, and the Python API is resolved in the
 * process that loads it.
 */
#include <stddef.h>
#include <stdint.h>

typedef int (*tracefunc)(void *, void *, int, void *);
typedef void *(*evaluator)(void *, void *, int);

struct method {
	const char *name;
	void *(*function)(void *, void *);
	int flags;
	const char *doc;
};

extern void PyEval_SetProfile(tracefunc, void *);
extern void *PyCFunction_NewEx(struct method *, void *, void *);
extern void *PyThreadState_Get(void);
extern void *PyThreadState_Next(void *);
extern void *PyInterpreterState_Main(void);
extern void *PyInterpreterState_ThreadHead(void *);
extern const char *Py_GetVersion(void);
extern void Py_IncRef(void *);
extern char _Py_NoneStruct;
extern evaluator _PyInterpreterState_GetEvalFrameFunc(void *) __attribute__((weak));
extern void _PyInterpreterState_SetEvalFrameFunc(void *, evaluator) __attribute__((weak));
extern void *_PyEval_EvalFrameDefault(void *, void *, int);

static int ignore(void *self, void *frame, int what, void *arg)
{
	(void)self, (void)frame, (void)what, (void)arg;
	return 0;
}

static void *none(void)
{
	Py_IncRef(&_Py_NoneStruct);
	return &_Py_NoneStruct;
}

/* Sets PyThreadState.c_profilefunc and the field that the evaluation loop checks first. */
static void put(void *thread, tracefunc f)
{
	char minor = Py_GetVersion()[3] == '.' ? Py_GetVersion()[2] : '0' + 10;
	int is_311 = minor == '0' + 10 && Py_GetVersion()[3] == '1';
	int is_310 = minor == '0' + 10 && Py_GetVersion()[3] == '0';
	void **word = (void **)((char *)thread + (is_311 ? 64 : 56));

	word[0] = (void *)f;
	if (is_311)
		*(uint8_t *)word[-1] = f ? 255 : 0;
	else
		*(int *)(is_310 ? word[-1] : &word[-1]) = f != NULL;
}

static void *grasp(void *self, void *arg)
{
	(void)self, (void)arg;
	PyEval_SetProfile(ignore, NULL);
	return none();
}

static void *relinquish(void *self, void *arg)
{
	(void)self, (void)arg;
	PyEval_SetProfile(NULL, NULL);
	return none();
}

static void *poke(void *self, void *arg)
{
	(void)self, (void)arg;
	put(PyThreadState_Get(), ignore);
	return none();
}

static void *wipe(void *self, void *arg)
{
	(void)self, (void)arg;
	put(PyThreadState_Get(), NULL);
	return none();
}

static void put_in_all(tracefunc f)
{
	void *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Main());

	for (; thread; thread = PyThreadState_Next(thread))
		put(thread, f);
}

static void *poke_all(void *self, void *arg)
{
	(void)self, (void)arg;
	put_in_all(ignore);
	return none();
}

static void *wipe_all(void *self, void *arg)
{
	(void)self, (void)arg;
	put_in_all(NULL);
	return none();
}

/* Returns a new built-in function, whose calls the interpreter reports. */
void *make(int which)
{
	static struct method methods[] = {
		{ "grasp", grasp, 4, NULL },	   { "relinquish", relinquish, 4, NULL },
		{ "poke", poke, 4, NULL },	   { "wipe", wipe, 4, NULL },
		{ "poke_all", poke_all, 4, NULL }, { "wipe_all", wipe_all, 4, NULL },
	};

	return PyCFunction_NewEx(&methods[which], NULL, NULL);
}

/* The same without a call event, because the interpreter reports no calls of ctypes functions. */
void drop(void)
{
	PyEval_SetProfile(NULL, NULL);
}

static evaluator previous;

static void *evaluate_previous(void *thread, void *frame, int throwing)
{
	return previous(thread, frame, throwing);
}

static void *evaluate_default(void *thread, void *frame, int throwing)
{
	return _PyEval_EvalFrameDefault(thread, frame, throwing);
}

static void set_evaluator(evaluator f)
{
	_PyInterpreterState_SetEvalFrameFunc(PyInterpreterState_Main(), f);
}

/* Keeps the previous evaluator, as torch's dynamo does, and may do so again while it is in use. */
void chain(void)
{
	evaluator now = _PyInterpreterState_GetEvalFrameFunc(PyInterpreterState_Main());

	if (now == evaluate_previous)
		return;
	previous = now;
	set_evaluator(evaluate_previous);
}

void unchain(void)
{
	set_evaluator(previous);
}

/* Replaces the evaluator and calls the interpreter's own, as pydevd does. */
void replace(void)
{
	set_evaluator(evaluate_default);
}

void reset(void)
{
	set_evaluator(_PyEval_EvalFrameDefault);
}
