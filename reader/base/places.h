/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the other parts of pyshim are: beside this program, as in the build tree, or where
 * `make install` puts them, going from there.
 */
#ifndef READER_PLACES_H
#define READER_PLACES_H

/* Of a part, "libpyshim.so": its absolute path without links, malloced; or NULL with errno. */
char *places_find(const char *name);

#endif
