/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PyEval_SetProfile with a C function: the event source of 3.8 to 3.11. The hook belongs to one
 * thread; spawn.c brings it to all others. The profile object stays NULL, so sys.getprofile() still
 * returns None.
 */
#include "engine.h"
#include "hook.h"
#include "profilehook.h"
#include "python/evalhook.h"
#include "record/recording.h"
#include "spawn.h"
#include "system/config.h"
#include "system/log.h"
#include "taken.h"

/*
 * For generators: the interpreter does not distinguish calls from resumes, or returns from yields.
 */
static HOOK_COLD void *enter_slow(PyObject *frame, PyObject *code, uint32_t fn)
{
	unsigned kind = PYPROF_CALL;
	uint64_t now = 0;

	if (!fn)
		fn = hook_code(code, &now);
	if (fn & INTERN_GENERATOR)
		kind = pyapi_frame_resumed(frame) ? PYPROF_RESUME : PYPROF_DIRECT_CALL;
	if (!now)
		now = hook_now(HOOK_CLOCK_OTHER);
	return hook_put(kind, fn & ~INTERN_FLAGS, now, true, NULL);
}

static HOOK_COLD void *leave_slow(PyObject *frame, PyObject *code, PyObject *value, uint32_t fn,
				  uint64_t now)
{
	unsigned kind = value ? PYPROF_RETURN : PYPROF_UNWIND;

	if (!fn)
		fn = hook_code(code, &now);
	if (value && fn & INTERN_GENERATOR && pyapi_frame_yields(frame))
		kind = PYPROF_YIELD;
	return hook_put(kind, fn & ~INTERN_FLAGS, now, false, NULL);
}

/* A negative `fn` has INTERN_GENERATOR. */
HOOK_INLINE void *enter(PyObject *frame, enum pyapi_frame layout, enum hook_clock clock)
{
	PyObject *code = pyapi_frame_code(frame, layout);
	uint32_t fn = intern_find_code(code);

	if (__builtin_expect((int32_t)fn <= 0, 0))
		return enter_slow(frame, code, fn);
	return hook_put(PYPROF_CALL, fn, hook_now(clock), true, NULL);
}

HOOK_INLINE void *leave(PyObject *frame, PyObject *value, enum pyapi_frame layout,
			enum hook_clock clock)
{
	uint64_t now = hook_now(clock);
	PyObject *code = pyapi_frame_code(frame, layout);
	uint32_t fn = intern_find_code(code);

	if (__builtin_expect((int32_t)fn <= 0, 0))
		return leave_slow(frame, code, value, fn, now);
	return hook_put(value ? PYPROF_RETURN : PYPROF_UNWIND, fn, now, false, NULL);
}

HOOK_INLINE void *record_c(int what, PyObject *f, enum hook_clock clock)
{
	const struct py_method_def *def = pyapi_cfunction_def(f);

	if (what == PY_TRACE_C_CALL)
		return hook_enter_c(def, f, NULL, clock, NULL);
	return hook_leave_c(what == PY_TRACE_C_RETURN ? PYPROF_C_RETURN : PYPROF_C_EXCEPTION, def,
			    f, NULL, clock, NULL);
}

/* The interpreter reports only C functions of its own type here, and of PyCMethod. */
HOOK_INLINE void *trace(PyObject *frame, int what, PyObject *arg, enum pyapi_frame layout,
			enum hook_clock clock)
{
	if (what == PY_TRACE_CALL)
		return enter(frame, layout, clock);
	if (what == PY_TRACE_RETURN)
		return leave(frame, arg, layout, clock);
	if (what >= PY_TRACE_C_CALL && what <= PY_TRACE_C_RETURN)
		return record_c(what, arg, clock);
	return NULL;
}

/* One callback for each layout and clock, so that events need no test for either. */
#define TRACE(name, layout, clock)                                                  \
	static void *name(PyObject *self, PyObject *frame, int what, PyObject *arg) \
	{                                                                           \
		(void)self;                                                         \
		return trace(frame, what, arg, layout, clock);                      \
	}
TRACE(trace_object_tsc, PYAPI_FRAME_OBJECT, HOOK_CLOCK_TSC)
TRACE(trace_object_other, PYAPI_FRAME_OBJECT, HOOK_CLOCK_OTHER)
TRACE(trace_inner_tsc, PYAPI_FRAME_INNER, HOOK_CLOCK_TSC)
TRACE(trace_inner_other, PYAPI_FRAME_INNER, HOOK_CLOCK_OTHER)
#undef TRACE

