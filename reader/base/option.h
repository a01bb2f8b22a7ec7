/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The options of pyshim-read (options.def), for pyshim-read itself and for the launcher. Owns the
 * constant table of them. Both programs call it when they start, from one thread. It must not act
 * on an option.
 */
#ifndef READER_OPTION_H
#define READER_OPTION_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

struct option_row {
	char letter; /* 0: none */
	const char *name;
	const char *argument;	/* its name in --help; NULL: the option takes no argument */
	const char *completion; /* see options.def */
	const char *help;
	bool alone; /* only for pyshim-read: the launcher refuses it */
};

#define OPTION(letter, name, argument, action, launcher, completion, help) +1
enum {
	OPTION_ROWS = 0
#include "options.def"
};
#undef OPTION

extern const struct option_row option_rows[OPTION_ROWS];

/* For rows without a letter, getopt_long returns OPTION_FIRST plus the row's index. */
#define OPTION_FIRST 256

/* Arguments for getopt_long: all rows, with room for 7 options of the program, and the letters. */
struct option_list {
	struct option option[OPTION_ROWS + 8];
	char letters[2 * OPTION_ROWS + 2];
};

/*
 * Fills in `l`. The letters begin with `first`, "" or "+". `more` are options of the program
 * itself, ended by { 0 }, or NULL.
 */
void option_list(struct option_list *l, const char *first, const struct option *more);

/* Returns the row of a value that getopt_long returned, or NULL. */
const struct option_row *option_row(int value);

/* Calls getopt_long. Adds a hint to its error message. `at` is its longindex and may be NULL. */
int option_next(int argc, char *const *argv, const struct option_list *l, int *at);

/* Prints the lines of all rows for --help. */
void option_print_help(FILE *to);

/*
 * Prints a line for each row, for completion: letter or -, name, argument or -, completion. With
 * `report`, only the rows that the launcher accepts.
 */
void option_print_rows(FILE *to, bool report);

#endif
