/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The writers of all formats, as base/formats.def names them.
 */
#ifndef READER_WRITERS_H
#define READER_WRITERS_H

#include "show.h"

#define FORMAT(name, writer, flags) format_writer writer;
#include "base/formats.def"
#undef FORMAT

#endif
