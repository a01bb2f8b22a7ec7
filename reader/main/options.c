/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"

#ifndef PYSHIM_VERSION
#define PYSHIM_VERSION "unknown"
#endif

static const char usage[] =
	"usage: pyshim-read [options] SOURCE...\n"
	"       pyshim-read --browse [SOURCE...]\n"
	"       pyshim-read --snapshot FILE SOURCE\n"
	"\n"
	"Reads recordings of libpyshim.so, by a path or the PID of a recorded process, and pstats files;\n"
	"- is standard input.\n"
	"Several are added up, as pstats.Stats(SOURCE...) does.\n"
	"\n"
	"  -f, --format NAME     text (default), pstats or json\n"
	"  -o, --output FILE     write there (pstats, where no format is given); -: standard output\n"
	"  -s, --sort KEY        a sort key of pstats, or -1, 0, 1, 2; may be repeated\n"
	"                        (default: cumulative)\n"
	"  -r, --restrict R      a count, a fraction from 0 to 1, or a regular expression of Python's;\n"
	"                        may be repeated, each applied to what the one before has left\n"
	"                        (default: all, on a terminal as many as fit on the screen)\n"
	"      --reverse         turn the order around\n"
	"      --qualnames       qualified names of functions, where they are known (3.11 and later)\n"
	"      --strip-dirs      leave out the folders of file names, and add up what is then the same\n"
	"      --callers         list who called each function\n"
	"      --callees         list what each function called\n"
	"      --browse          be interactive, with the commands of pstats' statistics browser\n"
	"      --threads         one report for each thread\n"
	"      --thread ID       only that one: its native id, #number or name, as --threads says\n"
	"      --each            one report for each source\n"
	"      --by-code         keep functions apart that share file, line and name: f, f#2, ...\n"
	"      --true-calls      count a generator's resumes as one call\n"
	"      --cprofile-labels call C functions what cProfile calls them, with addresses\n"
	"      --exceptions      a column of how many calls of each function ended by an exception\n"
	"      --no-subcalls     leave out who called whom\n"
	"      --no-builtins     leave out C functions: their time is their callers'\n"
	"      --bias B          correct times by: auto (the kept calibration that fits), none, seconds\n"
	"                        per event, or the file of a calibration\n"
	"      --bare-time S     the seconds that it takes without recording: scales the correction\n"
	"      --calibrate N     measure what recording costs, with N calls a round, and keep it\n"
	"      --python EXE      ... of this interpreter (python3)\n"
	"      --keep-anyway     ... even if other work disturbed it\n"
	"      --snapshot FILE   write a consistent copy of a recording, of a running process too; - is\n"
	"                        standard output\n"
	"      --wait            wait for the target to end first, and fold in its stead meanwhile\n"
	"      --list            the recordings that there are\n"
	"      --clean           remove those of processes that have ended\n"
	"      --check           print what was lost or did not fit, and nothing else\n"
	"      --strict          exit with 3 on any loss\n"
	"      --force           open recordings of other users too\n"
	"      --names-from F    sources that the file F lists, each ended by a NUL byte; -: standard input\n"
	"      --relative-to D   show sources in the folder D by their names there\n"
	"  -q, --quiet           no preamble, but which thread or source each of several tables is of\n"
	"  -v, --verbose         more of a preamble\n"
	"      --version, --help\n";

