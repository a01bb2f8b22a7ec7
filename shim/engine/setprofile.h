/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program's own calls of sys.setprofile. CPython tells the function that was just set that
 * sys.setprofile returns, if the call was watched when it began. Alone it would not have been, but
 * with the shim it is, and `python -m profile` ends with an AssertionError at an event so odd. So
 * that one event is kept from it.
 *
 * All calls need the GIL.
 */
#ifndef SHIM_SETPROFILE_H
#define SHIM_SETPROFILE_H

#include "python/pyapi.h"

/*
 * A C function is seen for the first time: if it is sys.setprofile, it is called through us from
 * now on.
 */
void setprofile_meet(struct py_method_def *def, PyObject *self);

/* Whether this is one that is called through us. */
bool setprofile_is(const struct py_method_def *def);

/* The program calls `def`, the next call that this thread makes, and the shim was told of it. */
void setprofile_called(const struct py_method_def *def);

#endif
