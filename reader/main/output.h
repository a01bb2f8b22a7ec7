/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a reading in its format, to standard output or into a file. main.c calls it. It owns the
 * output file, and must not leave one half written.
 */
#ifndef READER_OUTPUT_H
#define READER_OUTPUT_H

#include "load/reading.h"
#include "options.h"

/*
 * 0 or -errno, perhaps with the reason in `e`. An existing file is replaced when the new one is
 * complete; a device or a pipe is written to.
 */
int output_write(const struct reading *r, const struct options *o, struct error *e);

#endif
