/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the other parts of pyshim are: beside this program, as in the build tree, or where
 * `make install` puts them, going from there.
 */
#ifndef LAUNCHER_PLACES_H
#define LAUNCHER_PLACES_H

struct places {
	char *shim;   /* libpyshim.so, absolute */
	char *reader; /* pyshim-read, absolute */
};

/* 0, or -1 when it has been said what is missing. */
int places_find(struct places *p);
void places_fini(struct places *p);

#endif