/*
 * 3.12 and later, by PYSHIM_ENGINE=tracefunc. Frames have another layout, so the C-API gives the
 * code, and resumes look like calls.
 */
static void *trace_any(PyObject *self, PyObject *frame, int what, PyObject *arg)
{
	uint64_t now = 0;
	uint32_t fn;

	(void)self;
	if (what != PY_TRACE_CALL && what != PY_TRACE_RETURN)
		return trace(frame, what, arg, PYAPI_FRAME_OBJECT, HOOK_CLOCK_OTHER);
	fn = hook_code(pyapi_code_of(frame), &now);
	return hook_put(what == PY_TRACE_CALL ? PYPROF_CALL
			: arg		      ? PYPROF_RETURN
					      : PYPROF_UNWIND,
			fn & ~INTERN_FLAGS, now, what == PY_TRACE_CALL, NULL);
}

static py_tracefunc traced;

/* PYSHIM_BUILTINS=0 */
static void *trace_python(PyObject *self, PyObject *frame, int what, PyObject *arg)
{
	return what == PY_TRACE_CALL || what == PY_TRACE_RETURN ? traced(self, frame, what, arg)
								: NULL;
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

/* --- before `__main__` ------------------------------------------------------------------------ */

static const struct engine_wait *waits;

static void begin(void)
{
	if (!waits->begin() || !engine_tracefunc.start())
		engine_tracefunc.stop();
}

/* 3.12 and later wait with a profile function. */

static PyObject *frame_globals(void *frame)
{
	PyObject *globals = py.PyObject_GetAttrString(frame, "f_globals");

	if (globals)
		py.Py_DecRef(globals); /* the frame keeps it */
	else
		py.PyErr_Clear();
	return globals;
}

static void *wait_for_main(PyObject *self, PyObject *frame, int what, PyObject *arg)
{
	struct pyapi_pending pending;
	bool due;

	if (what != PY_TRACE_CALL)
		return NULL;
	pyapi_pending_save(&pending);
	due = waits->is_due(pyapi_code_of(frame), frame_globals, frame, true);
	if (due)
		begin();
	pyapi_pending_restore(&pending);
	if (due && profilehook_wanted())
		return profilehook_wanted()(self, frame, what, arg);
	return NULL;
}

/*
 * Earlier versions wait with a frame evaluator (PEP 523): for a profile function the interpreter
 * would report every call of its start-up. The frame that recording begins with is evaluated
 * afterwards, and is reported like any other.
 */

static PyObject *evaluate_until_main(void *a, void *b, void *c);

static struct evalhook hook = { .ours = evaluate_until_main };
static bool evaluates;

static __attribute__((noinline)) void look_for_main(void *frame)
{
	struct pyapi_pending pending;

	pyapi_pending_save(&pending);
	if (waits->is_due(evalhook_code(frame), evalhook_globals, frame, false))
		begin();
	pyapi_pending_restore(&pending);
}

static PyObject *evaluate_until_main(void *a, void *b, void *c)
{
	if (evaluates)
		look_for_main(evalhook_frame(a, b));
	return evalhook_call_next(&hook, a, b, c);
}

/* Called when recording has begun, here or by pyshim_start(), or never will. */
static void stop_waiting(void)
{
	if (evaluates)
		evalhook_remove(&hook);
	evaluates = false;
}

/*
 * Sets the function in this thread. If the thread has the program's function, it is watched until
 * that has gone.
 */
static void set_here(void)
{
	if (!profilehook_set_here())
		spawn_watch();
}

static bool prepare(void)
{
	profilehook_prepare(wait_for_main);
	set_here();
	taken_prepare();
	return true;
}

static bool arm(const struct engine_wait *wait)
{
	waits = wait;
	if (py.version < 0x030c00)
		return evaluates = evalhook_set(&hook);
	profilehook_want(wait_for_main);
	set_here();
	return true;
}

static bool start(void)
{
	stop_waiting();
	traced = choose_trace();
	profilehook_want(config.builtins ? traced : trace_python);
	pyapi_audit_switch(true);
	set_here();
	spawn_cover_threads();
	return true;
}

static void stop(void)
{
	stop_waiting();
	if (thread_self.taken)
		thread_end_blind();
	pyapi_audit_switch(false);
	profilehook_want(NULL);
	set_here();
	spawn_cover_threads();
}

const struct engine engine_tracefunc = {
	.id = PYPROF_ENGINE_TRACEFUNC,
	.prepare = prepare,
	.arm = arm,
	.start = start,
	.stop = stop,
};
