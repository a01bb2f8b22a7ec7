/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishes the name of the calling thread, under its number. Called by that thread, with the GIL.
 * Must not run Python code; keeps the pending exception.
 */
#ifndef SHIM_THREADNAME_H
#define SHIM_THREADNAME_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Prepares the functions below. Called once for each interpreter that is initialised, with no
 * exception pending.
 */
void threadname_find(void);

/*
 * Publishes the name until Python's name is known: "MainThread" for the main thread, and the
 * operating system's name for any other.
 */
void threadname_publish_native(uint32_t number);

/*
 * Publishes threading.Thread.name; the first time in a forked child, the one that it had in the
 * parent. False: `threading` does not know the thread (yet).
 */
bool threadname_publish_python(uint32_t number);

#endif
