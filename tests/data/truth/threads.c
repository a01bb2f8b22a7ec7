/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that no Python module started. The library is loaded with ctypes.CDLL, so its functions
 * run without the GIL; the Python API is resolved in the process that loads it.
 */
#include <pthread.h>

extern int PyGILState_Ensure(void);
extern void PyGILState_Release(int state);
extern void *PyObject_CallObject(void *callable, void *args);
extern void Py_DecRef(void *object);

#define MAX_THREADS 256

struct task {
	void (*callback)(int);
	void *callable;
	int n_calls;
};

/* A callback of ctypes: takes and gives back the GIL, and a thread state, at each call. */
static void *call_back(void *arg)
{
	struct task *t = arg;

	for (int i = 0; i < t->n_calls; i++)
		t->callback(i);
	return 0;
}

/* One thread state for all the calls. */
static void *call_object(void *arg)
{
	struct task *t = arg;
	int state = PyGILState_Ensure();

	for (int i = 0; i < t->n_calls; i++) {
		void *result = PyObject_CallObject(t->callable, 0);

		if (result)
			Py_DecRef(result);
	}
	PyGILState_Release(state);
	return 0;
}

static int run(void *(*body)(void *), struct task *task, int n_threads)
{
	pthread_t thread[MAX_THREADS];
	int n;

	if (n_threads > MAX_THREADS)
		return -1;
	for (n = 0; n < n_threads; n++)
		if (pthread_create(&thread[n], 0, body, task))
			break;
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], 0);
	return n;
}

int threads_call_back(void (*callback)(int), int n_calls, int n_threads)
{
	struct task task = { .callback = callback, .n_calls = n_calls };

	return run(call_back, &task, n_threads);
}

int threads_call_object(void *callable, int n_calls, int n_threads)
{
	struct task task = { .callable = callable, .n_calls = n_calls };

	return run(call_object, &task, n_threads);
}
