/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishes what the calling thread is called, under its number. Needs the GIL; runs no Python code
 * and leaves the pending exception as it is.
 */
#ifndef SHIM_THREADNAME_H
#define SHIM_THREADNAME_H

#include <stdbool.h>
#include <stdint.h>

/* For what is below. Once for each interpreter that is initialised, with no exception pending. */
void threadname_find(void);

/*
 * Until Python's name is known: what Python will call the main thread, and what the operating
 * system calls any other.
 */
void threadname_publish_native(uint32_t number);

/*
 * threading.Thread.name; the first time in a forked child, what it was in the parent. False:
 * `threading` does not know the thread (yet).
 */
bool threadname_publish_python(uint32_t number);

#endif
