/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --list and --clean: the recordings of a folder.
 */
#ifndef READER_LIST_H
#define READER_LIST_H

#include <stddef.h>
#include <stdio.h>

/*
 * Prints a line for each recording in the folder, by PID, and for those of commands that the launcher runs,
 * in folders of their own in it. 0 or -errno: the folder cannot be read.
 */
int list_print(FILE *to, const char *dir);

/*
 * Removes those of ended processes and, with what it has left, the folder of a launcher that was killed, and
 * says which on `to`. Files of other users and files that are no recordings stay. 0 or -errno.
 */
int list_clean(FILE *to, const char *dir);

/*
 * The recordings of the process that had this PID last, in the order of their names: more than one
 * where it called execv; also of one that the launcher has started. 0, -ENOENT where there is none, or -errno. The caller frees each and all.
 */
int list_of_pid(const char *dir, const char *pid, char ***paths, size_t *n_paths);

#endif
