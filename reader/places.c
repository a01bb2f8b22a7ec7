/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "places.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* From BINDIR; the Makefile works it out. */
#ifndef PYSHIM_LIBDIR_FROM_BINDIR
#define PYSHIM_LIBDIR_FROM_BINDIR "../lib"
#endif

/* FOLDER/PLACE/NAME without links and dots, or NULL. */
static char *look_in(const char *folder, const char *place, const char *name)
{
	char *path, *real;

	if (asprintf(&path, "%s/%s/%s", folder, place, name) < 0)
		return NULL;
	real = realpath(path, NULL);
	free(path);
	return real;
}

char *places_find(const char *name)
{
	char folder[PATH_MAX], *found;
	ssize_t n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);

	if (n < 0)
		return NULL;
	folder[n] = '\0';
	*strrchr(folder, '/') = '\0';
	found = look_in(folder, ".", name);
	return found ? found : look_in(folder, PYSHIM_LIBDIR_FROM_BINDIR, name);
}
