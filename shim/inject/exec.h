/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that the target starts without the shim, with an environment of its own for them or a setuid one:
 * counted in the recording, with the names of the first, for they are in no report.
 *
 * execv, execve, posix_spawn and posix_spawnp are interposed. Where nothing is recorded they cost a comparison.
 * They may run in the child of a vfork, beside other threads: so they allocate nothing, take no lock, and the real
 * functions are looked up when the shim is loaded.
 */
#ifndef SHIM_EXEC_H
#define SHIM_EXEC_H

/* When the shim is loaded, before anything else can call them. */
void exec_init(void);

#endif
