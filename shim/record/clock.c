/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clock.h"

#include <stdbool.h>

#include "pyprof/clock.h"
#include "pyprof/format.h"
#include "recording.h"
#include "system/sandbox.h"

/* A rate is trusted only from two pairs of clocks this far apart: each is off by about 20 ns. */
#define MIN_SPAN_NS 100000u
/*
 * An estimate is never this far ahead of the system's clock. If it is, the clock is that of another
 * process: this one is a forked child.
 */
#define MAX_AHEAD_NS 1000000u
#define RATE_SHIFT 32
#define RATE_ONE 4294967296.0

/*
 * The counter's rate: ns = ticks * rate >> RATE_SHIFT. Threads may write it at the same time; each
 * of the values is right.
 */
static struct {
	uint64_t first_ticks, first_ns; /* constant: a pair of clocks */
	uint64_t span_ticks;		/* from there to the pair that gave the rate */
	uint64_t rate;			/* 0: unknown, or the counter is not invariant */
	uint64_t max_gap, max_age;	/* in ticks */
	bool invariant;
} counter;

/* The thread's estimate: the last value from the system, and when it was read. */
static __thread struct estimate {
	uint64_t ticks; /* the counter then; later than now while the clock stands still */
	uint64_t ns;	/* CPU time */
	uint64_t last;	/* the counter at the last reading of this clock */
} estimate __attribute__((tls_model("initial-exec")));

/*
 * Per thread. PYSHIM_CLOCK=count: the clock itself; =cpu and =thread: an offset that is added to
 * it.
 */
static __thread uint64_t count __attribute__((tls_model("initial-exec")));

static uint64_t get(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void set(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
}

/* --- the counter's rate ----------------------------------------------------------------------- */

void clock_init(void)
{
	counter.invariant = pyprof_tsc_invariant();
	pyprof_clock_pair(&counter.first_ticks, &counter.first_ns);
}

void clock_first_pair(uint64_t *ticks, uint64_t *mono_ns)
{
	*ticks = counter.first_ticks;
	*mono_ns = counter.first_ns;
}

/* Doubles the precision of the rate, with a pair of clocks at least twice as far from the first. */
static void learn_rate(uint64_t now)
{
	uint64_t ticks, ns;
	double rate;

	if (!counter.invariant || (now - counter.first_ticks) / 2 < get(&counter.span_ticks))
		return;
	pyprof_clock_pair(&ticks, &ns);
	ticks -= counter.first_ticks;
	ns -= counter.first_ns;
	if ((int64_t)ticks <= 0 || (int64_t)ns < MIN_SPAN_NS)
		return;
	rate = (double)ns / (double)ticks;
	set(&counter.span_ticks, ticks);
	set(&counter.max_gap, (uint64_t)(CLOCK_MAX_GAP_NS / rate));
	set(&counter.max_age, (uint64_t)(CLOCK_MAX_AGE_NS / rate));
	set(&counter.rate, (uint64_t)(rate * RATE_ONE));
}

/* --- CPU time --------------------------------------------------------------------------------- */

/* Returns what the clock shows when the counter is at `ticks`, as far as is known. */
static uint64_t shown_at(const struct estimate *e, uint64_t ticks)
{
	int64_t passed = (int64_t)(ticks - e->ticks);

	/* Any time may have passed, so the product may not fit into an integer. */
	return passed > 0
		       ? e->ns + (uint64_t)((double)passed * (double)get(&counter.rate) / RATE_ONE)
		       : e->ns;
}

/*
 * Notes that the clock is `ns` when the counter is at `at`. If it has shown more already, it stands
 * still until the system's clock is there.
 */
static void believe(struct estimate *e, uint64_t ns, uint64_t at)
{
	uint64_t shown = shown_at(e, e->last);
	uint64_t ahead = shown > ns && shown - ns < MAX_AHEAD_NS ? shown - ns : 0;

	e->ns = ns + ahead;
	e->ticks = at + (uint64_t)((double)ahead * RATE_ONE / (double)get(&counter.rate));
}

/*
 * Returns when the system's clock was read, between these two readings of the counter: in the
 * middle, or at the end if the thread was probably off its processor.
 */
static uint64_t moment_between(uint64_t before, uint64_t after)
{
	return after - before > get(&counter.max_gap) ? after : before + (after - before) / 2;
}

static uint64_t ask_system(struct estimate *e, uint64_t now, clockid_t id)
{
	uint64_t ns = pyprof_clock_ns(id);
	uint64_t after = pyprof_tsc();

	believe(e, ns, moment_between(now, after));
	e->last = after;
	return shown_at(e, after);
}

static __attribute__((noinline)) uint64_t cpu_clock_slow(struct estimate *e, uint64_t now,
							 clockid_t id)
{
	bool closed = sandbox_is_closed();

	if (!closed)
		learn_rate(now);
	if (!get(&counter.rate))
		return closed ? e->ns : (e->ns = pyprof_clock_ns(id));
	if (now - e->last <= get(&counter.max_gap) && (int64_t)(now - e->ticks) < 0) {
		e->last = now; /* the clock stands still */
		return e->ns;
	}
	if (!closed)
		return ask_system(e, now, id);
	e->ns = shown_at(e, now);
	e->ticks = e->last = now;
	return e->ns;
}

static inline uint64_t cpu_clock(clockid_t id)
{
	struct estimate *e = &estimate;
	uint64_t now = pyprof_tsc();
	uint64_t passed = now - e->ticks;

	if (__builtin_expect(now - e->last > get(&counter.max_gap), 0) ||
	    __builtin_expect(passed > get(&counter.max_age), 0))
		return cpu_clock_slow(e, now, id);
	e->last = now;
	return e->ns + (passed * get(&counter.rate) >> RATE_SHIFT);
}

/* ---------------------------------------------------------------------------------------------- */

uint64_t clock_read(void)
{
	switch (recording.clock) {
	case PYPROF_CLOCK_TSC:
		return pyprof_tsc();
	case PYPROF_CLOCK_CPU:
		return cpu_clock(CLOCK_PROCESS_CPUTIME_ID) + count;
	case PYPROF_CLOCK_THREAD:
		return cpu_clock(CLOCK_THREAD_CPUTIME_ID) + count;
	case PYPROF_CLOCK_COUNT:
		return count;
	default:
		return pyprof_clock_ns(CLOCK_MONOTONIC);
	}
}

uint64_t clock_event(void)
{
	if (recording.clock == PYPROF_CLOCK_COUNT)
		return ++count;
	return clock_read();
}

void clock_reset(void)
{
	count = 0;
}

uint64_t clock_continue(uint64_t last)
{
	/* A process CPU clock restarts only if another process had the ring. */
	if (recording.clock == PYPROF_CLOCK_CPU && clock_read() >= last)
		return 0;
	if (recording.clock == PYPROF_CLOCK_TSC || recording.clock == PYPROF_CLOCK_WALL)
		return 0;
	count += last;
	return last;
}
