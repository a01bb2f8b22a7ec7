/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decides when recording begins: when an interpreter is initialised, when `__main__` starts, or
 * when the program asks for it. Called with the GIL of the main interpreter, by the thread that
 * initialises it. Must leave errno and a pending exception unchanged.
 */
#ifndef SHIM_START_H
#define SHIM_START_H

/* Called while an interpreter is being initialised, from within, when `sys` exists. */
void start_interpreter(void);

#endif
