/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * 3.8 to 3.11: C functions that take the profile hook. The interpreter's own PyMethodDef is changed
 * so that they are called through the shim. The hook is checked when they return, and no event is
 * missed if they leave it free. They are known by name, or because one was seen to take the hook.
 * The list need not be complete: see taken.h.
 *
 * All calls need the GIL of the main interpreter, and are made by the thread that had the event.
 * They must not change the arguments, result, exception or errno of the functions called.
 */
#ifndef SHIM_TAKERS_H
#define SHIM_TAKERS_H

#include <stdint.h>

#include "python/pyapi.h"

/*
 * Called when a C function is seen for the first time. If its name says that it may take the hook,
 * it is called through the shim from now on. So are its neighbours of such names: they may be
 * called first while no events are seen.
 */
void takers_meet(struct py_method_def *def, PyObject *self);

/* Called when the function of this number took the hook (as in a record; 0: none). */
void takers_learn(uint32_t fn);

#endif
