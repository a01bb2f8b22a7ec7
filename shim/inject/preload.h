/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the interpreter: when the shim is loaded, or later, when the program opens a libpython.
 */
#ifndef SHIM_PRELOAD_H
#define SHIM_PRELOAD_H

#include <stdbool.h>

/* There is no interpreter yet, and objects that the program opens are to be looked at. */
extern bool preload_searching __attribute__((visibility("hidden")));

/* Looks at the objects that were opened since the last call. Any thread; errno stays as it is. */
void preload_search(void);

#endif
