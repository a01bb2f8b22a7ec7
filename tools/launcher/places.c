/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "places.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "say.h"

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

static int missing(const char *name, const char *folder)
{
	say("find %s: found none in %s and in %s from there, expected it where `make` or "
	    "`make install` puts it",
	    name, folder, PYSHIM_LIBDIR_FROM_BINDIR);
	return -1;
}

int places_find(struct places *p)
{
	char folder[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);

	p->shim = p->reader = NULL;
	if (n < 0) {
		say("read /proc/self/exe: %s, expected the path of this program", strerror(errno));
		return -1;
	}
	folder[n] = '\0';
	*strrchr(folder, '/') = '\0';
	p->reader = look_in(folder, ".", "pyshim-read");
	if (!p->reader)
		return missing("pyshim-read", folder);
	p->shim = look_in(folder, ".", "libpyshim.so");
	if (!p->shim)
		p->shim = look_in(folder, PYSHIM_LIBDIR_FROM_BINDIR, "libpyshim.so");
	return p->shim ? 0 : missing("libpyshim.so", folder);
}

void places_fini(struct places *p)
{
	free(p->shim);
	free(p->reader);
	p->shim = p->reader = NULL;
}
