/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recording to recording: writes one consistent copy, also of a live recording (--snapshot). Owns
 * nothing between calls. pyshim-read's main thread calls it. It must not change the source. Each
 * ring is as of one instant, as in a report. Names and tables are written again, blocks are copied.
 * The copy is read like any other recording.
 */
#ifndef READER_SNAPSHOT_H
#define READER_SNAPSHOT_H

#include "base/error.h"

/*
 * Copies `source` to `path`. A regular file is replaced when the copy is whole. Other files, and
 * standard output ("-"), are written to. 0, or -errno with `error` set. Ignores SIGXFSZ from then
 * on.
 */
int snapshot_write(const char *path, const char *source, struct error *error);

#endif
