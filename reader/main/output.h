/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was read -> the report, in its format, on standard output or in a file.
 */
#ifndef READER_OUTPUT_H
#define READER_OUTPUT_H

#include "load/reading.h"
#include "options.h"

/*
 * 0 or -errno, perhaps with the reason in `e`. A file that there is is replaced when the new one is
 * whole; a device or a pipe is written to.
 */
int output_write(const struct reading *r, const struct options *o, struct error *e);

#endif
