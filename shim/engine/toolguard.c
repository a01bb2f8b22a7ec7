/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toolguard.h"

#include <stddef.h>

__thread bool guard_is_off __attribute__((tls_model("initial-exec"), visibility("hidden")));

#define METH_FASTCALL 0x80
#define METH_O 0x08

/* METH_FASTCALL: (module, arguments, their number); METH_O: (module, argument) */
typedef PyObject *(*method)(PyObject *, PyObject *const *, ssize_t);

enum { USE_TOOL, FREE_TOOL, CLEAR_TOOL, REGISTER, SET_EVENTS, N_FUNCTIONS };

static struct {
	const char *name;
	method real;
} function[N_FUNCTIONS] = {
	{ "use_tool_id", NULL },       { "free_tool_id", NULL }, { "clear_tool_id", NULL },
	{ "register_callback", NULL }, { "set_events", NULL },
};

static const struct guard *guard;

/*
 * Returns the tool that a function is called for, or -2. Accepts exact ints only: their conversion
 * runs no code.
 */
static int tool_of(PyObject *id)
{
	long n;

	if (!id || pyapi_type(id) != py.PyLong_Type)
		return -2;
	n = py.PyLong_AsLong(id);
	if (n == -1)
		py.PyErr_Clear();
	return n >= 0 && n < 8 ? (int)n : -2;
}

static bool is_watched(void)
{
	return guard && !guard_is_off && pyapi_in_main_interpreter();
}

static void restore(PyObject *module)
{
	struct pyapi_pending pending;

	pyapi_pending_save(&pending);
	guard_is_off = true;
	guard->restore(module);
	guard_is_off = false;
	pyapi_pending_restore(&pending);
}

static void give_way(PyObject *module)
{
	guard_is_off = true;
	guard->give_way(module);
	guard_is_off = false;
}

/* Hides our callback from the program: None, as if there had been no callback. */
static PyObject *without_ours(PyObject *callback)
{
	if (!callback || !guard->is_ours(callback))
		return callback;
	py.Py_DecRef(callback);
	py.Py_IncRef(py._Py_NoneStruct);
	return py._Py_NoneStruct;
}

static PyObject *call(int i, PyObject *module, PyObject *const *args, ssize_t n, int tool)
{
	PyObject *result;

	if (!is_watched())
		return function[i].real(module, args, n);
	if (i == USE_TOOL && tool == guard->tool())
		give_way(module);
	result = function[i].real(module, args, n);
	if (tool == guard->tool() || (i == FREE_TOOL && guard->tool() == -1))
		restore(module);
	return i == REGISTER ? without_ours(result) : result;
}

#define FASTCALL(name, i)                                                         \
	static PyObject *name(PyObject *module, PyObject *const *args, ssize_t n) \
	{                                                                         \
		return call(i, module, args, n, n > 0 ? tool_of(args[0]) : -2);   \
	}
#define ONE(name, i)                                                                  \
	static PyObject *name(PyObject *module, PyObject *const *arg, ssize_t unused) \
	{                                                                             \
		return call(i, module, arg, unused, tool_of((PyObject *)arg));        \
	}
FASTCALL(use_tool, USE_TOOL)
FASTCALL(register_callback, REGISTER)
FASTCALL(set_events, SET_EVENTS)
ONE(free_tool, FREE_TOOL)
ONE(clear_tool, CLEAR_TOOL)

static const method through[N_FUNCTIONS] = { use_tool, free_tool, clear_tool, register_callback,
					     set_events };

static bool fits(int i, const struct py_method_def *def)
{
	bool one = i == FREE_TOOL || i == CLEAR_TOOL;

	return def->ml_flags == (one ? METH_O : METH_FASTCALL) &&
	       def->ml_meth != (void *)through[i];
}

void guard_monitoring(PyObject *monitoring, const struct guard *g)
{
	for (int i = 0; i < N_FUNCTIONS; i++) {
		PyObject *f = py.PyObject_GetAttrString(monitoring, function[i].name);
		struct py_method_def *def;

		py.PyErr_Clear();
		if (!f)
			continue;
		def = pyapi_is_plain_cfunction(f) ? pyapi_cfunction_def(f) : NULL;
		if (def && fits(i, def)) {
			function[i].real = (method)def->ml_meth;
			def->ml_meth = (void *)through[i];
		}
		py.Py_DecRef(f); /* the module keeps it */
	}
	guard = g;
}
