/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line: options of pyshim-read, which are handed on to it, and a command. Prints
 * nothing but what it is asked for (--help, --version) and what is wrong.
 */
#ifndef LAUNCHER_OPTIONS_H
#define LAUNCHER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_LOSS = 3 };

struct options {
	char **reader; /* options for pyshim-read, one word each, "--name" or "--name=argument" */
	size_t n_reader;
	char **command; /* ends in NULL; a part of argv */
	bool verbose;
	bool keep;   /* the recordings stay where they are */
	bool text;   /* the text report as well as the file */
	bool browse; /* the reader will want standard input */
	bool output; /* ... and perhaps standard output, for which - and /dev/stdout stand */
	bool output_is_file; /* not - */
	bool format;
};

/* -1: go on; else the exit code. */
int options_parse(struct options *o, int argc, char **argv);
void options_fini(struct options *o);

#endif
