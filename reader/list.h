/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --list and --clean: the recordings of a folder.
 */
#ifndef READER_LIST_H
#define READER_LIST_H

#include <stdio.h>

/* Prints a line for each recording in the folder, by PID. 0 or -errno: the folder cannot be read. */
int list_print(FILE *to, const char *dir);

/*
 * Removes those of ended processes, and says which on `to`. Files of other users and files that
 * are no recordings stay. 0 or -errno.
 */
int list_clean(FILE *to, const char *dir);

#endif
