/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --list and --clean: the recordings of a folder. Nothing is removed whose process may still run.
 */
#ifndef READER_LIST_H
#define READER_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Prints a line for each recording in the folder, by PID, and for those of commands that the
 * launcher runs, in folders of their own in it; those of other users with `force`, else how many
 * there are. 0 or -errno: the folder cannot be read.
 */
int list_print(FILE *to, const char *dir, bool force);

/*
 * Removes the recordings of ended processes, those of another format and those cut short too, and
 * with what it has left the folder of a launcher that was killed, and says which on `to`. With
 * `force` also those of other users, and those whose process cannot be seen from here; else it says
 * how many of them stay. What is no recording stays. 0 or -errno.
 */
int list_clean(FILE *to, const char *dir, bool force);

/*
 * The recordings of the process that has this PID, or had it last, in the order in which they were
 * begun: more than one where it called execve; also of one that the launcher has started. 0,
 * -ENOENT where there is none, or -errno. The caller frees each and all.
 */
int list_of_pid(const char *dir, const char *pid, char ***paths, size_t *n_paths);

#endif
