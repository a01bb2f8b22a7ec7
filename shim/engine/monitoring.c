/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sys.monitoring: the event source of 3.12 and later. It uses one tool and one callable for each
 * event, which the interpreter calls by vectorcall, without making a tuple, an integer or a bound
 * method. It covers every thread of the interpreter. The events and the rule for C functions are
 * those of Modules/_lsprof.c, so that the counts equal cProfile's.
 */
#include <stddef.h>

#include "engine.h"
#include "hook.h"
#include "record/recording.h"
#include "system/config.h"
#include "system/log.h"
#include "toolguard.h"

typedef PyObject *(*callback)(PyObject *self, PyObject *const *args, size_t nargs, PyObject *names);

/* The callables, as instances; `spec` below gives this layout. */
struct callable {
	size_t refcount;
	PyObject *type;
	callback call;
};

enum event {
	EVENT_START,
	EVENT_RESUME,
	EVENT_THROW,
	EVENT_RETURN,
	EVENT_YIELD,
	EVENT_UNWIND,
	EVENT_CALL,
	EVENT_C_RETURN,
	EVENT_C_RAISE,
	N_EVENTS
};

static const char *const event_name[N_EVENTS] = {
	"PY_START",  "PY_RESUME", "PY_THROW", "PY_RETURN", "PY_YIELD",
	"PY_UNWIND", "CALL",	  "C_RETURN", "C_RAISE",
};

static int tool_id = -1;
static long event_bit[N_EVENTS]; /* read from sys.monitoring.events: differs by version */
static PyObject *missing;	 /* sys.monitoring.MISSING: a call without arguments */

/* For the current interpreter: sys.monitoring has all callables, or it is not used. */
static struct callable *callable_of[N_EVENTS];
static bool registered;
static long events_wanted;  /* the tool's events */
static PyObject *tool_name; /* the tool with this very object as its name is ours */

/* --- callbacks -------------------------------------------------------------------------------- */

/* The result of a callback; immortal since 3.12. */
#define NONE py._Py_NoneStruct

HOOK_INLINE PyObject *enter(unsigned kind, PyObject *code, enum hook_clock clock)
{
	uint32_t fn = intern_find_code(code);

	if (__builtin_expect(!fn, 0))
		return hook_slow_code(kind, code, 0, NONE);
	return hook_put(kind, fn & ~INTERN_FLAGS, hook_now(clock), true, NONE);
}

/*
 * True if the interpreter has just allocated this integer, the event's bytecode offset: the cached
 * ones are immortal. Only ends are tested, because the test takes three instructions.
 */
HOOK_INLINE bool has_high_offset(const PyObject *offset)
{
	return *(const uint32_t *)offset == 1;
}

/*
 * Records the start of a function: a call if a call-site event preceded it, which has overhead too,
 * else a direct call.
 */
HOOK_INLINE PyObject *enter_start(PyObject *code, enum hook_clock clock)
{
	unsigned kind = PYPROF_DIRECT_CALL ^ (unsigned)thread_self.start_xor;

	thread_self.start_xor = 0;
	return enter(kind, code, clock);
}

/*
 * Handles a call site that calls a Python function, or a bound method, which leads to one without C
 * code in between.
 */
HOOK_INLINE PyObject *python_called(void)
{
	thread_self.start_xor = PYPROF_DIRECT_CALL ^ PYPROF_CALL;
	return NONE;
}

/*
 * The overhead of a class call, in parts of a call of object() (PYPROF_CLASS_UNITS). It is larger
 * for classes with a quick path, which the interpreter does not take when it reports the call.
 * super().f() then makes an object and a bound method. Measured: see
 * docs/measured/2026-11-overhead.md.
 */
#define OVERHEAD_OF_SUPER (PYPROF_CLASS_UNITS * 29 / 8)
#define OVERHEAD_OF_STR (2 * PYPROF_CLASS_UNITS)
#define OVERHEAD_OF_INSTANCE (PYPROF_CLASS_UNITS * 5 / 2)
#define OVERHEAD_OF_VECTORCALL (PYPROF_CLASS_UNITS + 1)

static uint32_t class_call_overhead(const PyObject *called)
{
	if (pyapi_type(called) != py.PyType_Type)
		return PYPROF_CLASS_UNITS;
	if (called == py.PySuper_Type)
		return OVERHEAD_OF_SUPER;
	if (called == py.PyUnicode_Type && pyapi_str_is_slow())
		return OVERHEAD_OF_STR;
	if (pyapi_type_has_vectorcall(called))
		return OVERHEAD_OF_VECTORCALL;
	return pyapi_type_initialises_quickly(called) ? OVERHEAD_OF_INSTANCE : PYPROF_CLASS_UNITS;
}

