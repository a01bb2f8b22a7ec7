/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread is noticed when it is made: pthread_create is interposed, and costs one branch while
 * nothing is recorded. Those that were made before count as made when recording begins.
 *
 * 3.8 to 3.10: from the first other thread on, frames are evaluated through a hook (PEP 523) that
 * gives its thread the profile function where it has none, and goes on with a tail call: 0-2 ns
 * a call, no C stack.
 *
 * 3.11: there the hook would turn Python-to-Python calls into C recursion. A thread that
 * Python itself makes is in the interpreter's list already when pthread_create is called, and is
 * given the function then. Only for threads made by others, which may or may not enter Python
 * later, the hook is set: as long as one of them lives that has entered Python, or for a
 * second after the last one was made; and it goes away when a thread has used a quarter of its
 * stack, whatever is lost by that.
 */
#include "spawn.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine_tracefunc.h"
#include "process.h"
#include "pyapi.h"
#include "pyprof/clock.h"
#include "thread.h"

#define GRACE_NS 1000000000ull

static int (*real_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

/* The evaluator that stood there before ours; NULL while ours is not set. */
static py_evalfunc evaluate;
static int n_watching;	    /* threads whose profile function may be somebody else's */
static bool covers_threads; /* 3.8 to 3.10: there is, or has been, a second thread */
static size_t profile_word; /* PyThreadState: the word that holds the profile function */

/* 3.11: of the threads that Python did not make, those that have run it and still live. */
static int n_foreign;
static uint64_t grace_until_ns; /* others may run it until then */
static pthread_key_t foreign_key;
static bool has_foreign_key;

static __thread bool foreign __attribute__((tls_model("initial-exec")));
static __thread bool watched __attribute__((tls_model("initial-exec")));

/*
 * Calls of such functions that are running as far as is known: until the last has returned, that the hook
 * is ours still says nothing. An audit hook may be a Python function that is called before it is set.
 */
static __thread unsigned n_takers __attribute__((tls_model("initial-exec")));
static __thread uintptr_t stack_floor __attribute__((tls_model("initial-exec")));

static bool inlines_calls(void)
{
	return py.version >= 0x030b00;
}

/* --- the profile function of a thread ----------------------------------------------------------- */

static void *current_thread(void)
{
	return py.PyThreadState_GetUnchecked ? py.PyThreadState_GetUnchecked()
					     : py._PyThreadState_UncheckedGet();
}

void spawn_learn(void)
{
	void **words = current_thread();

	for (size_t i = 1; !profile_word && words && i < 24; i++) {
		if (words[i] == (void *)tracefunc_wanted())
			profile_word = i;
	}
}

static void *profile_of(void *thread)
{
	return profile_word ? ((void **)thread)[profile_word] : NULL;
}

static bool has_no_profile(void *thread)
{
	return profile_word && !profile_of(thread);
}

bool spawn_is_free(void *thread)
{
	py_tracefunc f = (py_tracefunc)profile_of(thread);

	return !f || f == tracefunc_wanted() || f == tracefunc_former();
}

/* --- the frame hook -------------------------------------------------------------------------------- */

static void remove_hook(void)
{
	py_evalfunc previous = evaluate;

	/* Whoever has set another one since keeps it; it calls ours, which then only goes on. */
	if (previous)
		pyapi_eval_set(previous);
}

/* Whether this thread has used a quarter of its stack; asked on 3.11 only. */
static bool stack_is_short(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (!stack_floor) {
		pthread_attr_t attr;
		void *low;
		size_t bytes;

		stack_floor = here - (128u << 10);
		if (pthread_getattr_np(pthread_self(), &attr) == 0) {
			if (pthread_attr_getstack(&attr, &low, &bytes) == 0)
				stack_floor = (uintptr_t)low + bytes / 4 * 3;
			pthread_attr_destroy(&attr);
		}
	}
	return here < stack_floor;
}

/* A destructor of thread-specific data: also where the thread ends by pthread_exit. */
static void foreign_exit(void *arg)
{
	(void)arg;
	foreign = false;
	__atomic_sub_fetch(&n_foreign, 1, __ATOMIC_RELAXED);
}

/* Of a thread that Python made, the function was set before its first frame. Needs the GIL. */
static void note_foreign(void)
{
	if (!has_foreign_key)
		has_foreign_key = pthread_key_create(&foreign_key, foreign_exit) == 0;
	if (!has_foreign_key || pthread_setspecific(foreign_key, &foreign_key))
		return;
	foreign = true;
	__atomic_add_fetch(&n_foreign, 1, __ATOMIC_RELAXED);
}

static void first_frame(void)
{
	struct pyapi_pending pending;

	pyapi_pending_save(&pending);
	if (watched) /* else this is a new PyThreadState, as each PyGILState_Ensure makes one */
		thread_note_gap();
	n_takers = 0;
	tracefunc_set_here();
	if (inlines_calls() && !watched && !foreign)
		note_foreign();
	pyapi_pending_restore(&pending);
}

static bool hook_is_over(void)
{
	if (!tracefunc_wanted())
		return true;
	if (watched && profile_of(current_thread()) != (void *)tracefunc_wanted()) {
		n_takers = 0;
	} else if (watched && !n_takers) {
		watched = false;
		n_watching--;
	}
	if (!inlines_calls())
		return !n_watching && !covers_threads;
	if (stack_is_short())
		return true;
	return !n_watching && !__atomic_load_n(&n_foreign, __ATOMIC_RELAXED) &&
	       pyprof_clock_ns(CLOCK_MONOTONIC) >
		       __atomic_load_n(&grace_until_ns, __ATOMIC_RELAXED);
}

/* 3.8: (frame, throwing); later: (thread, frame, throwing) */
static PyObject *evaluate_hook(void *a, void *b, void *c)
{
	if (__builtin_expect(has_no_profile(current_thread()), 0) && tracefunc_wanted())
		first_frame();
	if (hook_is_over())
		remove_hook();
	return evaluate(a, b, c);
}

static void set_hook(void)
{
	py_evalfunc now = pyapi_eval_get();

	if (!now || now == evaluate_hook)
		return;
	/* Somebody else's in front of ours goes on to ours; in front of it, we would go round. */
	if (evaluate && now != evaluate)
		return;
	if (!profile_word)
		return;
	evaluate = now;
	pyapi_eval_set(evaluate_hook);
}

/* --- threads ---------------------------------------------------------------------------------------- */

/*
 * Gives the function to all threads of the main interpreter that have none, or one that we gave them
 * before; how many that were.
 */
static int cover_listed(bool replace)
{
	void *self = py.PyThreadState_Get();
	void *thread = py.PyInterpreterState_ThreadHead(py.PyInterpreterState_Main());
	int n = 0;

	for (; thread; thread = py.PyThreadState_Next(thread)) {
		if (thread == self || !(replace ? spawn_is_free(thread) : has_no_profile(thread)))
			continue;
		tracefunc_set_in(thread);
		n++;
	}
	return n;
}

void spawn_watch(void)
{
	if (!tracefunc_wanted())
		return;
	n_watching += !watched;
	watched = true;
	n_takers++;
	set_hook();
}

void spawn_watch_return(void)
{
	if (n_takers)
		n_takers--;
}

/* There are threads that may enter Python. */
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
	if (tracefunc_wanted() && py.version < 0x030c00 && process_threads() != 1)
		expect_others();
}

/* A thread is about to be made while there is a profile function to bring to it. */
static __attribute__((noinline)) int create_covered(pthread_t *thread, const pthread_attr_t *attr,
						    void *(*run)(void *), void *arg)
{
	if (!inlines_calls() || !pyapi_thread_holding_gil() || !cover_listed(false))
		expect_others();
	return real_create(thread, attr, run, arg);
}

__attribute__((visibility("default"))) int pthread_create(pthread_t *thread,
							  const pthread_attr_t *attr,
							  void *(*run)(void *), void *arg)
{
	if (__builtin_expect(!real_create, 0)) {
		real_create = (__typeof__(real_create))dlsym(RTLD_NEXT, "pthread_create");
		if (!real_create)
			return EAGAIN;
	}
	if (__builtin_expect(!tracefunc_wanted(), 1))
		return real_create(thread, attr, run, arg);
	return create_covered(thread, attr, run, arg);
}
