/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When recording begins: an interpreter comes up, `__main__` starts, or the program asks for it.
 * Needs the GIL of the main interpreter.
 */
#ifndef SHIM_START_H
#define SHIM_START_H

/* An interpreter is being initialised; called from within, when `sys` exists. */
void start_interpreter(void);

#endif
