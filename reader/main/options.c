/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "select/match.h"

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
	"\n";

/* The command line so far. */
struct parsing {
	struct options *o;
	const char *key[SORT_MAX_KEYS];
	size_t n_keys;
};

static int wrong(const char *format, const char *found)
{
	fprintf(stderr, "pyshim-read: ");
	fprintf(stderr, format, found);
	fputc('\n', stderr);
	return EXIT_USAGE;
}

static int wrong_format(const char *name)
{
	fprintf(stderr, "pyshim-read: read --format: found '%s', expected one of %s\n", name,
		option_row('f')->completion);
	return EXIT_USAGE;
}

static int parse_format(struct parsing *s, const char *name)
{
	s->o->format = format_find(name);
	if (!s->o->format)
		return wrong_format(name);
	return -1;
}

static int parse_output(struct parsing *s, const char *path)
{
	s->o->output = strcmp(path, "-") != 0 ? path : NULL;
	return -1;
}

static int parse_sort(struct parsing *s, const char *key)
{
	_Static_assert(SORT_MAX_KEYS == 32, "the message says how many");
	if (s->n_keys == SORT_MAX_KEYS)
		return wrong("read --sort: found one key too many, '%s', expected 32 at most", key);
	s->key[s->n_keys++] = key;
	return -1;
}

static int parse_restriction(struct parsing *s, const char *text)
{
	struct options *o = s->o;
	struct restriction *r = &o->restriction[o->show.report.select.n_restrictions];
	struct error error = { "" };
	int err;

	if (o->show.report.select.n_restrictions ==
	    sizeof(o->restriction) / sizeof(o->restriction[0]))
		return wrong("read --restrict: found one restriction too many, '%s', expected 64 "
			     "at most",
			     text);
	restriction_parse(text, r);
	err = restriction_check(r, &error);
	if (err == -EINVAL)
		return wrong(
			"read --restrict: found '%s', expected a count, a fraction from 0 to 1 or "
			"a Python regular expression",
			text);
	if (err)
		return wrong("read --restrict: %s", error_text(&error, err));
	o->show.report.select.n_restrictions++;
	return -1;
}

static bool parse_seconds(const char *text, double *seconds)
{
	char *end;

	errno = 0;
	*seconds = strtod(text, &end);
	return end != text && !*end && !errno && *seconds >= 0 && *seconds < 1e9;
}

static int parse_bias(struct parsing *s, const char *text)
{
	struct request *q = &s->o->request;

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

static int parse_bare_time(struct parsing *s, const char *text)
{
	struct request *q = &s->o->request;

	if (!parse_seconds(text, &q->bare_s) || q->bare_s == 0)
		return wrong("read --bare-time: found '%s', expected seconds", text);
	return -1;
}

static int parse_calibrate(struct parsing *s, const char *text)
{
	struct options *o = s->o;
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || n < CALIBRATE_MIN_CALLS || n > CALIBRATE_MAX_CALLS)
		return wrong("read --calibrate: found '%s', expected 1000 to 10000000 calls", text);
	o->calibrate = true;
	o->calibration.n_calls = (uint64_t)n;
	return -1;
}

static int parse_events(struct parsing *s, const char *text)
{
	struct request *q = &s->o->request;
	char *end;

	s->o->events = text;
	errno = 0;
	q->max_events = strcmp(text, "all") ? strtoull(text, &end, 10) : 0;
	if (strcmp(text, "all") && (*text < '0' || *text > '9' || *end || errno))
		return wrong("read --events: found '%s', expected a number of events, or all",
			     text);
	return -1;
}

static int parse_min(struct parsing *s, const char *text)
{
	double *min = &s->o->show.tree.min_percent;
	char *end;

	s->o->min = text;
	*min = strchr("0123456789.", *text) ? strtod(text, &end) : -1;
	if (!(*min >= 0) || *min > 100 || end == text ||
	    (*end && strcmp(end, "%") && strcmp(end, " %")))
		return wrong("read --min: found '%s', expected per cent from 0 to 100", text);
	return -1;
}

static int parse_depth(struct parsing *s, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	s->o->depth = text;
	if (*text < '0' || *text > '9' || *end || !n || n > UINT32_MAX)
		return wrong("read --depth: found '%s', expected a number of calls from 1 on",
			     text);
	s->o->show.tree.max_depth = (uint32_t)n;
	return -1;
}

static int parse_root(struct parsing *s, const char *text)
{
	struct text pattern = { text, strlen(text) };
	struct error error = { "" };
	struct match m;
	int err = match_init(&m, pattern, &error);

	match_fini(&m);
	if (err == -EINVAL)
		return wrong("read --root: found '%s', expected a Python regular expression", text);
	if (err)
		return wrong("read --root: %s", error_text(&error, err));
	s->o->show.tree.root = pattern;
	return -1;
}

