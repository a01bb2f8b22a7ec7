/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the browser reads: a profile with the lines that name its files, or what pstats says where
 * there is none.
 */
#ifndef READER_BROWSE_LOAD_H
#define READER_BROWSE_LOAD_H

#include <stdbool.h>
#include <stdio.h>

#include "load/sources.h"

struct browse_options {
	struct request request;
	bool exceptions;     /* a column of them */
	bool quiet, verbose; /* the preamble of a recording that is read */
};

struct loaded {
	struct sum sum;
	char *files; /* a line for each */
	size_t n_files_bytes;
};

struct load_error {
	int os_error;	  /* errno, where the file could not be opened; else 0, and ... */
	char words[4608]; /* ... what else is wrong, in Python's words if they are known */
};

/*
 * Reads the recordings or the file that `name` stands for. 0, or -1 with what is wrong in `e`; then
 * `l` holds nothing. Prints what is to be known of a recording.
 */
int loaded_open(struct loaded *l, struct text name, const struct browse_options *options,
		struct load_error *e);

/* Adds `more` as pstats.Stats.add does. 0 or -errno. */
int loaded_add(struct loaded *l, const struct loaded *more);

/* The lines above a report, with an empty one behind them. */
void loaded_put_files(const struct loaded *l, FILE *to);

void loaded_close(struct loaded *l);

#endif