enum {
	OPT_REVERSE = 256,
	OPT_STRIP_DIRS,
	OPT_QUALNAMES,
	OPT_CALLERS,
	OPT_CALLEES,
	OPT_BROWSE,
	OPT_THREADS,
	OPT_THREAD,
	OPT_EACH,
	OPT_BY_CODE,
	OPT_TRUE_CALLS,
	OPT_CPROFILE_LABELS,
	OPT_EXCEPTIONS,
	OPT_NO_SUBCALLS,
	OPT_NO_BUILTINS,
	OPT_BIAS,
	OPT_BARE_TIME,
	OPT_CALIBRATE,
	OPT_PYTHON,
	OPT_KEEP_ANYWAY,
	OPT_CHECK,
	OPT_STRICT,
	OPT_FORCE,
	OPT_NAMES_FROM,
	OPT_RELATIVE_TO,
	OPT_SNAPSHOT,
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
	{ "strip-dirs", no_argument, NULL, OPT_STRIP_DIRS },
	{ "qualnames", no_argument, NULL, OPT_QUALNAMES },
	{ "callers", no_argument, NULL, OPT_CALLERS },
	{ "callees", no_argument, NULL, OPT_CALLEES },
	{ "browse", no_argument, NULL, OPT_BROWSE },
	{ "threads", no_argument, NULL, OPT_THREADS },
	{ "thread", required_argument, NULL, OPT_THREAD },
	{ "each", no_argument, NULL, OPT_EACH },
	{ "by-code", no_argument, NULL, OPT_BY_CODE },
	{ "true-calls", no_argument, NULL, OPT_TRUE_CALLS },
	{ "cprofile-labels", no_argument, NULL, OPT_CPROFILE_LABELS },
	{ "exceptions", no_argument, NULL, OPT_EXCEPTIONS },
	{ "no-subcalls", no_argument, NULL, OPT_NO_SUBCALLS },
	{ "no-builtins", no_argument, NULL, OPT_NO_BUILTINS },
	{ "bias", required_argument, NULL, OPT_BIAS },
	{ "bare-time", required_argument, NULL, OPT_BARE_TIME },
	{ "calibrate", required_argument, NULL, OPT_CALIBRATE },
	{ "python", required_argument, NULL, OPT_PYTHON },
	{ "keep-anyway", no_argument, NULL, OPT_KEEP_ANYWAY },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "strict", no_argument, NULL, OPT_STRICT },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "names-from", required_argument, NULL, OPT_NAMES_FROM },
	{ "relative-to", required_argument, NULL, OPT_RELATIVE_TO },
	{ "snapshot", required_argument, NULL, OPT_SNAPSHOT },
	{ "wait", no_argument, NULL, OPT_WAIT },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "clean", no_argument, NULL, OPT_CLEAN },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

/* What the command line has said so far. */
struct parsing {
	struct options *o;
	const char *key[SORT_MAX_KEYS];
	size_t n_keys;
	bool has_format;
};

static int wrong(const char *format, const char *found)
{
	fprintf(stderr, "pyshim-read: ");
	fprintf(stderr, format, found);
	fputc('\n', stderr);
	return EXIT_USAGE;
}

static int parse_format(struct parsing *s, const char *name)
{
	s->has_format = true;
	if (!strcmp(name, "text"))
		s->o->format = FORMAT_TEXT;
	else if (!strcmp(name, "pstats"))
		s->o->format = FORMAT_PSTATS;
	else if (!strcmp(name, "json"))
		s->o->format = FORMAT_JSON;
	else
		return wrong("read --format: found '%s', expected text, pstats or json", name);
	return -1;
}

static int parse_sort(struct parsing *s, const char *key)
{
	if (s->n_keys == SORT_MAX_KEYS)
		return wrong("read --sort: found one too many, '%s'", key);
	s->key[s->n_keys++] = key;
	return -1;
}

static int wrong_restriction(const char *text, int err)
{
	if (err == -EINVAL)
		return wrong(
			"read --restrict: found '%s', expected a count, a fraction or a regular "
			"expression of Python's",
			text);
	return wrong("read --restrict: %s", report_error(err));
}

static int parse_restriction(struct options *o, const char *text)
{
	struct restriction *r = &o->restriction[o->report.n_restrictions];
	int err;

	if (o->report.n_restrictions == sizeof(o->restriction) / sizeof(o->restriction[0]))
		return wrong("read --restrict: found one too many, '%s', expected 64 at most",
			     text);
	restriction_parse(text, r);
	err = restriction_check(r);
	if (err)
		return wrong_restriction(text, err);
	o->report.n_restrictions++;
	return -1;
}

