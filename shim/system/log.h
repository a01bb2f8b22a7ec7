/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the shim says, on stderr, one line at a time, by write(2) alone. Keeps errno. Any thread.
 */
#ifndef SHIM_LOG_H
#define SHIM_LOG_H

#include <stdbool.h>

/* Says it only where PYSHIM_DEBUG is set. */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says it always: a setting is wrong, and the program runs unprofiled. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

void log_set_debug(bool on);

#endif
