/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "profilehook.h"

#include "system/log.h"

#define N_WORDS 24 /* words of PyThreadState; the function is in these in every version */

__thread bool profilehook_is_taken __attribute__((tls_model("initial-exec"), visibility("hidden")));

struct profilehook profilehook;

static bool is_quiet; /* it can be set without calling the program's audit hooks */
static void (*on_look)(enum profilehook_where where);
static __thread bool within __attribute__((tls_model("initial-exec")));

void profilehook_want(py_tracefunc f)
{
	profilehook.former = profilehook.wanted;
	profilehook.wanted = f;
}

bool profilehook_sets(void)
{
	return within;
}

/* --- the function of a thread ----------------------------------------------------------------- */

static void learn_word(void)
{
	void **words = pyapi_thread_current();

	for (size_t i = 1; !profilehook.word && words && i < N_WORDS; i++) {
		if (words[i] == (void *)profilehook.wanted)
			profilehook.word = i;
	}
}

/* --- setting it ------------------------------------------------------------------------------- */

/* Sets the function by the C-API: the first time, or if PyThreadState has an unknown layout. */
static void set_loudly(void *other)
{
	if (within) /* called by an audit hook in Python, whose frames use our frame hook */
		return;
	within = true;
	if (!other)
		py.PyEval_SetProfile(profilehook.wanted, NULL);
	else if (py._PyEval_SetProfile)
		py._PyEval_SetProfile(other, profilehook.wanted, NULL);
	within = false;
	if (py.PyErr_Occurred()) { /* an audit hook of the program refused it */
		py.PyErr_Clear();
		log_debug("an audit hook refused the profile function");
	}
}

bool profilehook_set_here(void)
{
	void *thread = py.PyThreadState_Get();

	if (is_quiet)
		return profilehook_is_free(thread) && pyapi_profile_set(thread, profilehook.wanted);
	set_loudly(NULL);
	return true;
}

void profilehook_set_in(void *thread)
{
	if (is_quiet)
		pyapi_profile_set(thread, profilehook.wanted);
	else
		set_loudly(thread);
}

void profilehook_prepare(py_tracefunc f)
{
	profilehook_want(f);
	set_loudly(NULL);
	learn_word();
	is_quiet = pyapi_profile_is(py.PyThreadState_Get(), profilehook.wanted);
	profilehook_want(NULL);
}

/* --- where the program may have changed it ---------------------------------------------------- */

void profilehook_on_look(void (*look)(enum profilehook_where where))
{
	on_look = look;
}

void profilehook_look(enum profilehook_where where)
{
	if (on_look)
		on_look(where);
}