static bool parse_seconds(const char *text, double *seconds)
{
	char *end;

	errno = 0;
	*seconds = strtod(text, &end);
	return end != text && !*end && !errno && *seconds >= 0 && *seconds < 1e9;
}

static int parse_bias(struct request *q, const char *text)
{
	if (!strcmp(text, "auto"))
		q->bias = REQUEST_BIAS_AUTO;
	else if (!strcmp(text, "none"))
		q->bias = REQUEST_BIAS_NONE;
	else if (parse_seconds(text, &q->bias_s))
		q->bias = REQUEST_BIAS_SECONDS;
	else
		q->bias = REQUEST_BIAS_FILE;
	q->bias_file = text;
	return -1;
}

static int parse_bare_time(struct request *q, const char *text)
{
	if (!parse_seconds(text, &q->bare_s) || q->bare_s == 0)
		return wrong("read --bare-time: found '%s', expected seconds", text);
	return -1;
}

static int parse_calibrate(struct options *o, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || n < CALIBRATE_MIN_CALLS || n > CALIBRATE_MAX_CALLS)
		return wrong("read --calibrate: found '%s', expected 1000 to 10000000 calls", text);
	o->calibrate = true;
	o->calibration.n_calls = (uint64_t)n;
	return -1;
}

/* What an option without an argument switches on, or NULL where it is not of that kind. */
static bool *find_switch(struct options *o, int option)
{
	const struct {
		int option;
		bool *on;
	} table[] = {
		{ OPT_REVERSE, &o->report.reverse },
		{ OPT_STRIP_DIRS, &o->request.strip_dirs },
		{ OPT_QUALNAMES, &o->report.qualnames },
		{ OPT_BROWSE, &o->browse },
		{ OPT_THREADS, &o->request.threads },
		{ OPT_EACH, &o->request.each },
		{ OPT_BY_CODE, &o->request.by_code },
		{ OPT_TRUE_CALLS, &o->request.true_calls },
		{ OPT_CPROFILE_LABELS, &o->request.cprofile_labels },
		{ OPT_EXCEPTIONS, &o->report.exceptions },
		{ OPT_NO_SUBCALLS, &o->request.no_subcalls },
		{ OPT_NO_BUILTINS, &o->request.no_builtins },
		{ OPT_CHECK, &o->check },
		{ OPT_STRICT, &o->strict },
		{ OPT_KEEP_ANYWAY, &o->calibration.keep_anyway },
		{ OPT_FORCE, &o->force },
		{ OPT_WAIT, &o->wait },
		{ OPT_LIST, &o->list },
		{ OPT_CLEAN, &o->clean },
		{ 'q', &o->quiet },
		{ 'v', &o->verbose },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].option == option)
			return table[i].on;
	return NULL;
}

/* -1, or the exit code. */
static int parse_option(struct parsing *s, int option, const char *argument)
{
	bool *on = find_switch(s->o, option);

	if (on) {
		*on = true;
		return -1;
	}
	switch (option) {
	case 'f':
		return parse_format(s, argument);
	case 'o':
		s->o->output = strcmp(argument, "-") != 0 ? argument : NULL;
		return -1;
	case 's':
		return parse_sort(s, argument);
	case 'r':
		return parse_restriction(s->o, argument);
	case OPT_BIAS:
		return parse_bias(&s->o->request, argument);
	case OPT_BARE_TIME:
		return parse_bare_time(&s->o->request, argument);
	case OPT_CALIBRATE:
		return parse_calibrate(s->o, argument);
	case OPT_NAMES_FROM:
		s->o->sources_from = argument;
		return -1;
	case OPT_RELATIVE_TO:
		s->o->request.relative_to = argument;
		return -1;
	case OPT_PYTHON:
		s->o->calibration.python = argument;
		return -1;
	case OPT_SNAPSHOT:
		s->o->snapshot = argument;
		return -1;
	case OPT_THREAD:
		s->o->request.thread = argument;
		return -1;
	case OPT_CALLERS:
		s->o->listing = LISTING_CALLERS;
		return -1;
	case OPT_CALLEES:
		s->o->listing = LISTING_CALLEES;
		return -1;
	case OPT_VERSION:
		puts("pyshim-read " PYSHIM_VERSION);
		return EXIT_OK;
	case OPT_HELP:
		fputs(usage, stdout);
		return EXIT_OK;
	default: /* it has been said what is wrong */
		return EXIT_USAGE;
	}
}

