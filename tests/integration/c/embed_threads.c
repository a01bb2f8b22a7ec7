/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * embed_threads THREADS SOURCE [FIRST]: starts C threads that each run SOURCE through
 * PyGILState_Ensure, after the main thread has run FIRST.
 */
#include <Python.h>
#include <pthread.h>

static const char *source;

static void *work(void *unused)
{
	PyGILState_STATE state = PyGILState_Ensure();
	int failed = PyRun_SimpleString(source);

	PyGILState_Release(state);
	(void)unused;
	return failed ? &source : NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	int n = argc >= 3 ? atoi(argv[1]) : 0, failed = 0;
	PyThreadState *saved;

	if (n < 1 || n > 64)
		return 2;
	source = argv[2];
	Py_Initialize();
	if (argc > 3)
		failed = PyRun_SimpleString(argv[3]);
	saved = PyEval_SaveThread();
	for (int i = 0; i < n; i++)
		failed |= pthread_create(&threads[i], NULL, work, NULL);
	for (int i = 0; i < n && !failed; i++) {
		void *result;

		failed |= pthread_join(threads[i], &result) || result;
	}
	PyEval_RestoreThread(saved);
	return Py_FinalizeEx() || failed;
}
