/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hook.h"

#include <stdlib.h>

#include "python/pycode.h"
#include "record/forkstack.h"
#include "record/recording.h"
#include "setprofile.h"
#include "spawn.h"
#include "takers.h"

static uint32_t first_code(PyObject *code)
{
	struct pyapi_pending pending;
	uint64_t entered = thread_slow_enter();
	uint32_t fn = INTERN_OVERFLOW;

	pyapi_pending_save(&pending);
	if (recording_ready())
		fn = intern_code(code);
	pyapi_pending_restore(&pending);
	thread_slow_leave(entered);
	return fn;
}

static uint32_t first_c(struct py_method_def *def, PyObject *self, PyObject *module)
{
	struct pyapi_pending pending;
	uint64_t entered = thread_slow_enter();
	uint32_t fn = INTERN_OVERFLOW;

	pyapi_pending_save(&pending);
	setprofile_meet(def, self);
	takers_meet(def, self);
	spawn_watch_first(); /* it may take the hook without an audit event */
	if (recording_ready())
		fn = intern_c(def, self, module, setprofile_is(def));
	pyapi_pending_restore(&pending);
	thread_slow_leave(entered);
	return fn;
}

/*
 * 3.11 and later: frames that were recorded as running, although the interpreter may still report
 * their start. Recording began in a signal handler that runs at their first instruction. Until the
 * start is reported, or they end, all events take the slow path, up to MAX_STARTING_EVENTS.
 */
#define MAX_STARTING 4u
#define MAX_STARTING_EVENTS 100000u

static __thread struct {
	const PyObject *frame[MAX_STARTING];
	unsigned n;
	unsigned n_events; /* events until this is given up */
} starting __attribute__((tls_model("initial-exec")));

/* Handles an event of such a frame. If its start is reported now, the recorded frame ends first. */
static HOOK_COLD void settle_starting(uint64_t head, uint64_t now, bool entering)
{
	const PyObject *frame = py.PyEval_GetFrame();
	unsigned n = starting.n_events-- ? starting.n : 0;

	starting.n = 0; /* for the record below */
	for (unsigned i = 0; i < n; i++) {
		if (starting.frame[i] != frame)
			continue;
		if (entering)
			hook_put(PYPROF_RETURN, (uint32_t)head & ~PYPROF_KIND_MASK, now, false,
				 NULL);
		starting.frame[i] = starting.frame[--n];
		break;
	}
	starting.n = n;
}

void *hook_put_slow(uint64_t head, uint64_t now, bool entering, void *result)
{
	const uint64_t fn_bits = ((1ull << PYPROF_FN_BITS) - 1) << PYPROF_FN_SHIFT;
	bool is_first = !thread_self.ring && !thread_self.not_event;
	uint64_t ticks;
	uint64_t *at;

	if (starting.n && !thread_self.not_event && pyprof_record_kind(head) != PYPROF_OPEN)
		settle_starting(head, now, entering);
	if (is_first) /* in a forked child the number may be replaced */
		recording_event_fn = (uint32_t)(head & fn_bits);
	at = thread_room(now, &ticks, entering);
	if (is_first)
		head = (head & ~fn_bits) | recording_event_fn;
	if (is_first)
		recording_event_fn = 0;
	spawn_look();
	if (at) {
		pyprof_put(at, head | ticks << PYPROF_TICK_SHIFT);
		thread_self.next = at + 1;
	}
	if (starting.n)
		thread_self.stop = thread_self.next;
	return result;
}

/* Puts a class call. `entering`: a Python function has just started, and its record follows. */
static HOOK_COLD void put_class_call(uint32_t n, unsigned far, bool entering)
{
	uint64_t ticks, now = thread_slow_enter();
	uint64_t *at = NULL;

	thread_self.not_event = true;
	if (thread_self.ring) /* a ring begins with an event that has a time */
		at = thread_room(now, &ticks, entering);
	thread_self.not_event = false;
	if (at) {
		pyprof_put(at, pyprof_record(PYPROF_SYNC | far, n, 0));
		thread_self.next = at + 1;
	}
	if (starting.n)
		thread_self.stop = thread_self.next;
	thread_slow_leave(now);
}

void *hook_put_class_call_slow(uint32_t n, unsigned far, void *result)
{
	put_class_call(n, far, false);
	return result;
}

/*
 * 3.12 and later instrument code before its first run. Returns that one-off overhead, in parts of a
 * call of object() (PYPROF_CLASS_UNITS). Measured: see docs/measured/2026-11-overhead.md.
 */
static uint32_t first_run_overhead(PyObject *code)
{
	uint32_t n = 4 * PYPROF_CLASS_UNITS + pycode_bytes(code) / 4;

	return n < PYPROF_FN_MAX ? n : PYPROF_FN_MAX;
}

