/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that gives up system calls (seccomp). What a filter allows cannot be asked without
 * asking for too much, so: under a filter that was there before, the shim makes no system call that
 * CPython does not make by itself; from the moment that the program installs one of its own, none
 * at all.
 */
#ifndef SHIM_SANDBOX_H
#define SHIM_SANDBOX_H

#include <stdbool.h>

/* Whether the program has installed a filter since it was started. Any thread. */
bool sandbox_is_closed(void);

/* The program installs one now. Any thread, also in a signal handler. */
void sandbox_close(void);

#endif
