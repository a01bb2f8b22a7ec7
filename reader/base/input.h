/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standard input as a source: "-". It may be a pipe, so it is copied into private memory, once for
 * the process; what is read of it is then a file like any other.
 */
#ifndef READER_INPUT_H
#define READER_INPUT_H

#include "error.h"

/*
 * The path to open for a source of this name: of "-", one that leads to the copy. NULL: it cannot
 * be copied, and `error` says why.
 */
const char *input_path(const char *name, struct error *error);

#endif
