/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that the target starts without the shim, with an environment of its own for them or a
 * setuid one: counted in the recording, with the names of the first, for they are in no report.
 *
 * May be called in the child of a vfork, beside other threads: no allocation, no lock, and the C
 * library's functions are looked up when the shim is loaded. Where nothing is recorded, a call
 * costs a comparison.
 */
#ifndef SHIM_EXEC_H
#define SHIM_EXEC_H

#include <stdbool.h>

/* When the shim is loaded, before anything else can call them. */
void exec_init(void);

/*
 * Whether a program that is started with this environment is to be counted. errno stays as it is.
 */
bool exec_is_to_be_counted(const char *path, char *const *envp);

/* Counts it; and the other way round where it did not start: the next one takes its place. */
void exec_count(const char *path);
void exec_uncount(void);

#endif
