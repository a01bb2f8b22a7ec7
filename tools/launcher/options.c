/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "say.h"

#ifndef PYSHIM_VERSION
#define PYSHIM_VERSION "unknown"
#endif

static const char usage[] =
	"usage: pyshim [options] [--] COMMAND [ARGUMENT]...\n"
	"\n"
	"Runs COMMAND. When it has ended, reports on all Python processes of it and its children, on\n"
	"standard error. Ends with COMMAND's exit status or signal.\n"
	"\n"
	"  -o, --output FILE     write the report there (pstats, if no format is given)\n"
	"  -s, --sort KEY        and all other options of pyshim-read that are about a report\n"
	"                        (see pyshim-read --help)\n"
	"      --text            print the text report, too, if -o writes a file\n"
	"      --keep            keep the recordings, and say where they are\n"
	"  -v, --verbose         say at the start where the recordings are\n"
	"      --version, --help\n"
	"\n"
	"Exit status: COMMAND's, if that is not 0; else 0, or 1 if a report or FILE could not be\n"
	"written, 3 on a loss with --strict. 2: wrong usage, 126: COMMAND cannot be run, 127: no such\n"
	"COMMAND. Recordings are removed, except with --keep and in PYSHIM_DIR, if that is set.\n";

/* Options of the launcher itself. */
enum { OPT_KEEP = 1024, OPT_TEXT };

static const struct option own_options[] = {
	{ "keep", no_argument, NULL, OPT_KEEP },
	{ "text", no_argument, NULL, OPT_TEXT },
	{ 0 },
};

/* Names are written in full: an abbreviation may be ambiguous to pyshim-read. */
static int hand_on(struct options *o, const char *name, const char *argument)
{
	char *word;
	int n = argument ? asprintf(&word, "--%s=%s", name, argument)
			 : asprintf(&word, "--%s", name);

	if (n < 0) {
		say("read --%s: out of memory", name);
		return EXIT_FAILED;
	}
	o->reader[o->n_reader++] = word;
	return -1;
}

/* Handles an option of pyshim-read. */
static int parse_readers(struct options *o, const struct option_row *row)
{
	const char *name = row->name;

	if (!strcmp(name, "help")) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	if (!strcmp(name, "version")) {
		puts("pyshim " PYSHIM_VERSION);
		return EXIT_OK;
	}
	if (row->alone) {
		say("read --%s: found an option that only pyshim-read has, expected one for a report",
		    name);
		return EXIT_USAGE;
	}
	o->verbose |= !strcmp(name, "verbose");
	o->browse |= !strcmp(name, "browse");
	if (!strcmp(name, "output")) {
		o->output = true;
		o->output_is_file = strcmp(optarg, "-") != 0;
	}
	o->format |= !strcmp(name, "format");
	return hand_on(o, name, row->argument ? optarg : NULL);
}

static int parse_option(struct options *o, int option)
{
	const struct option_row *row = option_row(option);

	if (row)
		return parse_readers(o, row);
	if (option == OPT_KEEP)
		o->keep = true;
	else if (option == OPT_TEXT)
		o->text = true;
	else
		return EXIT_USAGE;
	return -1;
}

/* --options: for tools/completion.bash only. */
static int print_options(void)
{
	option_print_rows(stdout, true);
	for (const struct option *own = own_options; own->name; own++)
		printf("- %s -\n", own->name);
	return EXIT_OK;
}

/* "-o -" without -f means text, which a terminal can show; with a file pstats is the default. */
static int complete(struct options *o)
{
	return o->output && !o->output_is_file && !o->format ? hand_on(o, "format", "text") : -1;
}

static int check_together(const struct options *o)
{
	if (!o->text || o->output_is_file)
		return -1;
	say("read --text: found no -o FILE, expected one: without it only one report is written "
	    "(see --help)");
	return EXIT_USAGE;
}

int options_parse(struct options *o, int argc, char **argv)
{
	struct option_list list;
	int option, status = -1;

	memset(o, 0, sizeof(*o));
	/*
	 * An argument becomes one word at most, except letters: "-qv" becomes two. complete() adds
	 * one more.
	 */
	for (int i = 1; i < argc; i++)
		o->n_reader += strlen(argv[i]);
	o->reader = calloc(o->n_reader + 2, sizeof(*o->reader));
	o->n_reader = 0;
	if (!o->reader) {
		say("read options: out of memory");
		return EXIT_FAILED;
	}
	if (argc == 2 && !strcmp(argv[1], "--options"))
		return print_options();
	/* "+": parsing stops at the first word that is not an option, which is the command. */
	option_list(&list, "+", own_options);
	while (status < 0 && (option = option_next(argc, argv, &list, NULL)) != -1)
		status = parse_option(o, option);
	if (status < 0)
		status = check_together(o);
	if (status < 0)
		status = complete(o);
	if (status < 0 && optind == argc) {
		say("read COMMAND: found none, expected a program to run (see --help)");
		status = EXIT_USAGE;
	}
	o->command = argv + optind;
	return status;
}

void options_fini(struct options *o)
{
	while (o->n_reader)
		free(o->reader[--o->n_reader]);
	free(o->reader);
	o->reader = NULL;
}
