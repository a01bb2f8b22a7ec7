/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the interpreter: when the shim is loaded, or later, when the program opens a libpython. Any
 * thread, without the GIL. Must not do anything in programs that are not Python.
 */
#ifndef SHIM_PRELOAD_H
#define SHIM_PRELOAD_H

#include <stdbool.h>

/* True until an interpreter is found: objects that the program opens must be searched. */
extern bool preload_searching __attribute__((visibility("hidden")));

/* Searches the objects that were opened since the last call. Any thread. Keeps errno. */
void preload_search(void);

#endif