static int parse_callers(struct parsing *s, const char *unused)
{
	(void)unused;
	s->o->show.listing = LISTING_CALLERS;
	return -1;
}

static int parse_callees(struct parsing *s, const char *unused)
{
	(void)unused;
	s->o->show.listing = LISTING_CALLEES;
	return -1;
}

static int print_version(struct parsing *s, const char *unused)
{
	(void)s;
	(void)unused;
	puts("pyshim-read " PYSHIM_VERSION);
	return EXIT_OK;
}

static int print_help(struct parsing *s, const char *unused)
{
	(void)s;
	(void)unused;
	fputs(usage, stdout);
	option_print_help(stdout);
	return EXIT_OK;
}

/* The effect of a row of options.def: store true or the argument in a field, or call a function. */
struct action {
	enum { ACTION_SWITCH, ACTION_TEXT, ACTION_CALL } kind;
	size_t offset;					      /* in struct options */
	int (*call)(struct parsing *s, const char *argument); /* -1, or the exit code */
};

#define SWITCH(field)                                                \
	{                                                            \
		ACTION_SWITCH, offsetof(struct options, field), NULL \
	}
#define TEXT(field)                                                \
	{                                                          \
		ACTION_TEXT, offsetof(struct options, field), NULL \
	}
#define CALL(function)                   \
	{                                \
		ACTION_CALL, 0, function \
	}
#define OPTION(letter, name, argument, action, launcher, completion, help) action,
static const struct action actions[OPTION_ROWS] = {
#include "base/options.def"
};
#undef OPTION

/* -1, or the exit code. */
static int parse_option(struct parsing *s, int option, const char *argument)
{
	const struct option_row *row = option_row(option);
	const struct action *action = row ? &actions[row - option_rows] : NULL;

	if (!action)
		return EXIT_USAGE; /* getopt has printed the error */
	switch (action->kind) {
	case ACTION_SWITCH:
		*(bool *)((char *)s->o + action->offset) = true;
		return -1;
	case ACTION_TEXT:
		*(const char **)((char *)s->o + action->offset) = argument;
		return -1;
	case ACTION_CALL:
		break;
	}
	return action->call(s, argument);
}

/* True if options are given that only a report uses. */
static bool asks_for_report(const struct parsing *s)
{
	const struct options *o = s->o;

	return o->format || s->n_keys || o->output || o->show.report.select.n_restrictions ||
	       o->show.report.select.reverse || o->show.report.select.qualnames ||
	       o->request.strip_dirs || o->show.listing != LISTING_FUNCTIONS || o->show.check ||
	       o->strict || o->request.threads || o->request.each || o->tree;
}

/* Options that cannot be given together. -1, or the exit code. */
static int check_browse(const struct parsing *s)
{
	if (s->o->snapshot && (s->o->browse || asks_for_report(s)))
		return wrong("read --snapshot: found %s with it, expected none: it writes a copy",
			     "an option for a report");
	if (s->o->snapshot && s->o->n_sources != 1)
		return wrong("read --snapshot: found %s source, expected one",
			     s->o->n_sources ? "more than one" : "no");
	for (size_t i = 0; s->o->browse && i < s->o->n_sources; i++)
		if (!strcmp(s->o->source[i], "-"))
			return wrong("read --browse: found the source %s, expected files: commands "
				     "come from standard input",
				     "-");
	if (s->o->browse && asks_for_report(s))
		return wrong("read --browse: found %s with it, expected none: commands do that",
			     "an option for a report");
	return -1;
}

static int wrong_several(const char *format, const char *option)
{
	fprintf(stderr,
		"pyshim-read: read --format: found %s with %s, expected text or json: a %s file "
		"holds one report\n",
		format, option, format);
	return EXIT_USAGE;
}

static int check_together(const struct parsing *s)
{
	const struct request *q = &s->o->request;
	const char *several = q->threads ? "--threads" : q->each ? "--each" : NULL;

	if (q->by_module + q->by_package + q->by_file > 1)
		return wrong("read --by-%s: found another --by- option with it, expected one: "
			     "functions are added up in one way",
			     request_grouped_by(q));
	if (q->threads && q->thread)
		return wrong("read --thread: found '%s' with --threads, expected one of them",
			     q->thread);
	if (several && s->o->format->flags & FORMAT_HOLDS_ONE)
		return wrong_several(s->o->format->name, several);
	if (q->no_subcalls && s->o->format->flags & FORMAT_CONTEXTS)
		return wrong("read --format: found %s with --no-subcalls, expected a format of "
			     "functions: it shows who called whom",
			     s->o->format->name);
	if ((q->threads || q->thread) && q->bare_s > 0)
		return wrong("read --bare-time: found it with %s, expected a report on all threads",
			     q->thread ? "--thread" : "--threads");
	return -1;
}

