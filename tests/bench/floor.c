/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The floor: hooks that do nothing, on the event source that the shim would use. What they cost is
 * what the interpreter charges for telling of an event at all.
 *
 * tests/bench/target.py opens this with ctypes.PyDLL and calls floor_start() with the GIL held; on
 * 3.8 to 3.11 in each thread. No Python.h: one object serves all versions, and the names of the
 * C-API are found in the interpreter that opens it.
 */
#include <stddef.h>
#include <stdlib.h>

typedef struct _object PyObject;

extern PyObject _Py_NoneStruct;
const char *Py_GetVersion(void);
void PyEval_SetProfile(int (*f)(PyObject *, PyObject *, int, PyObject *), PyObject *arg);
PyObject *PySys_GetObject(const char *name);
PyObject *PyType_FromSpec(void *spec);
PyObject *PyVectorcall_Call(PyObject *f, PyObject *tuple, PyObject *names);
PyObject *PyObject_CallObject(PyObject *f, PyObject *args);
PyObject *PyObject_CallMethod(PyObject *o, const char *name, const char *format, ...);
PyObject *PyObject_GetAttrString(PyObject *o, const char *name);
long PyLong_AsLong(PyObject *o);

int floor_start(void);

static int on_profile(PyObject *self, PyObject *frame, int what, PyObject *arg)
{
	(void)self;
	(void)frame;
	(void)what;
	(void)arg;
	return 0;
}

/* None is immortal wherever there is sys.monitoring. */
static PyObject *on_event(PyObject *self, PyObject *const *args, size_t nargs, PyObject *names)
{
	(void)self;
	(void)args;
	(void)nargs;
	(void)names;
	return &_Py_NoneStruct;
}

struct callable {
	size_t refcount;
	PyObject *type;
	PyObject *(*call)(PyObject *, PyObject *const *, size_t, PyObject *);
};

/* As in shim/engine_monitoring.c; the numbers are those of typeslots.h and descrobject.h. */
static PyObject *new_callable(void)
{
	static struct {
		const char *name;
		int type;
		ptrdiff_t offset;
		int flags;
		const char *doc;
	} members[] = { { "__vectorcalloffset__", 19, offsetof(struct callable, call), 1, NULL },
			{ NULL, 0, 0, 0, NULL } };
	struct {
		int id;
		void *value;
	} slots[] = { { 50, (void *)PyVectorcall_Call }, { 72, members }, { 0, NULL } };
	struct {
		const char *name;
		int basicsize, itemsize;
		unsigned flags;
		void *slots;
	} spec = { "floor.callback", sizeof(struct callable), 0, 1u << 11, slots };
	PyObject *type = PyType_FromSpec(&spec);
	PyObject *f = type ? PyObject_CallObject(type, NULL) : NULL;

	if (f)
		((struct callable *)f)->call = on_event;
	return f;
}

static int start_monitoring(void)
{
	static const char *const names[] = {
		"PY_START",  "PY_RESUME", "PY_THROW", "PY_RETURN", "PY_YIELD",
		"PY_UNWIND", "CALL",	  "C_RETURN", "C_RAISE",
	};
	PyObject *m = PySys_GetObject("monitoring");
	PyObject *events = m ? PyObject_GetAttrString(m, "events") : NULL;
	const int tool = 4;
	long all = 0;

	if (!events || !PyObject_CallMethod(m, "use_tool_id", "is", tool, "floor"))
		return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		PyObject *event = PyObject_GetAttrString(events, names[i]);
		PyObject *f = new_callable();
		long bit = event ? PyLong_AsLong(event) : -1;

		if (bit <= 0 || !f ||
		    !PyObject_CallMethod(m, "register_callback", "ilO", tool, bit, f))
			return -1;
		all |= bit;
	}
	return PyObject_CallMethod(m, "set_events", "il", tool, all) ? 0 : -1;
}

/* 0, or -1 with an exception set. */
int floor_start(void)
{
	if (atoi(Py_GetVersion() + 2) >= 12) /* "3.12..." */
		return start_monitoring();
	PyEval_SetProfile(on_profile, NULL);
	return 0;
}