/*
 * Handles a callable that the profile does not list, usually a class. CPython reports C_RETURN for
 * it if it is not a Python function, so the overhead is counted there. A Python function that it
 * calls, such as `__init__`, is called by C code, so it is a direct call.
 */
static __attribute__((noinline)) PyObject *unlisted_called(unsigned kind, PyObject *called)
{
	if (kind == PYPROF_C_CALL && pyapi_type(called) == py.PyMethod_Type)
		return python_called();
	thread_self.start_xor = 0;
	if (kind == PYPROF_C_CALL)
		return NONE;
	return hook_put_class_call(class_call_overhead(called), kind & PYPROF_HIGH_OFFSET, NONE);
}

HOOK_INLINE PyObject *leave(unsigned kind, PyObject *code, enum hook_clock clock)
{
	uint64_t now = hook_now(clock);
	uint32_t fn = intern_find_code(code);

	if (__builtin_expect(!fn, 0))
		return hook_slow_code(kind, code, now, NONE);
	return hook_put(kind, fn & ~INTERN_FLAGS, now, false, NONE);
}

/* Records an event of a C function. The rule for what is one is that of Modules/_lsprof.c. */
HOOK_INLINE PyObject *record_c(unsigned kind, const struct py_method_def *def, PyObject *called,
			       PyObject *first, enum hook_clock clock)
{
	if (kind == PYPROF_C_CALL)
		return hook_enter_c(def, called, first, clock, NONE);
	return hook_leave_c(kind, def, called, first, clock, NONE);
}

/*
 * Handles a callable that is neither a plain C function nor a method of exactly its object's type.
 */
static __attribute__((noinline)) PyObject *called_slow(unsigned kind, PyObject *called,
						       PyObject *first)
{
	if (pyapi_type(called) == py.PyMethodDescr_Type) {
		/* list.append() without a list is not counted: binding it would fail. */
		if (first == missing ||
		    !py.PyType_IsSubtype(pyapi_type(first), pyapi_descr_type(called)))
			return unlisted_called(kind, called);
		return record_c(kind, pyapi_descr_def(called), called, first, HOOK_CLOCK_OTHER);
	}
	if (pyapi_is_cfunction(called))
		return record_c(kind, pyapi_cfunction_def(called), called, NULL, HOOK_CLOCK_OTHER);
	return unlisted_called(kind, called);
}

HOOK_INLINE PyObject *called(unsigned kind, PyObject *what, PyObject *first, enum hook_clock clock)
{
	PyObject *type = pyapi_type(what);

	if (type == py.PyFunction_Type)
		return python_called();
	if (pyapi_is_plain_cfunction(what))
		return record_c(kind, pyapi_cfunction_def(what), what, NULL, clock);
	if (type == py.PyMethodDescr_Type && first != missing &&
	    pyapi_type(first) == pyapi_descr_type(what))
		return record_c(kind, pyapi_descr_def(what), what, first, clock);
	return called_slow(kind, what, first);
}

/* args: code, offset, then those of the event; for calls: the callable and its first argument. */
#define CALLBACK(name, body)                                                       \
	static PyObject *name(PyObject *self, PyObject *const *args, size_t nargs, \
			      PyObject *names)                                     \
	{                                                                          \
		(void)self;                                                        \
		(void)nargs;                                                       \
		(void)names;                                                       \
		body                                                               \
	}

/* High offsets take a separate branch, to keep the common path short. */
#define END(what, kind, ...)                                            \
	return __builtin_expect(has_high_offset(args[1]), 0)            \
		       ? what((kind) | PYPROF_HIGH_OFFSET, __VA_ARGS__) \
		       : what(kind, __VA_ARGS__);

