/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that the target starts without the shim, because it gives them another environment or
 * they are setuid. They are in no report, so the recording counts them and names the first ones.
 *
 * May be called by any thread, without the GIL, and in the child of a vfork beside other threads.
 * So it must not allocate or lock, and the C library's functions are looked up when the shim is
 * loaded. If nothing is recorded, a call takes one comparison.
 */
#ifndef SHIM_EXEC_H
#define SHIM_EXEC_H

#include <stdbool.h>

/* Called when the shim is loaded, before anything else can call the functions below. */
void exec_init(void);

/* True if a program that is started with this environment must be counted. Keeps errno. */
bool exec_is_to_be_counted(const char *path, char *const *envp);

/* Count a program, and take that back if it did not start: its name is replaced by the next one. */
void exec_count(const char *path);
void exec_uncount(void);

#endif
