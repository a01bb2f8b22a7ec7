/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program's own calls of sys.setprofile. If such a call was reported when it began, CPython
 * also reports its return, to the function that was just set. Without the shim the call would not
 * have been reported, and `python -m profile` ends with an AssertionError at this event. So the
 * shim withholds this one event.
 *
 * All functions need the GIL, and are called by the thread that had the event. They must not
 * withhold any other event.
 */
#ifndef SHIM_SETPROFILE_H
#define SHIM_SETPROFILE_H

#include "python/pyapi.h"

/*
 * Called when a C function is seen for the first time. If it is sys.setprofile, it is called
 * through the shim from now on.
 */
void setprofile_meet(struct py_method_def *def, PyObject *self);

/* True if this function is called through the shim. */
bool setprofile_is(const struct py_method_def *def);

/*
 * Called when the program calls `def`, the next call that this thread makes, and the shim got the
 * event.
 */
void setprofile_called(const struct py_method_def *def);

#endif
