/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line: options of pyshim-read, which are handed on to it, and a command. main.c calls
 * it once. It owns the words that it makes. It prints only --help, --version, --options and
 * messages about wrong usage, and must not judge options of pyshim-read.
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
	bool keep;	     /* the recordings stay where they are */
	bool text;	     /* the text report in addition to the file */
	bool browse;	     /* the reader needs standard input */
	bool output;	     /* the reader may need standard output: FILE may be - or /dev/stdout */
	bool output_is_file; /* FILE is not - */
	bool format;
};

/* Returns -1 to continue, or the exit code. */
int options_parse(struct options *o, int argc, char **argv);
void options_fini(struct options *o);

#endif
