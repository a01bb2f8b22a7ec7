/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "setprofile.h"

#include <string.h>

#include "profilehook.h"

#define N_FUNCTIONS 2
#define N_WORDS 24 /* words of PyThreadState; the function and its object are in these */

/* sys.setprofile, and the function that threading.setprofile_all_threads calls. */
static struct {
	const char *name;
	struct py_method_def *def;
	PyObject *(*real)(PyObject *, PyObject *);
} function[N_FUNCTIONS] = { { .name = "setprofile" }, { .name = "_setprofileallthreads" } };

/* This thread calls one of them, and the event was reported to the shim. */
static __thread bool called __attribute__((tls_model("initial-exec")));

/* The program's profile function, and the word that it belongs in. */
static __thread py_tracefunc theirs __attribute__((tls_model("initial-exec")));
static __thread void **place __attribute__((tls_model("initial-exec")));

static bool is_ours(const PyObject *f)
{
	if (!f || !pyapi_is_cfunction(f))
		return false;
	for (int i = 0; i < N_FUNCTIONS; i++) {
		if (function[i].def && pyapi_cfunction_def(f) == function[i].def)
			return true;
	}
	return false;
}

/* Replaces the program's function until the first event, which is probably the odd one. */
static void *withhold(PyObject *self, PyObject *frame, int what, PyObject *arg)
{
	py_tracefunc f = theirs;

	if (*place == (void *)withhold)
		*place = (void *)f;
	if (what == PY_TRACE_C_RETURN && is_ours(arg))
		return NULL;
	return f(self, frame, what, arg);
}

/*
 * Returns the word of PyThreadState that holds the profile function: two words before its object,
 * `arg`. NULL: not found, or the program had a function before, and gets the event without the shim
 * too.
 */
static void **find_place(void **thread, void *const *before, const PyObject *arg)
{
	for (int i = 3; i < N_WORDS; i++) {
		if (thread[i] == arg && before[i] != arg && thread[i - 2] != before[i - 2])
			return before[i] ? NULL : &thread[i - 2];
	}
	return NULL;
}

static PyObject *call(int i, PyObject *module, PyObject *arg)
{
	void **thread = py.PyThreadState_Get();
	bool alone = called && !pyapi_others_see_calls();
	void *before[N_WORDS];
	PyObject *result;

	called = false;
	memcpy(before, thread, sizeof(before));
	result = function[i].real(module, arg);
	profilehook_look(PROFILEHOOK_IN_CALL);
	if (!result || !alone || arg == py._Py_NoneStruct)
		return result;
	place = find_place(thread, before, arg);
	if (place) {
		theirs = (py_tracefunc)*place;
		*place = (void *)withhold;
	}
	return result;
}

static PyObject *call_setprofile(PyObject *module, PyObject *arg)
{
	return call(0, module, arg);
}

static PyObject *call_setprofile_all(PyObject *module, PyObject *arg)
{
	return call(1, module, arg);
}

void setprofile_meet(struct py_method_def *def, PyObject *self)
{
	static PyObject *(*const through[N_FUNCTIONS])(
		PyObject *, PyObject *) = { call_setprofile, call_setprofile_all };

	for (int i = 0; i < N_FUNCTIONS; i++) {
		if (function[i].def || strcmp(def->ml_name, function[i].name) != 0 ||
		    self != pyapi_module("sys") || !pyapi_takes_one(def))
			continue;
		function[i].def = def;
		function[i].real = (__typeof__(function[i].real))def->ml_meth;
		def->ml_meth = (void *)through[i];
	}
}

bool setprofile_is(const struct py_method_def *def)
{
	return def == function[0].def || def == function[1].def;
}

void setprofile_called(const struct py_method_def *def)
{
	called = setprofile_is(def);
}
