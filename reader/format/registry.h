/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The formats of a report. A new one needs a row in base/formats.def and a writer, which prints all
 * reports of a reading to a stream. The command line finds formats here, and main/output.c calls
 * their writers. A writer owns no state, and must not change the reading.
 */
#ifndef READER_REGISTRY_H
#define READER_REGISTRY_H

#include "show.h"

#define FORMAT_HOLDS_ONE 1u	/* one report only: not with --threads and --each */
#define FORMAT_LISTS_THREADS 2u /* it names the threads of each source */
#define FORMAT_CONTEXTS 4u	/* it shows calling contexts: sources must be recordings */
#define FORMAT_TIMELINE 8u /* it shows single events, instead of a profile or beside contexts */

struct format {
	const char *name;
	format_writer *write;
	unsigned flags;
};

/* The format of that name, or NULL. The default is the first row's. */
const struct format *format_find(const char *name);
const struct format *format_default(void);

#endif
