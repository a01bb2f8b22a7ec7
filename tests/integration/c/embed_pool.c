/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * embed_pool THREADS SOURCE FIRST: starts the threads before Python. After the main thread has run
 * FIRST, each runs SOURCE twice and leaves Python in between.
 */
#include <Python.h>
#include <pthread.h>
#include <semaphore.h>

static const char *source;
static sem_t go;

static void *work(void *unused)
{
	int failed = 0;

	(void)unused;
	sem_wait(&go);
	for (int i = 0; i < 2; i++) {
		PyGILState_STATE state = PyGILState_Ensure();

		failed |= PyRun_SimpleString(source);
		PyGILState_Release(state);
	}
	return failed ? &source : NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	int n = argc == 4 ? atoi(argv[1]) : 0, failed = 0;
	PyThreadState *saved;

	if (n < 1 || n > 64)
		return 2;
	source = argv[2];
	sem_init(&go, 0, 0);
	for (int i = 0; i < n; i++)
		failed |= pthread_create(&threads[i], NULL, work, NULL);
	Py_Initialize();
	failed |= PyRun_SimpleString(argv[3]);
	saved = PyEval_SaveThread();
	for (int i = 0; i < n; i++)
		sem_post(&go);
	for (int i = 0; i < n && !failed; i++) {
		void *result;

		failed |= pthread_join(threads[i], &result) || result;
	}
	PyEval_RestoreThread(saved);
	return Py_FinalizeEx() || failed;
}
