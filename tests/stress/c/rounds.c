/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rounds LIBPYTHON N SOURCE...: starts an interpreter N times, from Py_Initialize to Py_Finalize.
 * In between, the host allocates all memory that the last one freed, so that the next interpreter
 * lies elsewhere.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* Allocates 16 MiB in pieces small enough for every gap. */
static void take_holes(void)
{
	for (int i = 0; i < 1 << 15; i++) {
		if (!malloc(512))
			abort();
	}
}

int main(int argc, char **argv)
{
	void (*initialize)(void);
	int (*run)(const char *);
	int (*finalize)(void);
	void *library;

	if (argc < 4)
		return 2;
	library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	*(void **)&initialize = dlsym(library, "Py_Initialize");
	*(void **)&run = dlsym(library, "PyRun_SimpleString");
	*(void **)&finalize = dlsym(library, "Py_FinalizeEx");
	if (!initialize || !run || !finalize)
		return 2;
	for (int n = atoi(argv[2]); n > 0; n--) {
		initialize();
		for (int i = 3; i < argc; i++) {
			if (run(argv[i]))
				return 1;
		}
		if (finalize())
			return 1;
		take_holes();
	}
	return 0;
}
