/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists and removes the recordings of a folder (--list, --clean), and finds those of a PID. Owns
 * nothing between calls. main and load/sources.c call it, from one thread. It must not remove a
 * recording whose process runs or may still run, except the latter with `force`.
 */
#ifndef READER_LIST_H
#define READER_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Prints a line for each recording in the folder, sorted by name, which has the PID. Then does the
 * same for the folders in it that the launcher made. Recordings of other users are listed with
 * `force`, else counted. 0, or -errno if the folder cannot be read.
 */
int list_print(FILE *to, const char *dir, bool force);

/*
 * Removes the recordings of ended processes, and prints the names on `to`. This includes recordings
 * of another format and truncated ones. Also removes the folder of a launcher that was killed, if
 * nothing else is in it. With `force`, removes those of other users and those whose process cannot
 * be seen from here; else prints how many of them stay. Other files stay. 0 or -errno.
 */
int list_clean(FILE *to, const char *dir, bool force);

/*
 * Finds the recordings of the process that has this PID, or that had it last, in the order in which
 * they were begun. There are several if it called execve. Includes processes that the launcher
 * started. 0, -ENOENT if nothing is found, or -ENOMEM. If it returns 0, the caller frees each path
 * and the array.
 */
int list_of_pid(const char *dir, const char *pid, char ***paths, size_t *n_paths);

#endif
