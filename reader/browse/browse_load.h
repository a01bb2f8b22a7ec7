/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads what the browser shows: a profile and the lines that name its files, or the error that
 * pstats would report. browse.c calls it. It owns the profile and these lines. It must not print
 * anything that Python's browser would not print, except the preamble of a recording.
 */
#ifndef READER_BROWSE_LOAD_H
#define READER_BROWSE_LOAD_H

#include <stdbool.h>
#include <stdio.h>

#include "load/sources.h"

struct browse_options {
	struct request request;
	bool exceptions;     /* a column of calls that ended by an exception */
	bool quiet, verbose; /* about the preamble of a recording */
};

struct loaded {
	struct sum sum;
	char *files; /* a line for each */
	size_t n_files_bytes;
};

struct load_error {
	int os_error;	  /* errno if the file could not be opened; else 0, and ... */
	char words[4608]; /* ... another error, with Python's text if it is known */
};

/*
 * Reads the recordings or the file that `name` stands for. Returns 0, or -1 with the error in `e`
 * and an empty `l`. Prints the preamble of a recording.
 */
int loaded_open(struct loaded *l, struct text name, const struct browse_options *options,
		struct load_error *e);

/* Adds `more` as pstats.Stats.add does. 0 or -errno. */
int loaded_add(struct loaded *l, const struct loaded *more);

/* Prints the lines above a report, and an empty line. */
void loaded_put_files(const struct loaded *l, FILE *to);

void loaded_close(struct loaded *l);

#endif
