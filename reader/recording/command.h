/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line in a recording's header. Pure but for the stream.
 */
#ifndef READER_COMMAND_H
#define READER_COMMAND_H

#include <stddef.h>
#include <stdio.h>

#include "pyprof/format.h"

/* How much of it the header holds, the NUL behind the last argument included. */
size_t command_bytes(const struct pyprof_header *h);

/*
 * Prints it in one line that is safe for a terminal, `bytes` of it at most (0: all of it), without
 * a newline. "..." at the end shows that it is longer.
 */
void command_print(FILE *to, const struct pyprof_header *h, size_t bytes);

#endif
