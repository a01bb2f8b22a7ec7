/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages of the shim on stderr, one line each, by write(2); never through a stdio stream. Keeps
 * errno. Any thread, with or without the GIL.
 */
#ifndef SHIM_LOG_H
#define SHIM_LOG_H

#include <stdbool.h>

/*
 * Writes only if PYSHIM_DEBUG is set, and nothing once the program has installed a seccomp filter.
 */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Writes always, because the user must know: a setting is wrong or cannot be used, and the program
 * runs unprofiled.
 */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

void log_set_debug(bool on);

#endif
