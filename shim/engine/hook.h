/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Event -> record: look up the function, read the clock, store. This is the hot path; it is inlined
 * into the engines' callbacks. Called by the thread that had the event, with the GIL. Must not
 * lock, allocate or call into the interpreter, except on the slow paths.
 *
 * The clock is read last by an event that enters a function, and first by one that leaves it, so
 * that the shim's own look-up is outside of the callee's time.
 */
#ifndef SHIM_HOOK_H
#define SHIM_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "pyprof/clock.h"
#include "pyprof/format.h"
#include "pyprof/order.h"
#include "record/clock.h"
#include "record/intern.h"
#include "record/thread.h"

#define HOOK_INLINE static inline __attribute__((always_inline))

/* The clock that a callback is compiled for: the counter inline, or the configured one. */
enum hook_clock { HOOK_CLOCK_TSC, HOOK_CLOCK_OTHER };

HOOK_INLINE uint64_t hook_now(enum hook_clock clock)
{
	return clock == HOOK_CLOCK_TSC ? pyprof_tsc() : clock_event();
}

/*
 * For code that nearly no event needs. It is out of line, and reached by a tail call that carries
 * the callback's result, so that the hot path needs no stack frame and saves no register.
 */
#define HOOK_COLD __attribute__((noinline, cold))

/*
 * Puts a record that does not fit into the current block. `head` is the record without its ticks.
 */
HOOK_COLD void *hook_put_slow(uint64_t head, uint64_t now, bool entering, void *result);

/*
 * Events of functions that are not in the cache, are seen for the first time, or have flags. The
 * time that a new function takes is left out. `now`: the time of the event if it leaves the
 * function, else 0. hook_slow_code is for 3.12 and later.
 */
HOOK_COLD void *hook_slow_code(unsigned kind, PyObject *code, uint64_t now, void *result);
HOOK_COLD void *hook_slow_c(unsigned kind, PyObject *called, PyObject *first, uint64_t now,
			    void *result);
HOOK_COLD uint32_t hook_code(PyObject *code, uint64_t *now);

HOOK_INLINE void *hook_put(unsigned kind, uint32_t fn, uint64_t now, bool entering, void *result)
{
	struct thread_self *s = &thread_self;
	uint64_t *at = s->next;
	uint64_t ticks = now - s->base;

	if (__builtin_expect(at == s->stop || ticks >> PYPROF_TICK_BITS, 0))
		return hook_put_slow(fn | kind, now, entering, result);
	pyprof_put(at, ticks << PYPROF_TICK_SHIFT | fn | kind);
	s->next = at + 1;
	return result;
}

/*
 * Records a class call, whose overhead is `n` parts of a call of object() (PYPROF_CLASS_UNITS).
 * `far`: 0 or PYPROF_HIGH_OFFSET. It carries no time, so the clock is not read.
 */
HOOK_COLD void *hook_put_class_call_slow(uint32_t n, unsigned far, void *result);

HOOK_INLINE void *hook_put_class_call(uint32_t n, unsigned far, void *result)
{
	struct thread_self *s = &thread_self;
	uint64_t *at = s->next;

	if (__builtin_expect(at == s->stop, 0))
		return hook_put_class_call_slow(n, far, result);
	pyprof_put(at, pyprof_record(PYPROF_SYNC | far, n, 0));
	s->next = at + 1;
	return result;
}

/*
 * Records a call of a C function. `called` is the object that has `def`. If that is an unbound
 * method, `first` is the first argument.
 */
HOOK_INLINE void *hook_enter_c(const struct py_method_def *def, PyObject *called, PyObject *first,
			       enum hook_clock clock, void *result)
{
	uint32_t fn = intern_find_c(def);

	if (__builtin_expect(!fn || fn & INTERN_FLAGS, 0))
		return hook_slow_c(PYPROF_C_CALL, called, first, 0, result);
	return hook_put(PYPROF_C_CALL, fn, hook_now(clock), false, result);
}

HOOK_INLINE void *hook_leave_c(unsigned kind, const struct py_method_def *def, PyObject *called,
			       PyObject *first, enum hook_clock clock, void *result)
{
	uint64_t now = hook_now(clock);
	uint32_t fn = intern_find_c(def);

	if (__builtin_expect(!fn || fn & INTERN_FLAGS, 0))
		return hook_slow_c(kind, called, first, now, result);
	return hook_put(kind, fn, now, false, result);
}

/*
 * Records the running frames of this thread, the outermost first. `entering`: without the
 * innermost, which has just been entered and gets a call of its own.
 */
void hook_open_frames(bool entering, uint64_t now);

#endif
