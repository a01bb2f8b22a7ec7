/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints one table of the processes of many sources, instead of a preamble for each: children below
 * their parents, and then the facts about all of them. text.c calls it. It owns no state. It must
 * not change the sources.
 */
#ifndef READER_PROCESS_TREE_H
#define READER_PROCESS_TREE_H

#include <stdio.h>

#include "preamble.h"

/* More sources than this are shown in a table. */
#define PROCESS_TREE_BEYOND 3

/* `columns`: the width of lines; 0: commands are cut to a fixed length. Returns 0 or -ENOMEM. */
int process_tree_print(FILE *to, const struct source *sources, size_t n, size_t columns);

#endif
