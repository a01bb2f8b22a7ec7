/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EVENT -> RECORD: look up the number, stamp, put. The one hot path; everything here is inlined
 * into the engines' callbacks. Runs with the GIL held.
 *
 * Where the clock is read: an event that enters a function reads it last, one that leaves reads
 * it first, so that the shim's own look-up falls outside of the callee's time.
 */
#ifndef SHIM_HOOK_H
#define SHIM_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "intern.h"
#include "pyprof/abi.h"
#include "pyprof/clock.h"
#include "pyprof/ring.h"
#include "spawn.h"
#include "thread.h"

#define HOOK_INLINE static inline __attribute__((always_inline))

/* Which clock a callback was compiled for: the counter in line, or whatever is configured. */
enum hook_clock { HOOK_CLOCK_TSC, HOOK_CLOCK_OTHER };

uint64_t hook_clock_other(void);

HOOK_INLINE uint64_t hook_now(enum hook_clock clock)
{
	return clock == HOOK_CLOCK_TSC ? pyprof_tsc() : hook_clock_other();
}

HOOK_INLINE void hook_put(unsigned kind, uint32_t fn, uint64_t now, bool entering)
{
	struct thread_self *s = &thread_self;
	uint64_t *at = s->next;
	uint64_t ticks = now - s->base;

	if (__builtin_expect(at == s->stop || ticks >> PYPROF_TICK_BITS, 0)) {
		at = thread_room(now, &ticks, entering);
		if (!at)
			return;
	}
	pyprof_put(at, pyprof_record(kind, fn, ticks));
	s->next = at + 1;
}

/* Numbers of functions seen for the first time; the time that it takes is left out. */
uint32_t hook_intern_code(PyObject *code);
uint32_t hook_intern_c(struct py_method_def *def, PyObject *self, PyObject *module);

HOOK_INLINE uint32_t hook_code(PyObject *code)
{
	uint32_t fn = intern_find_code(code);

	return __builtin_expect(fn != 0, 1) ? fn : hook_intern_code(code);
}

HOOK_INLINE uint32_t hook_c(struct py_method_def *def, PyObject *self, PyObject *module)
{
	uint32_t fn = intern_find_c(def);

	return __builtin_expect(fn != 0, 1) ? fn : hook_intern_c(def, self, module);
}

HOOK_INLINE void hook_enter_c(struct py_method_def *def, PyObject *self, PyObject *module,
			      enum hook_clock clock)
{
	uint32_t fn = hook_c(def, self, module);

	if (__builtin_expect(fn & INTERN_TAKES_HOOK, 0)) {
		fn &= ~INTERN_TAKES_HOOK;
		spawn_watch();
	}
	hook_put(PYPROF_C_CALL, fn, hook_now(clock), false);
}

HOOK_INLINE void hook_leave_c(unsigned kind, struct py_method_def *def, PyObject *self,
			      PyObject *module, enum hook_clock clock)
{
	uint64_t now = hook_now(clock);
	uint32_t fn = intern_find_c(def);

	if (__builtin_expect(!fn, 0)) {
		fn = hook_intern_c(def, self, module);
		now = hook_now(clock);
	}
	hook_put(kind, fn & ~INTERN_FLAGS, now, false);
}

/*
 * Records the frames of this thread that are running already, the outermost first; without the
 * innermost where that one has just been entered and gets a call of its own.
 */
void hook_open_frames(bool entering, uint64_t now);

#endif
