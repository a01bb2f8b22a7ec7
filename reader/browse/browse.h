/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --browse: the statistics browser of `python -m pstats`, which takes recordings and PIDs as well.
 * Reads commands from standard input and prints what that one does.
 *
 * Where an exception would end Python's, a line on standard error says what is wrong; then a
 * session on a terminal goes on, and a script ends.
 */
#ifndef READER_BROWSE_H
#define READER_BROWSE_H

#include <stddef.h>

#include "browse_load.h"

/* Reads the first source and adds the others, in their order. 0, or -1 where a script failed. */
int browse(char *const *source, size_t n, const struct browse_options *options);

#endif
