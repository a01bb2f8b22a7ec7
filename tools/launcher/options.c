/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	"                        but --list, --clean, --snapshot, --calibrate and --python\n"
	"  -v, --verbose         say where the recordings are, too\n"
	"      --version, --help\n"
	"\n"
	"Exit status: COMMAND's, where that is not 0; else 0, or 1 where there is no report, 3 on a\n"
	"loss with --strict. 2: wrong usage, 126: COMMAND cannot be run, 127: there is none.\n"
	"Recordings are removed, but kept in PYSHIM_DIR where that is set.\n";

enum {
	OPT_HELP = 256,
	OPT_VERSION,
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
	{ "callers", no_argument, NULL, OPT_OF_READER },
	{ "callees", no_argument, NULL, OPT_OF_READER },
	{ "threads", no_argument, NULL, OPT_OF_READER },
	{ "thread", required_argument, NULL, OPT_OF_READER },
	{ "each", no_argument, NULL, OPT_OF_READER },
	{ "by-code", no_argument, NULL, OPT_OF_READER },
	{ "true-calls", no_argument, NULL, OPT_OF_READER },
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
	case '?': /* getopt_long has said what is wrong */
		return EXIT_USAGE;
	}
	o->verbose |= !strcmp(name, "verbose");
	o->browse |= !strcmp(name, "browse");
	o->output |= !strcmp(name, "output");
	return hand_on(o, name, optarg);
}

int options_parse(struct options *o, int argc, char **argv)
{
	int option, status = -1, at = -1;

	memset(o, 0, sizeof(*o));
	/* Each option is one word here at most, but letters: "-qv" is two. */
	for (int i = 1; i < argc; i++)
		o->n_reader += strlen(argv[i]);
	o->reader = calloc(o->n_reader + 1, sizeof(*o->reader));
	o->n_reader = 0;
	if (!o->reader) {
		say("read options: out of memory");
		return EXIT_FAILED;
	}
	/* "+": what follows the first word that is no option is the command's. */
	while (status < 0 &&
	       (option = getopt_long(argc, argv, "+f:o:s:r:qv", long_options, &at)) != -1) {
		status = parse_option(o, option, at < 0 ? NULL : long_options[at].name);
		at = -1;
	}
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
