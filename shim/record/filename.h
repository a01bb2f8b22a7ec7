/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The name of a recording: PYSHIM_DIR/pyprof.PID, and pyprof.PID.1, .2, ... for others of the same
 * PID: of dead processes, of programs that this process ran before execve(2), and of processes in
 * other PID namespaces. Called once for each recording, by the thread that begins it, with the GIL.
 *
 * Must not rename or remove a file, unless it belongs to this user and to this process, or to a
 * process that is certainly dead.
 */
#ifndef SHIM_FILENAME_H
#define SHIM_FILENAME_H

#include <stddef.h>

#include "pyprof/format.h"

/*
 * Creates the file of this process's recording, which the header describes, under a new name, and
 * stores the name in `path`. Returns the descriptor, or -errno.
 */
int filename_create(char *path, size_t cap, const struct pyprof_header *own);

/*
 * Writes into the header how many programs the process ran before, as the last filename_create
 * found.
 */
void filename_note_former(struct pyprof_header *h);

/*
 * Renames the recording at `old`, whose process has ended, to the plain name of this process, which
 * the header describes, and stores that in `path`. Returns 0, or -errno if it keeps its name.
 */
int filename_take(char *path, size_t cap, const char *old, const struct pyprof_header *own);

#endif
