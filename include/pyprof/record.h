/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record of an event: its 64 bits, its kinds and their classes, and the clocks and engines that
 * it comes from. Header-only, without state. Any thread of either side.
 */
#ifndef PYPROF_RECORD_H
#define PYPROF_RECORD_H

#include <stdint.h>

/*
 * A record: 8 bytes, published by one store. The word 0 means "not written yet", so a block needs
 * no count, and a kill between two records leaves no torn record.
 *
 *	bits  0..3   kind, never 0
 *	bit   4      PYPROF_HIGH_OFFSET
 *	bits  5..28  function number into the name table (a thread's number in PYPROF_THREAD)
 *	bits 29..63  ticks since the base: the block's base_ticks, moved on by PYPROF_SYNC
 */
#define PYPROF_KIND_BITS 4
#define PYPROF_FN_BITS 24
#define PYPROF_FN_SHIFT (PYPROF_KIND_BITS + 1)
#define PYPROF_TICK_SHIFT (PYPROF_FN_SHIFT + PYPROF_FN_BITS)
#define PYPROF_TICK_BITS (64 - PYPROF_TICK_SHIFT)

#define PYPROF_FN_NONE 0u				/* the root: not a function */
#define PYPROF_FN_MAX ((1u << PYPROF_FN_BITS) - 2)	/* the highest number that has a name */
#define PYPROF_FN_OVERFLOW ((1u << PYPROF_FN_BITS) - 1) /* all functions beyond FN_MAX together */

enum pyprof_kind {
	PYPROF_EMPTY = 0,  /* not written; ends a block that is not full */
	PYPROF_CALL = 1,   /* a Python function starts */
	PYPROF_RETURN = 2, /* ... returns */
	PYPROF_UNWIND = 3, /* ... is left by an exception */
	PYPROF_RESUME = 4, /* a suspended generator or coroutine continues */
	PYPROF_YIELD = 5,  /* ... is suspended */
	PYPROF_THROW = 6,  /* ... continues with an exception thrown into it (reported by 3.12+) */
	PYPROF_C_CALL = 7, /* a C function starts */
	PYPROF_C_RETURN = 8,	/* ... returns */
	PYPROF_C_EXCEPTION = 9, /* ... is left by an exception */
	PYPROF_OPEN = 10, /* a frame that ran already when recording began: time, but no call */
	PYPROF_DIRECT_CALL = 11, /* a direct call of a Python function: without a call-site event */
	PYPROF_THREAD = 12, /* the records that follow belong to this thread; its stack is empty */
	/*
	 * Number 0, after a long pause: base += tick field << PYPROF_SYNC_SHIFT. Another number: a
	 * class call, with its overhead in parts of a call of object(); see PYPROF_CLASS_UNITS.
	 */
	PYPROF_SYNC = 13,
	/*
	 * Number 0: a blind interval since the thread's preceding record. PYPROF_BLIND_BEGINS: one
	 * may begin here.
	 */
	PYPROF_BLIND = 14,
	PYPROF_THREAD_END = 15, /* the thread has ended; frames still open end here */
};

/*
 * The number of a PYPROF_BLIND where the program is taking the profile hook. If an event follows,
 * the program has not taken it. If a PYPROF_BLIND follows, the program gave the hook back. If this
 * is the last record of a thread, the thread was not seen again.
 */
#define PYPROF_BLIND_BEGINS 1u

#define PYPROF_SYNC_SHIFT 24
#define PYPROF_CLASS_UNITS 8u /* parts of a call of object() in which class calls are counted */

/*
 * Flag of an end, and of PYPROF_SYNC with a number: the event had a high offset. 3.12 and later
 * keep integers up to 256 or 1,024; for a bytecode offset beyond those they allocate one, which
 * takes time.
 */
#define PYPROF_HIGH_OFFSET (1u << PYPROF_KIND_BITS)

static inline uint64_t pyprof_record(unsigned kind, uint32_t fn, uint64_t ticks)
{
	return ticks << PYPROF_TICK_SHIFT | (uint64_t)fn << PYPROF_FN_SHIFT | kind;
}

#define PYPROF_KIND_MASK ((1u << PYPROF_KIND_BITS) - 1)

