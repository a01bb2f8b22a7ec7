/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PyEval_SetProfile with a C function: the event source of 3.8 to 3.11. The hook belongs to one
 * thread; spawn.c brings it to all others. The profile object stays NULL, so sys.getprofile() still
 * answers None.
 */
#include "engine_tracefunc.h"

#include "config.h"
#include "engine.h"
#include "hook.h"
#include "log.h"
#include "recording.h"
#include "spawn.h"
#include "start.h"

/* The function that every thread's profile hook should be now; NULL: none. */
static py_tracefunc wanted;

HOOK_INLINE void enter(PyObject *frame, enum pyapi_frame layout, enum hook_clock clock)
{
	uint32_t fn = hook_code(pyapi_frame_code(frame, layout));
	unsigned kind = PYPROF_CALL;

	if (fn & INTERN_GENERATOR) {
		fn &= ~INTERN_GENERATOR;
		if (pyapi_frame_resumed(frame))
			kind = PYPROF_RESUME;
	}
	hook_put(kind, fn, hook_now(clock), true);
}

HOOK_INLINE void leave(PyObject *frame, PyObject *value, enum pyapi_frame layout,
		       enum hook_clock clock)
{
	uint64_t now = hook_now(clock);
	PyObject *code = pyapi_frame_code(frame, layout);
	uint32_t fn = intern_find_code(code);
	unsigned kind = value ? PYPROF_RETURN : PYPROF_UNWIND;

	if (__builtin_expect(!fn, 0)) { /* it was entered before recording began */
		fn = hook_intern_code(code);
		now = hook_now(clock);
	}
	if (fn & INTERN_GENERATOR) {
		fn &= ~INTERN_GENERATOR;
		if (value && pyapi_frame_yields(frame))
			kind = PYPROF_YIELD;
	}
	hook_put(kind, fn, now, false);
}

HOOK_INLINE int trace(PyObject *frame, int what, PyObject *arg, enum pyapi_frame layout,
		      enum hook_clock clock)
{
	switch (what) {
	case PY_TRACE_CALL:
		enter(frame, layout, clock);
		break;
	case PY_TRACE_RETURN:
		leave(frame, arg, layout, clock);
		break;
	case PY_TRACE_C_CALL:
		if (config.builtins && pyapi_is_cfunction(arg))
			hook_enter_c(pyapi_cfunction_def(arg), pyapi_cfunction_self(arg),
				     pyapi_cfunction_module(arg), clock);
		break;
	case PY_TRACE_C_RETURN:
	case PY_TRACE_C_EXCEPTION:
		if (config.builtins && pyapi_is_cfunction(arg))
			hook_leave_c(what == PY_TRACE_C_RETURN ? PYPROF_C_RETURN
							       : PYPROF_C_EXCEPTION,
				     pyapi_cfunction_def(arg), pyapi_cfunction_self(arg),
				     pyapi_cfunction_module(arg), clock);
		break;
	}
	return 0;
}

/* One callback for each layout and clock, so that no event asks for either. */
#define TRACE(name, layout, clock)                                                                \
	static int name(PyObject *self, PyObject *frame, int what, PyObject *arg)                 \
	{                                                                                         \
		(void)self;                                                                       \
		return trace(frame, what, arg, layout, clock);                                    \
	}
TRACE(trace_object_tsc, PYAPI_FRAME_OBJECT, HOOK_CLOCK_TSC)
TRACE(trace_object_other, PYAPI_FRAME_OBJECT, HOOK_CLOCK_OTHER)
TRACE(trace_inner_tsc, PYAPI_FRAME_INNER, HOOK_CLOCK_TSC)
TRACE(trace_inner_other, PYAPI_FRAME_INNER, HOOK_CLOCK_OTHER)
#undef TRACE

/*
 * 3.12 and later, by PYSHIM_ENGINE=tracefunc: frames have moved on, so the C-API is asked for the
 * code, and resumes look like calls.
 */
static int trace_any(PyObject *self, PyObject *frame, int what, PyObject *arg)
{
	PyObject *code;
	uint32_t fn;

	if (what != PY_TRACE_CALL && what != PY_TRACE_RETURN)
		return trace(frame, what, arg, PYAPI_FRAME_OBJECT, HOOK_CLOCK_OTHER);
	(void)self;
	code = py.PyFrame_GetCode(frame);
	fn = hook_code(code) & ~INTERN_GENERATOR;
	py.Py_DecRef(code);
	hook_put(what == PY_TRACE_CALL ? PYPROF_CALL
		 : arg		       ? PYPROF_RETURN
				       : PYPROF_UNWIND,
		 fn, hook_now(HOOK_CLOCK_OTHER), what == PY_TRACE_CALL);
	return 0;
}

static py_tracefunc choose_trace(void)
{
	bool tsc = recording.clock == PYPROF_CLOCK_TSC;

	if (py.version >= 0x030c00)
		return trace_any;
	if (py.version >= 0x030b00)
		return tsc ? trace_inner_tsc : trace_inner_other;
	return tsc ? trace_object_tsc : trace_object_other;
}

static PyObject *frame_globals(void *frame)
{
	PyObject *globals = py.PyObject_GetAttrString(frame, "f_globals");

	if (globals)
		py.Py_DecRef(globals); /* the frame keeps it */
	else
		py.PyErr_Clear();
	return globals;
}

/* Before `__main__`: waits for its first frame. */
static int wait_for_main(PyObject *self, PyObject *frame, int what, PyObject *arg)
{
	struct pyapi_exception pending;
	PyObject *code;
	bool due;

	if (what != PY_TRACE_CALL)
		return 0;
	pyapi_exception_save(&pending);
	code = py.PyObject_GetAttrString(frame, "f_code");
	due = code && start_is_due(code, frame_globals, frame);
	if (code)
		py.Py_DecRef(code);
	if (due && (!start_begin() || !engine_tracefunc.start()))
		engine_tracefunc.stop();
	pyapi_exception_restore(&pending);
	if (due && wanted)
		return wanted(self, frame, what, arg);
	return 0;
}

py_tracefunc tracefunc_wanted(void)
{
	return wanted;
}

void tracefunc_set_here(void)
{
	py.PyEval_SetProfile(wanted, NULL);
	if (py.PyErr_Occurred()) { /* an audit hook of the program forbids it */
		py.PyErr_Clear();
		log_debug("an audit hook refused the profile function");
	}
}

static bool prepare(void)
{
	wanted = NULL;
	return true;
}

static bool arm(void)
{
	wanted = wait_for_main;
	tracefunc_set_here();
	spawn_learn();
	return true;
}

static bool start(void)
{
	wanted = choose_trace();
	tracefunc_set_here();
	spawn_learn();
	spawn_cover_threads();
	return true;
}

static void stop(void)
{
	wanted = NULL;
	tracefunc_set_here();
	spawn_cover_threads();
}

const struct engine engine_tracefunc = {
	.id = PYPROF_ENGINE_TRACEFUNC,
	.name = "tracefunc",
	.prepare = prepare,
	.arm = arm,
	.start = start,
	.stop = stop,
};
