/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The name of a recording: PYSHIM_DIR/pyprof.PID, and pyprof.PID.1, .2, ... for others of the same
 * PID: of dead processes, of the programs that this process was before execve(2), and of processes
 * in other PID namespaces. Called once for each recording, with the GIL held.
 *
 * Renamed or removed is only what belongs to this user and to this process, or to one that is
 * certainly dead.
 */
#ifndef SHIM_FILENAME_H
#define SHIM_FILENAME_H

#include <stddef.h>

#include "pyprof/format.h"

/*
 * Creates the recording of this process, which the header describes, under a name that did not
 * exist, and stores that in `path`. The descriptor, or -errno.
 */
int filename_create(char *path, size_t cap, const struct pyprof_header *own);

/* Writes into the header of what was created last how many programs the process was before. */
void filename_note_former(struct pyprof_header *h);

/*
 * Gives the recording at `old`, whose process has ended, the plain name of this process, which the
 * header describes, and stores that in `path`. 0 or -errno; then it keeps its name.
 */
int filename_take(char *path, size_t cap, const char *old, const struct pyprof_header *own);

#endif
