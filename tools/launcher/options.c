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
	"Runs COMMAND, and reports on the Python in it and in its children when it has ended. The\n"
	"report goes to standard error, and COMMAND's exit status or signal is given back.\n"
	"\n"
	"  -o, --output FILE     write the report there (pstats, where no format is given)\n"
	"  -s, --sort KEY        and all other options of pyshim-read (see pyshim-read --help),\n"
	"                        but --list, --clean, --snapshot, --calibrate, --keep-anyway\n"
	"                        and --python\n"
	"      --text            the text report, too, where -o writes a file\n"
	"      --keep            keep the recordings, and say where they are\n"
	"  -v, --verbose         say at the start where the recordings are\n"
	"      --version, --help\n"
	"\n"
	"Exit status: COMMAND's, where that is not 0; else 0, or 1 where a report or FILE could not be\n"
	"written, 3 on a loss with --strict. 2: wrong usage, 126: COMMAND cannot be run, 127: no such\n"
	"COMMAND. Recordings are removed, but kept with --keep, and in PYSHIM_DIR where that is set.\n";

enum {
	OPT_HELP = 256,
	OPT_VERSION,
	OPT_KEEP,
	OPT_TEXT,
	OPT_OF_READER, /* handed on */
	OPT_REFUSED,   /* there is nothing that it could mean here */
};

/* Those of pyshim-read: what is added there has its line here, which a test looks after. */
static const struct option long_options[] = {
	{ "format", required_argument, NULL, OPT_OF_READER },
	{ "output", required_argument, NULL, OPT_OF_READER },
	{ "sort", required_argument, NULL, OPT_OF_READER },
	{ "restrict", required_argument, NULL, OPT_OF_READER },
	{ "reverse", no_argument, NULL, OPT_OF_READER },
	{ "strip-dirs", no_argument, NULL, OPT_OF_READER },
	{ "qualnames", no_argument, NULL, OPT_OF_READER },
	{ "callers", no_argument, NULL, OPT_OF_READER },
	{ "callees", no_argument, NULL, OPT_OF_READER },
	{ "threads", no_argument, NULL, OPT_OF_READER },
	{ "thread", required_argument, NULL, OPT_OF_READER },
	{ "each", no_argument, NULL, OPT_OF_READER },
	{ "by-code", no_argument, NULL, OPT_OF_READER },
	{ "true-calls", no_argument, NULL, OPT_OF_READER },
	{ "cprofile-labels", no_argument, NULL, OPT_OF_READER },
	{ "exceptions", no_argument, NULL, OPT_OF_READER },
	{ "no-subcalls", no_argument, NULL, OPT_OF_READER },
	{ "no-builtins", no_argument, NULL, OPT_OF_READER },
	{ "bias", required_argument, NULL, OPT_OF_READER },
	{ "bare-time", required_argument, NULL, OPT_OF_READER },
	{ "browse", no_argument, NULL, OPT_OF_READER },
	{ "wait", no_argument, NULL, OPT_OF_READER },
	{ "check", no_argument, NULL, OPT_OF_READER },
	{ "strict", no_argument, NULL, OPT_OF_READER },
	{ "force", no_argument, NULL, OPT_OF_READER },
	{ "quiet", no_argument, NULL, OPT_OF_READER },
	{ "verbose", no_argument, NULL, OPT_OF_READER },
	{ "list", no_argument, NULL, OPT_REFUSED },
	{ "snapshot", required_argument, NULL, OPT_REFUSED },
	{ "clean", no_argument, NULL, OPT_REFUSED },
	{ "calibrate", required_argument, NULL, OPT_REFUSED },
	{ "python", required_argument, NULL, OPT_REFUSED },
	{ "names-from", required_argument, NULL, OPT_REFUSED },
	{ "relative-to", required_argument, NULL, OPT_REFUSED },
	{ "keep", no_argument, NULL, OPT_KEEP },
	{ "text", no_argument, NULL, OPT_TEXT },
	{ "keep-anyway", no_argument, NULL, OPT_REFUSED },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static const char *long_name_of(int letter)
{
	switch (letter) {
	case 'f':
		return "format";
	case 'o':
		return "output";
	case 's':
		return "sort";
	case 'r':
		return "restrict";
	case 'q':
		return "quiet";
	case 'v':
		return "verbose";
	}
	return NULL;
}

/* In full, so that pyshim-read need not know an abbreviation as the launcher does. */
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

static int parse_option(struct options *o, int option, const char *name)
{
	if (!name)
		name = long_name_of(option);
	switch (option) {
	case OPT_HELP:
		fputs(usage, stdout);
		return EXIT_OK;
	case OPT_VERSION:
		puts("pyshim " PYSHIM_VERSION);
		return EXIT_OK;
	case OPT_REFUSED:
		say("read --%s: found an option of pyshim-read alone, expected one for a report",
		    name);
		return EXIT_USAGE;
	case OPT_KEEP:
		o->keep = true;
		return -1;
	case OPT_TEXT:
		o->text = true;
		return -1;
	}
	o->verbose |= !strcmp(name, "verbose");
	o->browse |= !strcmp(name, "browse");
	if (!strcmp(name, "output")) {
		o->output = true;
		o->output_is_file = strcmp(optarg, "-") != 0;
	}
	o->format |= !strcmp(name, "format");
	return hand_on(o, name, optarg);
}

/* What is written to standard output is for reading, if nothing else is said. */
static int complete(struct options *o)
{
	return o->output && !o->output_is_file && !o->format ? hand_on(o, "format", "text") : -1;
}

static int check_together(const struct options *o)
{
	if (!o->text || o->output_is_file)
		return -1;
	say("read --text: found no -o FILE beside it, expected one: without it the report is text, or what -f "
	    "says (see --help)");
	return EXIT_USAGE;
}

int options_parse(struct options *o, int argc, char **argv)
{
	int option, status = -1, at = -1;

	memset(o, 0, sizeof(*o));
	/*
	 * Each option is one word here at most, but letters: "-qv" is two. One more is added at the
	 * end.
	 */
	for (int i = 1; i < argc; i++)
		o->n_reader += strlen(argv[i]);
	o->reader = calloc(o->n_reader + 2, sizeof(*o->reader));
	o->n_reader = 0;
	if (!o->reader) {
		say("read options: out of memory");
		return EXIT_FAILED;
	}
	/* "+": what follows the first word that is no option is the command's. */
	while (status < 0 &&
	       (option = option_next(argc, argv, "+f:o:s:r:qv", long_options, &at)) != -1) {
		status = option == '?'
				 ? EXIT_USAGE
				 : parse_option(o, option, at < 0 ? NULL : long_options[at].name);
		at = -1;
	}
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
