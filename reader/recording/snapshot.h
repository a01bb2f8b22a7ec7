/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recording -> recording: one consistent copy, of a live one too. Each ring is as of one instant,
 * as a report has it; names and tables are written anew, and blocks as they are. The copy is read
 * like any other recording.
 */
#ifndef READER_SNAPSHOT_H
#define READER_SNAPSHOT_H

#include "base/error.h"

/*
 * Copies `source` into the file `path`, which takes its place when the copy is whole; "-" is
 * standard output. 0, or -errno with what is wrong in `error` as "verb object:
 * found, expected".
 */
int snapshot_write(const char *path, const char *source, struct error *error);

#endif
