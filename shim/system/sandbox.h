/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of a process that gives up system calls (seccomp). The shim cannot ask what a filter
 * allows without risking a forbidden call. So under a filter that was there before, it makes no
 * system call that CPython does not make by itself. From the moment when the program installs a
 * filter, it makes none at all.
 */
#ifndef SHIM_SANDBOX_H
#define SHIM_SANDBOX_H

#include <stdbool.h>

/*
 * True if the program has installed a filter since it was started. Any thread, with or without the
 * GIL.
 */
bool sandbox_is_closed(void);

/* Called when the program is about to install a filter. Any thread; async-signal-safe. */
void sandbox_close(void);

#endif
