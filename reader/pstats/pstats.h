/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profile -> the bytes of a pstats file, as Profile.dump_stats writes them: a marshalled dict that
 * pstats of Python 2.7 and of every 3.x loads. Pure but for the stream.
 */
#ifndef READER_PSTATS_H
#define READER_PSTATS_H

#include <stdio.h>

#include "profile/profile.h"

/* Writes all listed functions, those without calls too, and flushes. 0 or -errno. */
int pstats_write(FILE *to, const struct profile *p);

#endif