static inline unsigned pyprof_record_kind(uint64_t r)
{
	return r & ((1u << PYPROF_KIND_BITS) - 1);
}

static inline uint32_t pyprof_record_fn(uint64_t r)
{
	return (uint32_t)(r >> PYPROF_FN_SHIFT) & ((1u << PYPROF_FN_BITS) - 1);
}

static inline uint64_t pyprof_record_ticks(uint64_t r)
{
	return r >> PYPROF_TICK_SHIFT;
}

/* The unit of a tick (`clock` in the header): nanoseconds, except for TSC and COUNT. */
enum pyprof_clock {
	PYPROF_CLOCK_TSC = 1,	 /* the processor's invariant counter: wall time */
	PYPROF_CLOCK_WALL = 2,	 /* CLOCK_MONOTONIC, where the counter is not invariant */
	PYPROF_CLOCK_CPU = 3,	 /* CLOCK_PROCESS_CPUTIME_ID */
	PYPROF_CLOCK_THREAD = 4, /* CLOCK_THREAD_CPUTIME_ID */
	PYPROF_CLOCK_COUNT = 5,	 /* one tick per event: for tests that want exact times */
};

enum pyprof_engine {
	PYPROF_ENGINE_TRACEFUNC = 1,  /* PyEval_SetProfile */
	PYPROF_ENGINE_MONITORING = 2, /* sys.monitoring */
};

enum pyprof_overflow {
	PYPROF_OVERFLOW_FOLD = 1,
	PYPROF_OVERFLOW_BLOCK = 2,
	PYPROF_OVERFLOW_DROP = 3,
};

/*
 * Classes of kinds: sets with a bit for each kind. PYPROF_KINDS_BEGIN and PYPROF_KINDS_END hold the
 * events of calls. The other kinds are about the thread and its clock.
 */
#define PYPROF_KINDS_BEGIN                                                                         \
	(1u << PYPROF_CALL | 1u << PYPROF_DIRECT_CALL | 1u << PYPROF_RESUME | 1u << PYPROF_THROW | \
	 1u << PYPROF_C_CALL | 1u << PYPROF_OPEN)
#define PYPROF_KINDS_END                                                                          \
	(1u << PYPROF_RETURN | 1u << PYPROF_YIELD | 1u << PYPROF_UNWIND | 1u << PYPROF_C_RETURN | \
	 1u << PYPROF_C_EXCEPTION)
#define PYPROF_KINDS_EXCEPTION (1u << PYPROF_UNWIND | 1u << PYPROF_C_EXCEPTION)
#define PYPROF_KINDS_END_OF_C (1u << PYPROF_C_RETURN | 1u << PYPROF_C_EXCEPTION)

static inline int pyprof_record_is(uint64_t r, uint32_t kinds)
{
	return kinds >> pyprof_record_kind(r) & 1;
}

/* The names of a clock. */
struct pyprof_clock_names {
	const char *key;     /* unique: differs for the two wall clocks */
	const char *setting; /* PYSHIM_CLOCK */
	const char *title;
};

static inline const struct pyprof_clock_names *pyprof_clock_names(uint32_t clock)
{
	static const struct pyprof_clock_names names[] = {
		{ "?", "?", "?" },
		[PYPROF_CLOCK_TSC] = { "tsc", "wall", "wall clock" },
		[PYPROF_CLOCK_WALL] = { "wall", "wall", "wall clock (no invariant counter)" },
		[PYPROF_CLOCK_CPU] = { "cpu", "cpu", "process CPU time" },
		[PYPROF_CLOCK_THREAD] = { "thread", "thread", "thread CPU time" },
		[PYPROF_CLOCK_COUNT] = { "count", "count", "counted events" },
	};

	return &names[clock < sizeof(names) / sizeof(names[0]) ? clock : 0];
}

/* Also the value of PYSHIM_ENGINE. */
static inline const char *pyprof_engine_name(uint32_t engine)
{
	static const char *const names[] = {
		"?",
		[PYPROF_ENGINE_TRACEFUNC] = "tracefunc",
		[PYPROF_ENGINE_MONITORING] = "monitoring",
	};

	return engine < sizeof(names) / sizeof(names[0]) ? names[engine] : names[0];
}

#endif
