/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --browse: the statistics browser of `python -m pstats`, for recordings and PIDs as well. main.c
 * calls it once for a process. It owns the session: standard input, SIGINT and the profile. Its
 * output must be equal to that of Python's browser.
 *
 * If an exception would end Python's browser, a line on standard error reports the error. Then a
 * session on a terminal continues, and a script ends.
 */
#ifndef READER_BROWSE_H
#define READER_BROWSE_H

#include <stddef.h>

#include "browse_load.h"

/* Reads the first source and adds the others, in their order. 0, or -1 if a script failed. */
int browse(char *const *source, size_t n, const struct browse_options *options);

#endif
