/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profile to the bytes of a pstats file, like Profile.dump_stats: a marshalled dict that pstats of
 * Python 2.7 and of each 3.x loads. Owns nothing; the caller owns the stream. format calls it, from
 * one thread. It must not change the profile.
 */
#ifndef READER_PSTATS_H
#define READER_PSTATS_H

#include <stdio.h>

#include "profile/profile.h"

/* Writes all listed functions, also those without calls, and flushes `to`. 0 or -errno. */
int pstats_write(FILE *to, const struct profile *p);

#endif
