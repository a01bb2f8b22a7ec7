/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * embed_dlopen local|global LIBPYTHON SOURCE: a host that is not linked to Python, loads it late,
 * and finds each function by dlsym.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	void (*initialize)(void);
	int (*run)(const char *);
	int (*finalize)(void);
	void *library;

	if (argc != 4)
		return 2;
	library = dlopen(argv[2], RTLD_NOW | (strcmp(argv[1], "local") ? RTLD_GLOBAL : RTLD_LOCAL));
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	*(void **)&initialize = dlsym(library, "Py_Initialize");
	*(void **)&run = dlsym(library, "PyRun_SimpleString");
	*(void **)&finalize = dlsym(library, "Py_FinalizeEx");
	if (!initialize || !run || !finalize)
		return 2;
	initialize();
	return run(argv[3]) || finalize();
}
