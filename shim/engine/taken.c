/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "taken.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "profilehook.h"
#include "python/pyapi.h"
#include "record/clock.h"
#include "record/recording.h"
#include "record/thread.h"
#include "spawn.h"
#include "takers.h"

/* The facts that this thread knows about the taking of its hook. */
static __thread struct {
	bool expected; /* `place` and `call` are from just before the taking */
	bool by_api;   /* the API was used, and will be to give the hook back */
	uint32_t call; /* the last C function called, as in a record; 0: none */
	struct pyapi_position place;
	uint32_t n_restarts; /* the recording's, when this began */
} taking __attribute__((tls_model("initial-exec")));

static pthread_t main_thread;
static bool is_audited;

static void forget_taking(void)
{
	memset(&taking, 0, sizeof(taking));
	taking.n_restarts = recording.n_restarts;
	profilehook_is_taken = false;
	thread_self.taken = false;
	spawn_unwatch();
}

/* True if the thread may have made calls since the hook went. */
static bool has_moved_on(const void *thread, enum profilehook_where where)
{
	struct pyapi_position now;

	if (where == PROFILEHOOK_IN_CALL)
		return false;
	if (!taking.expected || py.version >= 0x030c00)
		return true;
	now = pyapi_position(thread);
	return now.frame != taking.place.frame || now.instruction != taking.place.instruction;
}

/* The only missing event is the end of the call that took the hook. */
static void put_missed_return(void)
{
	if (taking.call)
		thread_put(PYPROF_C_RETURN, taking.call >> PYPROF_FN_SHIFT, clock_event());
}

/*
 * Learns a C function that took the hook without the API: the last one called, if that was the last
 * event.
 */
static void learn_taker(void)
{
	if (!taking.expected && !profilehook_is_taken)
		takers_learn(thread_last_c_call());
}

/* Handles a hook that is free. */
static void regain(void *thread, enum profilehook_where where)
{
	uint64_t id = pyapi_state_id(thread);
	bool missed = profilehook_is_taken || has_moved_on(thread, where);
	bool in_child =
		recording.state == RECORDING_FORKED && (profilehook_is_taken || taking.expected);
	/*
	 * Otherwise this is a new PyThreadState, as each PyGILState_Ensure makes one: no event was
	 * lost.
	 */
	bool known = in_child || (id && id == thread_self.state);

	if (known)
		learn_taker();
	if (!profilehook_set_here())
		spawn_watch();
	if (!profilehook_is_ours(thread))
		return; /* an audit hook of the program refused it */
	thread_self.state = id;
	if (known && missed)
		thread_end_blind();
	else if (known && where == PROFILEHOOK_BETWEEN)
		put_missed_return();
	else if (!known)
		spawn_note_new();
	forget_taking();
}

static void see_others(void)
{
	learn_taker();
	thread_mark_taken();
	profilehook_is_taken = true;
	if (taking.by_api)
		spawn_unwatch();
	else
		spawn_watch();
}

/*
 * Handles a hook that is ours: if it was taken, code that had kept our function has set it again.
 */
static void see_ours(void)
{
	if (profilehook_is_taken)
		thread_end_blind();
	forget_taking();
}

static void look(void *thread, enum profilehook_where where)
{
	if (taking.n_restarts != recording.n_restarts)
		profilehook_is_taken = taking.expected = false;
	if (profilehook_is_ours(thread))
		see_ours();
	else if (profilehook_is_free(thread))
		regain(thread, where);
	else
		see_others();
}

/* Returns this PyThreadState, or NULL if there is nothing to look at. Called with the GIL held. */
static void *current_thread(void)
{
	void *thread = profilehook_wanted() ? pyapi_thread_current() : NULL;

	return thread && pyapi_in_main_interpreter() ? thread : NULL;
}

static void taken_look(enum profilehook_where where)
{
	struct pyapi_pending pending;
	void *thread = current_thread();

	if (!thread)
		return;
	pyapi_pending_save(&pending);
	look(thread, where);
	pyapi_pending_restore(&pending);
}

/* --- the audit hook --------------------------------------------------------------------------- */

static int look_between(void *unused)
{
	void *thread = py.PyThreadState_Get();

	(void)unused;
	/* An audit hook in Python runs before the hook is taken. */
	if (!pyapi_is_tracing(thread))
		taken_look(PROFILEHOOK_BETWEEN);
	return 0;
}

/*
 * Asks for a look between two instructions of the main thread. Not on 3.8: if a call is added while
 * the interpreter ends, 3.8 prints that on stderr.
 */
static void look_soon(void)
{
	if (py.version >= 0x030900 && py.version < 0x030c00 && py.Py_AddPendingCall &&
	    pthread_equal(pthread_self(), main_thread))
		py.Py_AddPendingCall(look_between, NULL);
}

/* Called when the thread's hook is about to be set, to an unknown function. */
static void expect_taking(void *thread)
{
	if (profilehook_is_ours(thread)) {
		forget_taking();
		taking.expected = true;
		taking.place = pyapi_position(thread);
		taking.call = thread_last_c_call();
		thread_mark_taken();
		takers_learn(taking.call);
	} else if (!profilehook_is_free(thread)) {
		profilehook_is_taken = true;
	}
	taking.by_api = is_audited;
	spawn_watch();
	look_soon();
}

/* The quick test is for the letters that differ: this is called for every audit event. */
static int on_audit(const char *event, PyObject *args, void *unused)
{
	struct pyapi_pending pending;
	void *thread;

	(void)args;
	(void)unused;
	if (event[0] != 's' || event[4] != 's' || strcmp(event, "sys.setprofile") != 0)
		return 0;
	thread = profilehook_sets() ? NULL : current_thread();
	if (thread) {
		pyapi_pending_save(&pending);
		expect_taking(thread);
		pyapi_pending_restore(&pending);
	}
	return 0;
}

void taken_prepare(void)
{
	main_thread = pthread_self();
	profilehook_on_look(taken_look);
	is_audited = pyapi_audit_make(on_audit);
}
