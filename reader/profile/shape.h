/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leaves functions or callers out of a profile, for --no-subcalls and --no-builtins. Owns nothing
 * between calls. load/sources.c calls it when all sources are added up; one thread at a time. It
 * must not read anything but the profile.
 */
#ifndef READER_SHAPE_H
#define READER_SHAPE_H

#include "profile.h"

/* Leaves out all callers and callees. 0, or -ENOMEM with `p` unchanged. */
int shape_no_subcalls(struct profile *p);

/*
 * Leaves out C functions, as if they had not been recorded. Their self time goes to their callers.
 * Functions that they called get the Python function that called the C function as their caller.
 * 0, or -ENOMEM with `p` unchanged.
 *
 * A C function can still be a caller here if the target has folded its calls, or in a pstats file.
 * If it has several callers, it is not known for which of them it made a call. It then stays a
 * caller, without an entry of its own.
 *
 * A function gets the time of the C functions that it called. If it has several callers, that time
 * is divided among its edges in proportion to the time below it (cumulative minus self).
 */
int shape_no_builtins(struct profile *p);

#endif
