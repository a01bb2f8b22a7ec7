/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EVENT -> RECORD: look up the function, stamp, put. The one hot path; everything here is inlined
 * into the engines' callbacks. Runs with the GIL held.
 *
 * Where the clock is read: an event that enters a function reads it last, one that leaves reads
 * it first, so that the shim's own look-up falls outside of the callee's time.
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

/* Which clock a callback was compiled for: the counter in line, or whatever is configured. */
enum hook_clock { HOOK_CLOCK_TSC, HOOK_CLOCK_OTHER };

HOOK_INLINE uint64_t hook_now(enum hook_clock clock)
{
	return clock == HOOK_CLOCK_TSC ? pyprof_tsc() : clock_event();
}

/*
 * What does not happen with nearly every event is out of line, and reached by a tail call with
 * whatever the callback is to return: so the hot path needs no stack frame and saves no register.
 */
#define HOOK_COLD __attribute__((noinline, cold))

/* A record that has no place in the block at hand. `head` is the record without its ticks. */
HOOK_COLD void *hook_put_slow(uint64_t head, uint64_t now, bool entering, void *result);

/*
 * Functions that are not in the cache, or are seen for the first time; the time that the latter
 * takes is left out. `now`: when the event was, where it leaves the function. hook_slow_code is of
 * 3.12 and later.
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
 * What is no function has been called, which costs `n` PYPROF_OTHERS; `far`: 0 or PYPROF_FAR. No
 * time is told, nor read.
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
 * A C function is called. `called` is the object that `def` was found in, `first` the first
 * argument where that is an unbound method.
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
 * Records the frames of this thread that are running already, the outermost first; without the
 * innermost where that one has just been entered and gets a call of its own.
 */
void hook_open_frames(bool entering, uint64_t now);

#endif
