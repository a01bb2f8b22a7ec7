/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leaves out what a report is not to show. Pure: profile -> profile.
 */
#ifndef READER_SHAPE_H
#define READER_SHAPE_H

#include "profile.h"

/* All of who called whom. 0 or -ENOMEM, then `p` is as it was. */
int shape_no_subcalls(struct profile *p);

/*
 * C functions, as if they had not been recorded: their own time is their callers', and what they
 * called was called by the Python function that called them. Where a C function has several callers
 * and still is a caller itself (rebuild.h tells when), it is not known whose call that was: the C
 * function then stays there as a caller, without an entry of its own. What has several callers
 * shares the time of the C functions that it called out among them by the time in what it called. 0
 * or -ENOMEM, then `p` is as it was.
 */
int shape_no_builtins(struct profile *p);

#endif
