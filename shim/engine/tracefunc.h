/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What spawn.c needs of the tracefunc engine to bring it to other threads. Needs the GIL.
 */
#ifndef SHIM_TRACEFUNC_H
#define SHIM_TRACEFUNC_H

#include "python/pyapi.h"

/* What every thread's profile function should be now; NULL: none, or another engine runs. */
py_tracefunc tracefunc_wanted(void);

/* What it was before that: a thread that still has this one has none of the program's own. */
py_tracefunc tracefunc_former(void);

/* Whether the calling thread's function is being set by us, through the C-API. */
bool tracefunc_sets(void);

/* Makes it the calling thread's, or another's; a program's own is left there. */
void tracefunc_set_here(void);
void tracefunc_set_in(void *thread);

#endif
