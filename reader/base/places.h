/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the other parts of pyshim: in the folder of this program, as in the build tree, or in the
 * library folder of `make install`, relative to the former. Owns nothing. The launcher and
 * calibrate call it, from one thread. It must not search PATH or the current folder.
 */
#ifndef READER_PLACES_H
#define READER_PLACES_H

/*
 * Returns the absolute path, without symbolic links, of a part such as "libpyshim.so", for free().
 * NULL with errno set if it is missing.
 */
char *places_find(const char *name);

#endif
