/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "option.h"

#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 24

/* The names in formats.def, for completion and for --help. */
#define FORMAT(name, writer, flags) name " "
static const char option_formats[] =
#include "formats.def"
	;
#undef FORMAT
#define FORMAT(name, writer, flags) " " name
static const char option_formats_help[] = "one of these, the first by default:"
#include "formats.def"
	;
#undef FORMAT

#define REPORT false
#define ALONE true
#define OPTION(letter, name, argument, action, alone, completion, help) \
	{ letter, name, argument, completion, help, alone },
const struct option_row option_rows[OPTION_ROWS] = {
#include "options.def"
};
#undef OPTION

void option_list(struct option_list *l, const char *first, const struct option *more)
{
	struct option *to = l->option;
	char *letter = stpcpy(l->letters, first);

	for (int i = 0; i < OPTION_ROWS; i++) {
		const struct option_row *row = &option_rows[i];

		*to++ = (struct option){ row->name, row->argument ? required_argument : no_argument,
					 NULL, row->letter ? row->letter : OPTION_FIRST + i };
		if (row->letter)
			*letter++ = row->letter;
		if (row->letter && row->argument)
			*letter++ = ':';
	}
	*letter = '\0';
	while (more && more->name)
		*to++ = *more++;
	*to = (struct option){ 0 };
}

const struct option_row *option_row(int value)
{
	for (int i = 0; i < OPTION_ROWS; i++) {
		if (value == (option_rows[i].letter ? option_rows[i].letter : OPTION_FIRST + i))
			return &option_rows[i];
	}
	return NULL;
}

int option_next(int argc, char *const *argv, const struct option_list *l, int *at)
{
	FILE *real = stderr;
	char *text = NULL;
	size_t n_bytes = 0;
	FILE *said = open_memstream(&text, &n_bytes);
	int option;

	stderr = said ? said : real; /* a variable in glibc; getopt writes its errors there */
	option = getopt_long(argc, argv, l->letters, l->option, at);
	stderr = real;
	if (said)
		fclose(said);
	if (n_bytes)
		fprintf(stderr, "%.*s (see --help)\n", (int)strcspn(text, "\n"), text);
	free(text);
	return option;
}

void option_print_help(FILE *to)
{
	for (int i = 0; i < OPTION_ROWS; i++) {
		const struct option_row *row = &option_rows[i];
		const char *help = row->help;
		int n = row->letter ? fprintf(to, "  -%c, --%s", row->letter, row->name)
				    : fprintf(to, "      --%s", row->name);

		if (row->argument)
			n += fprintf(to, " %s", row->argument);
		if (!help && i + 1 < OPTION_ROWS)
			fprintf(to, ", --%s", option_rows[++i].name);
		for (; help && *help; help += strcspn(help, "\n"), help += *help == '\n') {
			fprintf(to, "%*s%.*s", n < HELP_COLUMN ? HELP_COLUMN - n : 1, "",
				(int)strcspn(help, "\n"), help);
			if (help[strcspn(help, "\n")])
				fputc('\n', to);
			n = 0;
		}
		fputc('\n', to);
	}
}

void option_print_rows(FILE *to, bool report)
{
	for (int i = 0; i < OPTION_ROWS; i++) {
		const struct option_row *row = &option_rows[i];

		if (!report || !row->alone)
			fprintf(to, "%c %s %s %s\n", row->letter ? row->letter : '-', row->name,
				row->argument ? row->argument : "-",
				row->completion ? row->completion : "");
	}
}
