/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When recording begins: an interpreter comes up, `__main__` starts, or the program asks for it.
 * Needs the GIL of the main interpreter.
 */
#ifndef SHIM_START_H
#define SHIM_START_H

#include <stdbool.h>

#include "python/pyapi.h"

/* An interpreter is being initialised; called from within, when `sys` exists. */
void start_interpreter(void);

/*
 * Whether recording begins with this frame, which has just been entered, or is about to be. `globals`
 * gives the frame's globals, and is asked only where that matters.
 */
bool start_is_due(PyObject *code, PyObject *(*globals)(void *), void *frame, bool entered);

/* Makes the recording. False: the engine is to go away. */
bool start_begin(void);

/* The recording has gone off: no more events. */
void start_give_up(void);

#endif
