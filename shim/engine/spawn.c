/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread is noticed when it is made: pthread_create is interposed, and takes one branch while
 * nothing is recorded. When recording begins, threads that exist already are treated as new.
 *
 * 3.8 to 3.10: from the first other thread on, frames are evaluated through a hook (PEP 523). It
 * gives its thread the profile function if that has none, and ends with a tail call: 0-2 ns a call,
 * and no C stack.
 *
 * 3.11: the hook would turn Python-to-Python calls into C recursion. A thread that Python itself
 * makes is in the interpreter's list already when pthread_create is called, and gets the function
 * then. The hook is set only for threads made by others, which may or may not enter Python later.
 * It stays as long as one of them lives that has entered Python, or for a second after the last one
 * was made. It is removed when a thread has used a quarter of its stack, even if events are lost by
 * that.
 */
#include "spawn.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "profilehook.h"
#include "pyprof/clock.h"
#include "python/evalhook.h"
#include "python/pyapi.h"
#include "record/thread.h"
#include "system/process.h"

#define GRACE_NS 1000000000ull
#define FIRST_NS 50000000ull /* the first call of a function is watched this long */
#define LOOK_NS 10000000ull  /* shortest interval between looks at all threads */

static PyObject *evaluate(void *a, void *b, void *c);

static struct evalhook hook = { .ours = evaluate };

static int n_watching;	    /* threads that have `watched` set */
static bool covers_threads; /* 3.8 to 3.10: there is or was a second thread */

/* 3.11: living threads that Python did not make and that have entered it. */
static int n_foreign;
static uint64_t grace_until_ns; /* more of them may enter it until then */
static pthread_key_t foreign_key;
static bool has_foreign_key;

static __thread bool foreign __attribute__((tls_model("initial-exec")));
static __thread bool watched __attribute__((tls_model("initial-exec")));

/*
 * Number of threads that have called a C function for the first time, and no Python function since.
 * Such a thread may wait in it for ever, so it counts for a limited time only.
 */
static int n_first;
static uint64_t first_until_ns;
static __thread bool watched_first __attribute__((tls_model("initial-exec")));
static __thread uintptr_t stack_floor __attribute__((tls_model("initial-exec")));

static bool inlines_calls(void)
{
	return py.version >= 0x030b00;
}

/* --- the frame hook --------------------------------------------------------------------------- */

/* True if this thread has used a quarter of its stack; called on 3.11 only. */
static bool stack_is_short(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (!stack_floor) {
		pthread_attr_t attr;
		void *low;
		size_t bytes;

		stack_floor = here - (128u << 10);
		/* pthread_getattr_np calls sched_getaffinity, which a filter may forbid. */
		if (!process_is_filtered() && pthread_getattr_np(pthread_self(), &attr) == 0) {
			if (pthread_attr_getstack(&attr, &low, &bytes) == 0)
				stack_floor = (uintptr_t)low + bytes / 4 * 3;
			pthread_attr_destroy(&attr);
		}
	}
	return here < stack_floor;
}

/* A destructor of thread-specific data: it also runs if the thread ends by pthread_exit. */
static void foreign_exit(void *arg)
{
	(void)arg;
	foreign = false;
	__atomic_sub_fetch(&n_foreign, 1, __ATOMIC_RELAXED);
}

/*
 * Notes a thread that Python did not make; one that it made has the function before its first
 * frame. Needs the GIL.
 */
static void note_foreign(void)
{
	if (!has_foreign_key)
		has_foreign_key = pthread_key_create(&foreign_key, foreign_exit) == 0;
	if (!has_foreign_key || pthread_setspecific(foreign_key, &foreign_key))
		return;
	foreign = true;
	__atomic_add_fetch(&n_foreign, 1, __ATOMIC_RELAXED);
}

void spawn_note_new(void)
{
	if (inlines_calls() && !foreign)
		note_foreign();
}

/* Called with the GIL held. */
static void end_first(void)
{
	if (watched_first && n_first)
		n_first--;
	watched_first = false;
}

static bool expects_first(void)
{
	if (n_first && pyprof_clock_ns(CLOCK_MONOTONIC) > first_until_ns)
		n_first = 0;
	return n_first;
}

