/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line. main.c calls it once. It owns nothing: texts are parts of argv. It prints only
 * --help, --version, --options and messages about wrong usage, and must not open a source.
 */
#ifndef READER_OPTIONS_H
#define READER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "calibrate/calibrate.h"
#include "format/registry.h"
#include "load/reading.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_LOSS = 3 };

struct options {
	const struct format *format;
	struct show show;
	const char *output;   /* NULL: standard output */
	const char *snapshot; /* where to copy the source to; NULL: a report is wanted */
	struct restriction restriction[64];
	const char *sources_from; /* a file that lists more; "-": standard input; or NULL */
	char **source;
	size_t n_sources;
	struct request request;
	bool calibrate;
	struct calibrate_request calibration;
	const char *events;	 /* as it was given; NULL: it was not */
	const char *min, *depth; /* as above */
	bool strict, force, wait, list, clean, browse, tree;
};

/* Returns -1 to continue, or the exit code. */
int options_parse(struct options *o, int argc, char **argv);

#endif