#define CALLBACKS(suffix, clock)                                                                \
	CALLBACK(on_start_##suffix, return enter_start(args[0], clock);)                        \
	CALLBACK(on_resume_##suffix, return enter(PYPROF_RESUME, args[0], clock);)              \
	CALLBACK(on_throw_##suffix, return enter(PYPROF_THROW, args[0], clock);)                \
	CALLBACK(on_return_##suffix, END(leave, PYPROF_RETURN, args[0], clock))                 \
	CALLBACK(on_yield_##suffix, END(leave, PYPROF_YIELD, args[0], clock))                   \
	CALLBACK(on_unwind_##suffix, END(leave, PYPROF_UNWIND, args[0], clock))                 \
	CALLBACK(on_call_##suffix, return called(PYPROF_C_CALL, args[2], args[3], clock);)      \
	CALLBACK(on_c_return_##suffix, END(called, PYPROF_C_RETURN, args[2], args[3], clock))   \
	CALLBACK(on_c_raise_##suffix, END(called, PYPROF_C_EXCEPTION, args[2], args[3], clock)) \
	static const callback callbacks_##suffix[N_EVENTS] = {                                  \
		on_start_##suffix,  on_resume_##suffix,	  on_throw_##suffix,                    \
		on_return_##suffix, on_yield_##suffix,	  on_unwind_##suffix,                   \
		on_call_##suffix,   on_c_return_##suffix, on_c_raise_##suffix,                  \
	};

CALLBACKS(tsc, HOOK_CLOCK_TSC)
CALLBACKS(other, HOOK_CLOCK_OTHER)

static PyObject *current_globals(void *unused)
{
	(void)unused;
	return py.PyEval_GetGlobals();
}

static bool start(void);
static void stop(void);

static const struct engine_wait *waits;

/* Waits for the first frame of `__main__`. */
CALLBACK(wait_for_main, {
	struct pyapi_pending pending;
	bool due;

	pyapi_pending_save(&pending);
	due = waits->is_due(args[0], current_globals, NULL, true);
	if (due && (!waits->begin() || !start())) {
		stop();
		due = false;
	}
	py.PyErr_Clear();
	pyapi_pending_restore(&pending);
	/* This call reported the start of the frame; its other events follow. */
	return due ? enter(PYPROF_CALL, args[0], HOOK_CLOCK_OTHER) : NONE;
})

/* --- sys.monitoring --------------------------------------------------------------------------- */

/* PyType_Spec and its parts; the numbers are those of typeslots.h and descrobject.h. */
struct slot {
	int id;
	void *value;
};

struct member {
	const char *name;
	int type;
	ptrdiff_t offset;
	int flags;
	const char *doc;
};

struct spec {
	const char *name;
	int basicsize, itemsize;
	unsigned flags;
	struct slot *slots;
};

#define PY_TP_CALL 50
#define PY_TP_MEMBERS 72
#define PY_T_PYSSIZET 19
#define PY_READONLY 1
#define PY_TPFLAGS_DEFAULT 0u
#define PY_TPFLAGS_HAVE_VECTORCALL (1u << 11)

/* Makes a type, once for each interpreter that is initialised; its instances hold a callback. */
static PyObject *make_type(void)
{
	static struct member members[] = {
		{ "__vectorcalloffset__", PY_T_PYSSIZET, offsetof(struct callable, call),
		  PY_READONLY, NULL },
		{ 0 },
	};
	struct slot slots[] = {
		{ PY_TP_CALL, (void *)py.PyVectorcall_Call },
		{ PY_TP_MEMBERS, members },
		{ 0, NULL },
	};
	struct spec spec = {
		.name = "pyshim.callback",
		.basicsize = sizeof(struct callable),
		.flags = PY_TPFLAGS_DEFAULT | PY_TPFLAGS_HAVE_VECTORCALL,
		.slots = slots,
	};

	return py.PyType_FromSpec(&spec);
}

static bool succeeded(PyObject *result)
{
	if (!result) {
		py.PyErr_Clear();
		return false;
	}
	py.Py_DecRef(result);
	return true;
}

static bool set_events_of(PyObject *m, long events)
{
	bool was_off = guard_is_off, ok;

	events_wanted = events;
	if (!m || tool_id < 0)
		return false;
	guard_is_off = true;
	ok = succeeded(py.PyObject_CallMethod(m, "set_events", "il", tool_id, events));
	guard_is_off = was_off;
	return ok;
}

static bool set_events(long events)
{
	return set_events_of(pyapi_monitoring(), events);
}

static bool register_callback(PyObject *m, enum event event, PyObject *callable)
{
	return succeeded(py.PyObject_CallMethod(m, "register_callback", "ilO", tool_id,
						event_bit[event], callable));
}

/* Makes the callables. They are never freed, because start() changes what they call. */
static bool make_callables(void)
{
	PyObject *type = make_type();
	bool ok = type != NULL;

	for (int i = 0; ok && i < N_EVENTS; i++) {
		callable_of[i] = (struct callable *)py.PyObject_CallObject(type, NULL);
		ok = callable_of[i] != NULL;
		if (ok)
			callable_of[i]->call = callbacks_other[i];
	}
	py.PyErr_Clear();
	if (type)
		py.Py_DecRef(type);
	return ok;
}

/*
 * Registers all callables before any code of the program runs: each registration notifies audit
 * hooks, which may be Python code of the program. Later only the functions in the callables change.
 */
static bool register_callbacks(PyObject *m)
{
	bool ok = true;

	for (int i = 0; ok && i < N_EVENTS; i++)
		ok = register_callback(m, (enum event)i, (PyObject *)callable_of[i]);
	return ok;
}

static bool take_id(PyObject *m, int id)
{
	if (!succeeded(py.PyObject_CallMethod(m, "use_tool_id", "iO", id, tool_name)))
		return false;
	tool_id = id;
	return true;
}

/*
 * Takes an id that cProfile (2), coverage (1) and debuggers (0) do not use, and that is not
 * `except`.
 */
static bool take_tool(PyObject *m, int except)
{
	static const int ids[] = { 4, 3, 5 };

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		if (ids[i] != except && take_id(m, ids[i]))
			return true;
	}
	tool_id = -1;
	log_debug("sys.monitoring: tool ids 3, 4 and 5 are in use");
	return false;
}

static bool read_constants(PyObject *m)
{
	PyObject *events = py.PyObject_GetAttrString(m, "events");
	bool ok = events != NULL;

	missing = py.PyObject_GetAttrString(m, "MISSING");
	for (int i = 0; ok && i < N_EVENTS; i++) {
		event_bit[i] = pyapi_long_attr(events, event_name[i], -1);
		ok = event_bit[i] > 0;
	}
	py.PyErr_Clear();
	if (events)
		py.Py_DecRef(events);
	if (missing)
		py.Py_DecRef(missing); /* sys.monitoring keeps it */
	return ok && missing;
}

/* --- when the program uses our tool ----------------------------------------------------------- */

static int tool(void)
{
	return registered ? tool_id : GUARD_NONE;
}

static bool is_ours(const PyObject *object)
{
	for (int i = 0; i < N_EVENTS; i++) {
		if (object == (const PyObject *)callable_of[i])
			return true;
	}
	return false;
}

static bool has_tool(PyObject *m)
{
	PyObject *name = tool_id < 0 ? NULL : py.PyObject_CallMethod(m, "get_tool", "i", tool_id);

	py.PyErr_Clear();
	if (name)
		py.Py_DecRef(name); /* the interpreter keeps it */
	return name == tool_name;
}

/* Gives the tool its callbacks and events, at its present id. */
static void set_up_tool(PyObject *m)
{
	if (register_callbacks(m))
		set_events_of(m, events_wanted);
}

/*
 * Looks for a free id. While all are in use, this thread has a blind interval, and the other
 * threads continue where they are.
 */
static void find_tool(PyObject *m, int except)
{
	bool had = tool_id >= 0;

	if (take_tool(m, except)) {
		set_up_tool(m);
		if (!had && events_wanted) {
			thread_end_blind();
			thread_restart();
		}
	} else if (had && events_wanted) {
		log_debug("the program took all tools of sys.monitoring");
		thread_mark_taken();
	}
}

static void restore(PyObject *m)
{
	if (has_tool(m))
		set_up_tool(m);
	else
		find_tool(m, -1);
}

static void give_way(PyObject *m)
{
	int old = tool_id;

	if (!has_tool(m))
		return;
	find_tool(m, old);
	for (int i = 0; i < N_EVENTS; i++)
		succeeded(py.PyObject_CallMethod(m, "register_callback", "ilO", old, event_bit[i],
						 py._Py_NoneStruct));
	succeeded(py.PyObject_CallMethod(m, "set_events", "ii", old, 0));
	succeeded(py.PyObject_CallMethod(m, "free_tool_id", "i", old));
}

static const struct guard on_tool = {
	.tool = tool,
	.is_ours = is_ours,
	.give_way = give_way,
	.restore = restore,
};

/* Called for each interpreter: a tool id belongs to one. */
static bool prepare(void)
{
	PyObject *m = pyapi_monitoring();

	pyapi_types_find();
	tool_name = py.PyUnicode_FromString("pyshim");
	registered = m && tool_name && read_constants(m) && take_tool(m, -1) && make_callables() &&
		     register_callbacks(m);
	if (registered)
		guard_monitoring(m, &on_tool);
	return registered;
}

static bool arm(const struct engine_wait *wait)
{
	waits = wait;
	callable_of[EVENT_START]->call = wait_for_main;
	return set_events(event_bit[EVENT_START]);
}

static bool start(void)
{
	const callback *callbacks =
		recording.clock == PYPROF_CLOCK_TSC ? callbacks_tsc : callbacks_other;
	int n = config.builtins ? N_EVENTS : EVENT_CALL;
	long events = 0;

	if (!registered)
		return false;
	for (int i = 0; i < N_EVENTS; i++) {
		callable_of[i]->call = callbacks[i];
		if (i < n)
			events |= event_bit[i];
	}
	return set_events(events);
}

static void stop(void)
{
	set_events(0);
}

const struct engine engine_monitoring = {
	.id = PYPROF_ENGINE_MONITORING,
	.prepare = prepare,
	.arm = arm,
	.start = start,
	.stop = stop,
};
