/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#ifndef PYSHIM_VERSION
#define PYSHIM_VERSION "unknown"
#endif

static const char usage[] =
	"usage: pyshim-read [options] SOURCE...\n"
	"\n"
	"Reads recordings of libpyshim.so: a path, or the PID of a recorded process. Several are\n"
	"added up.\n"
	"\n"
	"  -f, --format NAME     text (default) or pstats\n"
	"  -o, --output FILE     write there (pstats, where no format is given)\n"
	"  -s, --sort KEY        a sort key of pstats, or -1, 0, 1, 2; may be repeated\n"
	"                        (default: cumulative)\n"
	"  -r, --restrict R      a count, or a fraction from 0 to 1; may be repeated\n"
	"      --reverse         turn the order around\n"
	"      --callers         list who called each function\n"
	"      --callees         list what each function called\n"
	"      --wait            wait for the target to end first, and fold in its stead meanwhile\n"
	"      --list            the recordings that there are\n"
	"      --clean           remove those of processes that have ended\n"
	"      --check           print what was lost or did not fit, and nothing else\n"
	"      --strict          exit with 3 on any loss\n"
	"  -q, --quiet           no preamble\n"
	"  -v, --verbose         more of a preamble\n"
	"      --version, --help\n";

enum {
	OPT_REVERSE = 256,
	OPT_CALLERS,
	OPT_CALLEES,
	OPT_CHECK,
	OPT_STRICT,
	OPT_WAIT,
	OPT_LIST,
	OPT_CLEAN,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "format", required_argument, NULL, 'f' },
	{ "output", required_argument, NULL, 'o' },
	{ "sort", required_argument, NULL, 's' },
	{ "restrict", required_argument, NULL, 'r' },
	{ "reverse", no_argument, NULL, OPT_REVERSE },
	{ "callers", no_argument, NULL, OPT_CALLERS },
	{ "callees", no_argument, NULL, OPT_CALLEES },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "strict", no_argument, NULL, OPT_STRICT },
	{ "wait", no_argument, NULL, OPT_WAIT },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "clean", no_argument, NULL, OPT_CLEAN },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static int wrong(const char *format, const char *found)
{
	fprintf(stderr, "pyshim-read: ");
	fprintf(stderr, format, found);
	fputc('\n', stderr);
	return EXIT_USAGE;
}

static int parse_format(struct options *o, const char *name)
{
	if (!strcmp(name, "text"))
		o->format = FORMAT_TEXT;
	else if (!strcmp(name, "pstats"))
		o->format = FORMAT_PSTATS;
	else
		return wrong("read --format: found '%s', expected text or pstats", name);
	return -1;
}

static int parse_restriction(struct options *o, const char *text)
{
	struct restriction *r = &o->restriction[o->report.n_restrictions];

	if (o->report.n_restrictions == sizeof(o->restriction) / sizeof(o->restriction[0]))
		return wrong("read --restrict: found one too many, '%s', expected 64 at most",
			     text);
	restriction_parse(text, r);
	if (r->kind == RESTRICT_PATTERN)
		return wrong("read --restrict: found '%s', expected a count or a fraction from 0 "
			     "to 1 (patterns are not built yet)",
			     text);
	o->report.n_restrictions++;
	return -1;
}

int options_parse(struct options *o, int argc, char **argv)
{
	const char *keys[SORT_MAX_KEYS] = { "cumulative" };
	size_t n_keys = 0;
	bool has_format = false;
	const char *error;
	int c, status = -1;

	memset(o, 0, sizeof(*o));
	while (status < 0 &&
	       (c = getopt_long(argc, argv, "f:o:s:r:qv", long_options, NULL)) != -1) {
		switch (c) {
		case 'f':
			status = parse_format(o, optarg);
			has_format = true;
			break;
		case 'o':
			o->output = optarg;
			break;
		case 's':
			if (n_keys == SORT_MAX_KEYS)
				status = wrong("read --sort: found one too many, '%s'", optarg);
			else
				keys[n_keys++] = optarg;
			break;
		case 'r':
			status = parse_restriction(o, optarg);
			break;
		case OPT_REVERSE:
			o->report.reverse = true;
			break;
		case OPT_CALLERS:
			o->listing = LISTING_CALLERS;
			break;
		case OPT_CALLEES:
			o->listing = LISTING_CALLEES;
			break;
		case OPT_CHECK:
			o->check = true;
			break;
		case OPT_STRICT:
			o->strict = true;
			break;
		case OPT_WAIT:
			o->wait = true;
			break;
		case OPT_LIST:
			o->list = true;
			break;
		case OPT_CLEAN:
			o->clean = true;
			break;
		case 'q':
			o->quiet = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case OPT_VERSION:
			puts("pyshim-read " PYSHIM_VERSION);
			return EXIT_OK;
		case OPT_HELP:
			fputs(usage, stdout);
			return EXIT_OK;
		default: /* getopt_long has said what is wrong */
			status = EXIT_USAGE;
		}
	}
	if (status >= 0)
		return status;
	error = sort_keys_parse(keys, n_keys ? n_keys : 1, &o->report.sort);
	if (error)
		return wrong("read --sort: %s", error);
	if (o->list || o->clean)
		return -1;
	if (optind == argc)
		return wrong("read SOURCE: found %s, expected a recording's path or a PID (see "
			     "--help)",
			     "none");
	if (o->output && !has_format)
		o->format = FORMAT_PSTATS;
	o->report.restriction = o->restriction;
	o->source = argv + optind;
	o->n_sources = (size_t)(argc - optind);
	return -1;
}
