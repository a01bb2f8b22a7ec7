/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * 3.8 to 3.11: C functions that take the profile hook. They are called through functions of ours,
 * by the interpreter's own PyMethodDef, so that the hook is looked at when they return and no event
 * is missed where they leave it free. Which they are is known by name, or because one was seen to
 * take it. This is no list that must be whole: see taken.h.
 *
 * All calls need the GIL of the main interpreter. What is called through us is called as it would
 * be without: same arguments, result, exception and errno.
 */
#ifndef SHIM_TAKERS_H
#define SHIM_TAKERS_H

#include <stdint.h>

#include "python/pyapi.h"

/*
 * A C function is seen for the first time. If it may take the hook by its name, it and its kin of
 * such names, which may be called first while nothing is seen, are called through us from now on.
 */
void takers_meet(struct py_method_def *def, PyObject *self);

/* The function of this number (as a record has it; 0: none) took the hook. */
void takers_learn(uint32_t fn);

#endif
