/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "places.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* The path from BINDIR to the library folder. The Makefile computes it. */
#ifndef PYSHIM_LIBDIR_FROM_BINDIR
#define PYSHIM_LIBDIR_FROM_BINDIR "../lib"
#endif

/* Returns FOLDER/PLACE/NAME without symbolic links and dots, or NULL. */
static char *look_in(const char *folder, const char *place, const char *name)
{
	char *path, *real;

	if (asprintf(&path, "%s/%s/%s", folder, place, name) < 0)
		return NULL;
	real = realpath(path, NULL);
	free(path);
	return real;
}

/* Finds the path of this program; `path` has PATH_MAX bytes. Without /proc, uses AT_EXECFN. */
static bool find_self(char *path)
{
	const char *given = (const char *)getauxval(AT_EXECFN); /* NOLINT: an address */
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (n >= 0) {
		path[n] = '\0';
		return true;
	}
	return given && realpath(given, path);
}

char *places_find(const char *name)
{
	char folder[PATH_MAX], *found;

	if (!find_self(folder))
		return NULL;
	*strrchr(folder, '/') = '\0';
	found = look_in(folder, ".", name);
	return found ? found : look_in(folder, PYSHIM_LIBDIR_FROM_BINDIR, name);
}