/* Returns an option that is only for --tree, or NULL. */
static const char *option_of_tree(const struct options *o)
{
	return o->min			 ? "--min"
	       : o->depth		 ? "--depth"
	       : o->show.tree.root.bytes ? "--root"
	       : o->show.tree.by_calls	 ? "--calls"
					 : NULL;
}

/* Returns an option that a tree cannot follow, or NULL. */
static const char *option_against_tree(const struct parsing *s)
{
	const struct options *o = s->o;

	if (o->format && o->format != format_default())
		return "another format than text";
	if (o->show.listing != LISTING_FUNCTIONS)
		return o->show.listing == LISTING_CALLERS ? "--callers" : "--callees";
	if (s->n_keys || o->show.report.select.n_restrictions || o->show.report.select.reverse)
		return s->n_keys		       ? "--sort"
		       : o->show.report.select.reverse ? "--reverse"
						       : "--restrict";
	if (o->show.report.exceptions || o->show.check)
		return o->show.check ? "--check" : "--exceptions";
	if (o->request.threads)
		return "--threads (--thread ID shows one)";
	return o->request.no_subcalls ? "--no-subcalls" : NULL;
}

/* -1, or the exit code. */
static int check_tree(const struct parsing *s)
{
	struct options *o = s->o;
	const char *option = o->tree ? option_against_tree(s) : option_of_tree(o);

	if (option && !o->tree)
		return wrong("read %s: found it without --tree, expected both", option);
	if (option)
		return wrong(
			"read --tree: found %s with it, expected only --min, --depth, --root and "
			"--calls to choose what it shows",
			option);
	if (!o->tree)
		return -1;
	o->show.listing = LISTING_TREE;
	o->request.contexts = true;
	if (!o->min)
		o->show.tree.min_percent = TREE_DEFAULT_PERCENT;
	return -1;
}

/* Returns an option that a timeline cannot follow and that would mislead there, or NULL. */
static const char *misleading_option(const struct options *o)
{
	const struct request *q = &o->request;

	if (o->show.report.select.n_restrictions)
		return "--restrict";
	if (o->show.listing != LISTING_FUNCTIONS)
		return o->show.listing == LISTING_CALLERS ? "--callers" : "--callees";
	if (q->bare_s > 0)
		return "--bare-time";
	if (q->bias == REQUEST_BIAS_SECONDS || q->bias == REQUEST_BIAS_FILE)
		return "--bias";
	return q->true_calls ? "--true-calls" : q->no_subcalls ? "--no-subcalls" : NULL;
}

/* -1, or the exit code. */
static int check_timeline(struct options *o)
{
	const char *option = misleading_option(o);

	if (!(o->format->flags & FORMAT_TIMELINE))
		return o->events
			       ? wrong("read --events: found it with the format %s, expected chrome or html",
				       o->format->name)
			       : -1;
	if (option && !(o->format->flags & FORMAT_CONTEXTS))
		return wrong("read --format: found chrome with %s, expected it without: it shows "
			     "single calls, with raw times",
			     option);
	o->request.timeline = true;
	return -1;
}

int options_parse(struct options *o, int argc, char **argv)
{
	struct parsing s = { .o = o, .key = { "cumulative" } };
	struct option_list list;
	const char *error;
	int option, status = -1;

	memset(o, 0, sizeof(*o));
	o->calibration.python = "python3";
	o->request.max_events = TIMELINE_DEFAULT_EVENTS;
	/* For tools/completion.bash only. */
	if (argc == 2 && !strcmp(argv[1], "--options")) {
		option_print_rows(stdout, false);
		return EXIT_OK;
	}
	option_list(&list, "", NULL);
	while (status < 0 && (option = option_next(argc, argv, &list, NULL)) != -1)
		status = parse_option(&s, option, optarg);
	if (status >= 0)
		return status;
	error = sort_keys_parse(s.key, s.n_keys ? s.n_keys : 1, &o->show.report.select.sort);
	if (error)
		return wrong("read --sort: %s", error);
	if (o->list || o->clean || o->calibrate)
		return -1;
	if (optind == argc && !o->browse && !o->sources_from)
		return wrong("read SOURCE: found %s, expected a recording's path, a PID or a "
			     "pstats file (see --help)",
			     "none");
	o->source = argv + optind;
	o->n_sources = (size_t)(argc - optind);
	status = check_browse(&s);
	if (status >= 0)
		return status;
	status = check_tree(&s);
	if (status >= 0)
		return status;
	if (!o->format)
		o->format = o->output && !o->tree ? format_find("pstats") : format_default();
	status = check_together(&s);
	if (status >= 0)
		return status;
	status = check_timeline(o);
	if (status >= 0)
		return status;
	o->request.contexts |= (o->format->flags & FORMAT_CONTEXTS) != 0;
	o->request.lists_threads = o->format->flags & FORMAT_LISTS_THREADS;
	o->show.report.select.restriction = o->restriction;
	return -1;
}
