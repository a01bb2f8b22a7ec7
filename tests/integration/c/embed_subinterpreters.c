/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * embed_subinterpreters N SOURCE: runs SOURCE in the main interpreter, in N others, and in the main
 * one again. On 3.12 and later each of the others has its own GIL and runs in its own thread, all
 * at the same time.
 */
#include <Python.h>
#include <pthread.h>

static const char *source;

#if PY_VERSION_HEX >= 0x030c0000
static void *run(void *unused)
{
	PyInterpreterConfig config = {
		.check_multi_interp_extensions = 1,
		.allow_threads = 1,
		.gil = PyInterpreterConfig_OWN_GIL,
	};
	PyThreadState *thread = NULL;
	PyThreadState *first = PyThreadState_New(PyInterpreterState_Main());

	(void)unused;
	PyEval_RestoreThread(first);
	if (PyStatus_Exception(Py_NewInterpreterFromConfig(&thread, &config)))
		abort();
	if (PyRun_SimpleString(source))
		abort();
	Py_EndInterpreter(thread);
	PyEval_RestoreThread(first);
	PyThreadState_Clear(first);
	PyThreadState_DeleteCurrent();
	return NULL;
}

static void run_all(int n)
{
	pthread_t threads[16];

	Py_BEGIN_ALLOW_THREADS;
	for (int i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, run, NULL);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	Py_END_ALLOW_THREADS;
}
#else
static void run_all(int n)
{
	PyThreadState *main_thread = PyThreadState_Get();

	for (int i = 0; i < n; i++) {
		PyThreadState *other = Py_NewInterpreter();

		if (!other || PyRun_SimpleString(source))
			abort();
		Py_EndInterpreter(other);
		PyThreadState_Swap(main_thread);
	}
}
#endif

int main(int argc, char **argv)
{
	if (argc != 3 || atoi(argv[1]) > 16)
		return 2;
	source = argv[2];
	Py_Initialize();
	if (PyRun_SimpleString(source))
		return 1;
	run_all(atoi(argv[1]));
	if (PyRun_SimpleString(source))
		return 1;
	return Py_FinalizeEx() ? 1 : 0;
}