/* Options for reports, of which a browser can make nothing. */
static bool asks_for_report(const struct parsing *s)
{
	const struct options *o = s->o;

	return s->has_format || s->n_keys || o->output || o->report.n_restrictions ||
	       o->report.reverse || o->report.qualnames || o->request.strip_dirs ||
	       o->listing != LISTING_FUNCTIONS || o->check || o->strict || o->request.threads ||
	       o->request.each;
}

/* What cannot be done together. -1, or the exit code. */
static int check_together(const struct parsing *s)
{
	const struct request *q = &s->o->request;
	const char *several = q->threads ? "--threads" : q->each ? "--each" : NULL;

	if (s->o->snapshot && (s->o->browse || asks_for_report(s)))
		return wrong("read --snapshot: found %s beside it, expected none",
			     "an option of the report");
	if (s->o->snapshot && s->o->n_sources != 1)
		return wrong("read --snapshot: found %s source, expected one", "more than one");
	for (size_t i = 0; s->o->browse && i < s->o->n_sources; i++)
		if (!strcmp(s->o->source[i], "-"))
			return wrong("read --browse: found the source %s, expected files: commands "
				     "come from standard input",
				     "-");
	if (s->o->browse && asks_for_report(s))
		return wrong("read --browse: found %s beside it, expected none",
			     "an option of the report");
	if (q->threads && q->thread)
		return wrong("read --thread: found '%s' with --threads, expected one of them",
			     q->thread);
	if (several && s->o->format == FORMAT_PSTATS)
		return wrong("read --format: found pstats with %s, expected text or json: a pstats "
			     "file holds one report",
			     several);
	if ((q->threads || q->thread) && q->bare_s > 0)
		return wrong("read --bare-time: found it with %s, expected a report on all threads",
			     q->thread ? "--thread" : "--threads");
	return -1;
}

int options_parse(struct options *o, int argc, char **argv)
{
	struct parsing s = { .o = o, .key = { "cumulative" } };
	const char *error;
	int option, status = -1;

	memset(o, 0, sizeof(*o));
	o->calibration.python = "python3";
	while (status < 0 &&
	       (option = option_next(argc, argv, "f:o:s:r:qv", long_options, NULL)) != -1)
		status = parse_option(&s, option, optarg);
	if (status >= 0)
		return status;
	error = sort_keys_parse(s.key, s.n_keys ? s.n_keys : 1, &o->report.sort);
	if (error)
		return wrong("read --sort: %s", error);
	if (o->list || o->clean || o->calibrate)
		return -1;
	if (optind == argc && !o->browse && !o->sources_from)
		return wrong("read SOURCE: found %s, expected a recording's path, a PID or a "
			     "pstats file (see --help)",
			     "none");
	if (o->output && !s.has_format)
		o->format = FORMAT_PSTATS;
	o->source = argv + optind;
	o->n_sources = (size_t)(argc - optind);
	status = check_together(&s);
	if (status >= 0)
		return status;
	o->request.lists_threads = o->format == FORMAT_JSON;
	o->report.restriction = o->restriction;
	return -1;
}
