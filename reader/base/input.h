/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standard input as a source ("-"). It may be a pipe, so it is copied to a file in private memory
 * and read like other files. Owns that copy until the process ends. All that open sources call it,
 * from one thread. It must read standard input only once.
 */
#ifndef READER_INPUT_H
#define READER_INPUT_H

#include "error.h"

/*
 * Returns the path to open for a source: `name`, or for "-" the path of the copy. NULL if it cannot
 * be copied, because it is a terminal or longer than 8 GiB, or on failure; `error` is set then.
 */
const char *input_path(const char *name, struct error *error);

#endif
