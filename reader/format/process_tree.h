/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many sources -> one table of their processes, in place of a preamble for each: children below
 * their parents, and what is to be said of all of them once. Pure but for the stream.
 */
#ifndef READER_PROCESS_TREE_H
#define READER_PROCESS_TREE_H

#include <stdio.h>

#include "preamble.h"

/* More sources than this have a table. */
#define PROCESS_TREE_BEYOND 3

/* `columns`: how wide lines may be; 0: commands are cut to a fixed length. 0 or -ENOMEM. */
int process_tree_print(FILE *to, const struct source *sources, size_t n, size_t columns);

#endif