static bool hook_is_over(void)
{
	if (!profilehook_wanted())
		return true;
	if (!inlines_calls())
		return !__atomic_load_n(&n_watching, __ATOMIC_RELAXED) && !covers_threads &&
		       !expects_first();
	if (stack_is_short())
		return true;
	return !__atomic_load_n(&n_watching, __ATOMIC_RELAXED) && !expects_first() &&
	       !__atomic_load_n(&n_foreign, __ATOMIC_RELAXED) &&
	       pyprof_clock_ns(CLOCK_MONOTONIC) >
		       __atomic_load_n(&grace_until_ns, __ATOMIC_RELAXED);
}

/*
 * Called before each frame: true if the thread's profile function is not the wanted one, or may be
 * changed.
 */
static inline bool needs_look(void *thread)
{
	if (profilehook_is_ours(thread))
		return watched;
	return profilehook_is_none(thread) || !profilehook_is_taken;
}

static __attribute__((noinline)) void look(void *thread)
{
	/* An audit hook in Python runs before the program's function is set: too early to look. */
	if (profilehook_is_known() && profilehook_wanted() &&
	    (py.version >= 0x030c00 || !pyapi_is_tracing(thread)))
		profilehook_look(PROFILEHOOK_AT_FRAME);
}

static PyObject *evaluate(void *a, void *b, void *c)
{
	void *thread = pyapi_thread_current();

	if (__builtin_expect(needs_look(thread), 0))
		look(thread);
	if (watched_first)
		end_first();
	if (hook_is_over())
		evalhook_remove(&hook);
	return evalhook_call_next(&hook, a, b, c);
}

static void set_hook(void)
{
	if (profilehook_is_known())
		evalhook_set(&hook);
}

/* --- threads ---------------------------------------------------------------------------------- */

/* Sets the function in a thread that has none: it is new, or its function was taken unnoticed. */
static void cover_free(void *thread)
{
	uint64_t id = pyapi_state_id(thread);

	if (id)
		thread_note_blind_of(id);
	profilehook_set_in(thread);
}

/*
 * Sets the function in all other threads of the main interpreter that have none. `replace`: also in
 * those that have one of ours. Returns how many there were.
 */
static int cover_listed(bool replace)
{
	void *self = py.PyThreadState_Get();
	void *thread = py.PyInterpreterState_ThreadHead(py.PyInterpreterState_Main());
	int n = 0;

	for (; thread; thread = py.PyThreadState_Next(thread)) {
		if (thread == self || !pyapi_state_is_ready(thread) ||
		    !(replace ? profilehook_is_free(thread) : profilehook_is_none(thread)))
			continue;
		if (replace)
			profilehook_set_in(thread);
		else
			cover_free(thread);
		n++;
	}
	return n;
}

void spawn_look(void)
{
	static uint64_t next_ns;
	uint64_t now;

	if (!profilehook_wanted())
		return;
	now = pyprof_clock_ns(CLOCK_MONOTONIC);
	if (now < next_ns)
		return;
	next_ns = now + LOOK_NS;
	cover_listed(false);
}

void spawn_watch(void)
{
	if (!profilehook_wanted())
		return;
	if (!watched)
		__atomic_add_fetch(&n_watching, 1, __ATOMIC_RELAXED);
	watched = true;
	set_hook();
}

void spawn_watch_first(void)
{
	if (!profilehook_wanted() || py.version >= 0x030c00)
		return;
	n_first += !watched_first;
	watched_first = true;
	first_until_ns = pyprof_clock_ns(CLOCK_MONOTONIC) + FIRST_NS;
	set_hook();
}

void spawn_unwatch(void)
{
	if (watched)
		__atomic_sub_fetch(&n_watching, 1, __ATOMIC_RELAXED);
	watched = false;
}

/* Notes that there are threads that may enter Python. */
static void expect_others(void)
{
	if (inlines_calls())
		__atomic_store_n(&grace_until_ns, pyprof_clock_ns(CLOCK_MONOTONIC) + GRACE_NS,
				 __ATOMIC_RELAXED);
	else
		covers_threads = true;
	set_hook();
}

void spawn_cover_threads(void)
{
	cover_listed(true);
	if (profilehook_wanted() && py.version < 0x030c00 && process_threads() != 1)
		expect_others();
}

void spawn_before_create(void)
{
	if (__builtin_expect(!profilehook_wanted(), 1))
		return;
	if (!inlines_calls() || !pyapi_thread_holding_gil() || !cover_listed(false))
		expect_others();
}
