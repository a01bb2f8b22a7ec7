/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options of pyshim-read (options.def), for pyshim-read itself and for the launcher.
 */
#ifndef READER_OPTION_H
#define READER_OPTION_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

struct option_row {
	char letter; /* 0: none */
	const char *name;
	const char *argument;	/* what --help calls it; NULL: it takes none */
	const char *completion; /* see options.def */
	const char *help;
	bool alone; /* of pyshim-read alone: the launcher refuses it */
};

#define OPTION(letter, name, argument, action, launcher, completion, help) +1
enum {
	OPTION_ROWS = 0
#include "options.def"
};
#undef OPTION

extern const struct option_row option_rows[OPTION_ROWS];

/* What getopt_long returns for rows without a letter: OPTION_FIRST and the row's index. */
#define OPTION_FIRST 256

/* For getopt_long: the options of all rows, with room for `n_more` at the end, and the letters. */
struct option_list {
	struct option option[OPTION_ROWS + 8];
	char letters[2 * OPTION_ROWS + 2];
};

/* `first`: what the letters begin with, "" or "+". `more`: the program's own, ended by { 0 }. */
void option_list(struct option_list *l, const char *first, const struct option *more);

/* The row that a value of getopt_long's stands for, or NULL. */
const struct option_row *option_row(int value);

/* As getopt_long, but that an error ends with where to look; `at` may be NULL. */
int option_next(int argc, char *const *argv, const struct option_list *l, int *at);

/* The lines of --help on all rows. */
void option_print_help(FILE *to);

/*
 * A line for each row, for completion: letter or -, name, argument or -, completion. `report`: only
 * those that the launcher takes.
 */
void option_print_rows(FILE *to, bool report);

#endif
