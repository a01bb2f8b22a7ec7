/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What spawn.c needs of the tracefunc engine to bring it to other threads. Needs the GIL.
 */
#ifndef SHIM_ENGINE_TRACEFUNC_H
#define SHIM_ENGINE_TRACEFUNC_H

#include "pyapi.h"

/* What every thread's profile function should be now; NULL: none, or another engine runs. */
py_tracefunc tracefunc_wanted(void);

/* Makes it the calling thread's. */
void tracefunc_set_here(void);

#endif