/*
 * Returns the function of a code object. If it was unknown, `*now` is read again after the slow
 * path. `first_run`: also record the overhead of instrumenting the code.
 */
static uint32_t code_number(PyObject *code, uint64_t *now, bool first_run)
{
	uint32_t fn = intern_look_up_code(code);

	if (!fn) {
		if (first_run)
			put_class_call(first_run_overhead(code), 0, true);
		/*
		 * It may be known now: if the record above was the first after a pause, the running
		 * frames were numbered.
		 */
		fn = intern_look_up_code(code);
		fn = fn ? fn : first_code(code);
		*now = 0;
	}
	if (!*now)
		*now = hook_now(HOOK_CLOCK_OTHER);
	return fn;
}

uint32_t hook_code(PyObject *code, uint64_t *now)
{
	return code_number(code, now, false);
}

void *hook_slow_code(unsigned kind, PyObject *code, uint64_t now, void *result)
{
	bool entering = !now;
	uint32_t fn = code_number(code, &now, entering);

	return hook_put(kind, fn & ~INTERN_FLAGS, now, entering, result);
}

void *hook_slow_c(unsigned kind, PyObject *called, PyObject *first, uint64_t now, void *result)
{
	bool bound = pyapi_is_cfunction(called);
	struct py_method_def *def = bound ? pyapi_cfunction_def(called) : pyapi_descr_def(called);
	uint32_t fn = intern_look_up_c(def);

	if (!fn) {
		fn = bound ? first_c(def, pyapi_cfunction_self(called),
				     pyapi_cfunction_module(called))
			   : first_c(def, first, NULL);
		now = 0;
	}
	if (kind == PYPROF_C_CALL && fn & INTERN_TAKES_HOOK)
		setprofile_called(def);
	if (!now)
		now = hook_now(HOOK_CLOCK_OTHER);
	return hook_put(kind, fn & ~INTERN_FLAGS, now, false, result);
}

static uint32_t fn_of(PyObject *code)
{
	uint32_t fn = intern_look_up_code(code);

	return (fn ? fn : first_code(code)) & ~INTERN_FLAGS;
}

static void note_starting(PyObject *frame)
{
	starting.n_events = MAX_STARTING_EVENTS;
	if (starting.n < MAX_STARTING && pyapi_frame_starts(frame))
		starting.frame[starting.n++] = frame;
}

/* Returns the caller of a frame, whose reference it takes over, or NULL. */
static PyObject *next_frame(PyObject *frame)
{
	PyObject *back = py.PyObject_GetAttrString(frame, "f_back");

	py.Py_DecRef(frame);
	if (back != py._Py_NoneStruct)
		return back;
	py.Py_DecRef(back);
	return NULL;
}

/*
 * Finds the functions of the running frames, innermost first. Returns how many there are, or 0 for
 * lack of memory.
 */
static size_t walk_frames(uint32_t **out, bool entering)
{
	PyObject *frame = py.PyEval_GetFrame();
	uint32_t *fns = NULL;
	size_t n = 0, cap = 0;

	if (frame)
		py.Py_IncRef(frame);
	for (; frame; frame = next_frame(frame)) {
		if (n == cap) {
			uint32_t *more = realloc(fns, (cap = cap ? cap * 2 : 64) * sizeof(*fns));

			if (!more) {
				py.Py_DecRef(frame);
				n = 0;
				break;
			}
			fns = more;
		}
		if (n || !entering)
			note_starting(frame);
		fns[n++] = fn_of(pyapi_code_of(frame));
	}
	*out = fns;
	return n;
}

static size_t n_python(const struct forkstack *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += !(f->frame[i].key & 1);
	return n;
}

/* Records the frames in which the child was forked. Their functions get their numbers here. */
static void open_born(struct forkstack *born, uint64_t now)
{
	struct pyapi_pending pending;

	pyapi_pending_save(&pending);
	while (born->n)
		hook_put(PYPROF_OPEN, intern_frame(&born->frame[--born->n]) & ~INTERN_FLAGS, now,
			 false, NULL);
	pyapi_pending_restore(&pending);
	forkstack_free(born);
}

void hook_open_frames(bool entering, uint64_t now)
{
	struct pyapi_pending pending;
	struct forkstack born = forkstack_born;
	uint32_t *fns;
	size_t n;

	forkstack_born = (struct forkstack){ 0 };
	starting.n = 0;
	if (!born.complete) {
		pyapi_pending_save(&pending);
		n = walk_frames(&fns, entering);
		py.PyErr_Clear();
		pyapi_pending_restore(&pending);
		/* The innermost ones are also among those in which the child was forked. */
		while (n > n_python(&born) + (entering ? 1 : 0))
			hook_put(PYPROF_OPEN, fns[--n], now, false, NULL);
		free(fns);
	}
	open_born(&born, now);
}
