/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The name of a recording: PYSHIM_DIR/pyprof.PID, and pyprof.PID.1, .2, ... for the recordings of
 * other programs that had the same PID. Called once for each recording, with the GIL held.
 */
#ifndef SHIM_FILENAME_H
#define SHIM_FILENAME_H

#include <stddef.h>
#include <stdint.h>

/*
 * Creates the recording of process `pid`, which started at `process_start` (0: unknown), under a
 * name that did not exist, and stores that in `path`. The descriptor, or -errno.
 */
int filename_create(char *path, size_t cap, int pid, uint64_t process_start);

/*
 * Gives the recording at `old`, whose process has ended, the plain name of process `pid`, and stores
 * that in `path`. 0 or -errno; then it keeps its name.
 */
int filename_take(char *path, size_t cap, const char *old, int pid, uint64_t process_start);

#endif
