/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * These oddities are pstats' own and are kept for compatibility: an empty line repeats the last
 * command, adding a file undoes the order, and callees that were printed once stay the same after a
 * file is added.
 */
#include "browse.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "browse_load.h"
#include "format/report.h"
#include "prompt.h"
#include "select/match.h"
#include "terms.h"

struct browser {
	const struct browse_options *options;
	char *current; /* the file that was read last, shown in the prompt; NULL: no file yet */
	char *last;    /* the last command, with `n_last` bytes */
	size_t n_last;
	struct loaded loaded;
	bool is_loaded;
	struct sort_keys sort;
	bool reverse;
	bool has_callees;	/* callees have been printed: an `add` does not change them */
	struct profile callees; /* the profile from before the first such `add`; else empty */
	bool is_script, ends, failed;
};

typedef void command(struct browser *b, struct text argument);

/* --- messages --------------------------------------------------------------------------------- */

static void put(struct text t)
{
	fwrite(t.bytes, 1, t.n, stdout);
}

/* An error that would end Python's browser by an exception. */
static void cannot(struct browser *b, const char *verb, struct text object, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "pyshim-read: %s %.*s: %s\n", verb, (int)object.n, object.bytes, why);
	b->failed = b->is_script;
	b->ends |= b->is_script;
}

static void no_memory(struct browser *b)
{
	cannot(b, "browse", (struct text){ "statistics", 10 }, strerror(ENOMEM));
}

static bool has_statistics(struct browser *b)
{
	if (!b->is_loaded)
		puts("No statistics object is loaded.");
	return b->is_loaded;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void forget_order(struct browser *b)
{
	b->sort = (struct sort_keys){ 0 };
	b->reverse = false;
}

static void forget_callees(struct browser *b)
{
	b->has_callees = false;
	profile_fini(&b->callees);
}

static void read_profile(struct browser *b, struct text name)
{
	struct loaded l;
	struct load_error e;
	char *current = strndup(name.bytes, name.n);

	if (!current || loaded_open(&l, name, b->options, &e)) {
		if (!current)
			no_memory(b);
		else if (e.os_error)
			puts(strerror(e.os_error));
		else
			puts(e.words);
		free(current);
		return;
	}
	if (b->is_loaded)
		loaded_close(&b->loaded);
	forget_order(b);
	forget_callees(b);
	b->loaded = l;
	b->is_loaded = true;
	free(b->current);
	b->current = current;
}

static void do_read(struct browser *b, struct text argument)
{
	char *again;

	if (argument.n) {
		read_profile(b, argument);
		return;
	}
	if (!b->current) {
		puts("No statistics object is current -- cannot reload.");
		return;
	}
	again = strdup(b->current);
	if (again)
		read_profile(b, (struct text){ again, strlen(again) });
	else
		no_memory(b);
	free(again);
}

/* pstats computes callees once, so after an `add` it prints those from before. */
static int keep_callees(struct browser *b)
{
	if (!b->has_callees || b->callees.n_fns)
		return 0;
	return profile_merge(&b->callees, &b->loaded.sum.profile);
}

static void do_add(struct browser *b, struct text argument)
{
	struct loaded l;
	struct load_error e;
	int err;

	if (!has_statistics(b))
		return;
	if (loaded_open(&l, argument, b->options, &e)) {
		if (!e.os_error) {
			cannot(b, "add", argument, e.words);
			return;
		}
		fputs("Failed to load statistics for ", stdout);
		put(argument);
		printf(": [Errno %d] %s: ", e.os_error, strerror(e.os_error));
		match_put_repr(stdout, argument);
		putchar('\n');
		return;
	}
	err = keep_callees(b);
	err = err ? err : loaded_add(&b->loaded, &l);
	loaded_close(&l);
	if (err)
		cannot(b, "add", argument, strerror(-err));
	forget_order(b);
}

/* --- printing --------------------------------------------------------------------------------- */

typedef int report(FILE *to, const struct profile *p, const struct report_options *options,
		   struct error *e);

/* The restrictions among the words, for free(), or NULL without memory. */
static struct restriction *find_restrictions(const struct terms *t, size_t *n)
{
	struct restriction *r = reallocarray(NULL, t->n + 1, sizeof(*r));

	*n = 0;
	for (size_t i = 0; r && i < t->n; i++) {
		if (terms_restriction(t->word[i], &r[*n]))
			(*n)++;
		else
			puts("Fraction argument must be in [0, 1]");
	}
	return r;
}

/* pstats computes callees only if it prints any, so has_callees stays false without output. */
static int print_callees(struct browser *b, const struct report_options *options, struct error *e)
{
	char *bytes;
	size_t n = 0;
	FILE *to = open_memstream(&bytes, &n);
	int err;

	if (!to)
		return -ENOMEM;
	err = report_callees(to, &b->loaded.sum.profile, options, e);
	if (fclose(to) && !err)
		err = -ENOMEM;
	if (!err) {
		fwrite(bytes, 1, n, stdout);
		b->has_callees |= n > 0;
	}
	free(bytes);
	return err;
}

static void print_report(struct browser *b, struct text argument, report *print)
{
	struct report_options options = { .select.sort = b->sort,
					  .select.reverse = b->reverse,
					  .exceptions = b->options->exceptions,
					  .select.escape = isatty(STDOUT_FILENO) };
	struct restriction *restriction = NULL;
	struct error error = { "" };
	struct terms t;
	int err = terms_split(&t, argument);

	if (!err)
		restriction = find_restrictions(&t, &options.select.n_restrictions);
	if (!restriction) {
		no_memory(b);
	} else if (has_statistics(b)) {
		options.select.restriction = restriction;
		options.total = &b->loaded.sum.total;
		options.sampled = b->loaded.sum.sampled;
		options.edges = b->callees.n_fns ? &b->callees : NULL;
		if (print == report_print)
			loaded_put_files(&b->loaded, stdout);
		err = print == report_callees
			      ? print_callees(b, &options, &error)
			      : print(stdout, &b->loaded.sum.profile, &options, &error);
		if (err && err != -EPIPE)
			cannot(b, "print", (struct text){ "statistics", 10 },
			       error_text(&error, err));
	}
	free(restriction);
	terms_close(&t);
}

static void do_stats(struct browser *b, struct text argument)
{
	print_report(b, argument, report_print);
}

static void do_callers(struct browser *b, struct text argument)
{
	print_report(b, argument, report_callers);
}

static void do_callees(struct browser *b, struct text argument)
{
	print_report(b, argument, report_callees);
}

/* --- order ------------------------------------------------------------------------------------ */

/* True for a sort key of pstats or an abbreviation. The numbers of sort_stats are not accepted. */
static bool is_key(const struct browser *b, struct text word)
{
	struct sort_keys keys;

	if (strlen(word.bytes) != word.n || strchr("-0123456789", *word.bytes))
		return false;
	return !sort_keys_parse(&word.bytes, 1, &keys) &&
	       (!keys.of_samples || b->loaded.sum.sampled);
}

static void list_keys(void)
{
	const char *word, *title;

	puts("Valid sort keys (unique prefixes are accepted):");
	for (size_t i = 0; (word = sort_word(i, &title)); i++)
		printf("%s -- %s\n", word, title);
}

static void sort_by(struct browser *b, const struct terms *t)
{
	const char *word[SORT_MAX_KEYS];
	struct sort_keys keys;
	bool known = t->n > 0;

	for (size_t i = 0; i < t->n && known; i++)
		known = is_key(b, t->word[i]);
	if (!known) {
		list_keys();
		return;
	}
	for (size_t i = 0; i < t->n && i < SORT_MAX_KEYS; i++)
		word[i] = t->word[i].bytes;
	if (sort_keys_parse(word, t->n, &keys)) {
		cannot(b, "sort", (struct text){ "functions", 9 }, keys.error);
		return;
	}
	b->sort = keys;
	b->reverse = false;
}

static void do_sort(struct browser *b, struct text argument)
{
	struct terms t;

	if (!has_statistics(b))
		return;
	if (terms_split(&t, argument))
		no_memory(b);
	else
		sort_by(b, &t);
	terms_close(&t);
}

static void do_reverse(struct browser *b, struct text argument)
{
	(void)argument;
	if (has_statistics(b) && b->sort.n_keys)
		b->reverse = !b->reverse;
}

static void do_strip(struct browser *b, struct text argument)
{
	(void)argument;
	if (!has_statistics(b))
		return;
	if (profile_strip_dirs(&b->loaded.sum.profile))
		no_memory(b);
	forget_order(b);
	forget_callees(b);
}

/* --- the end, help, and the commands ---------------------------------------------------------- */

static void do_quit(struct browser *b, struct text argument)
{
	(void)argument;
	b->ends = true;
}

static void do_end_of_file(struct browser *b, struct text argument)
{
	putchar('\n');
	do_quit(b, argument);
}

static command do_help;

#define OF_ARGUMENTS                                                   \
	"Arguments may be:\n"                                          \
	"* An integer maximum number of entries to print.\n"           \
	"* A decimal fractional number between 0 and 1, controlling\n" \
	"  what fraction of selected entries to print.\n"              \
	"* A regular expression; only entries with function names\n"   \
	"  that match it are printed.\n"

static const struct {
	const char *name;
	command *run;
	const char *help;
} commands[] = {
	{ "EOF", do_end_of_file, "Leave the profile browser.\n" },
	{ "add", do_add, "Add profile info from given file to current statistics object.\n" },
	{ "callees", do_callees,
	  "Print callees statistics from the current stat object.\n" OF_ARGUMENTS },
	{ "callers", do_callers,
	  "Print callers statistics from the current stat object.\n" OF_ARGUMENTS },
	{ "help", do_help, "Show help for a given command.\n" },
	{ "quit", do_quit, "Leave the profile browser.\n" },
	{ "read", do_read,
	  "Read in profile data from a specified file.\n"
	  "Without argument, reload the current file.\n" },
	{ "reverse", do_reverse, "Reverse the sort order of the profiling report.\n" },
	{ "sort", do_sort,
	  "Sort profile data according to specified keys.\n"
	  "(Typing `sort' without arguments lists valid keys.)\n" },
	{ "stats", do_stats, "Print statistics from the current stat object.\n" OF_ARGUMENTS },
	{ "strip", do_strip, "Strip leading path information from filenames in the report.\n" },
};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static bool is_text(struct text t, const char *text)
{
	return t.n == strlen(text) && !memcmp(t.bytes, text, t.n);
}

static int find_command(struct text name)
{
	for (int i = 0; i < N_COMMANDS; i++)
		if (is_text(name, commands[i].name))
			return i;
	return -1;
}

static void do_help(struct browser *b, struct text argument)
{
	int at = find_command(argument);

	(void)b;
	if (at >= 0) {
		fputs(commands[at].help, stdout);
		return;
	}
	if (argument.n) {
		fputs("*** No help on ", stdout);
		put(argument);
		putchar('\n');
		return;
	}
	fputs("\nDocumented commands (type help <topic>):\n"
	      "========================================\n",
	      stdout);
	for (int i = 0; i < N_COMMANDS; i++)
		printf("%s%s", i ? "  " : "", commands[i].name);
	fputs("\n\n", stdout);
}

static void unknown(struct text line)
{
	fputs("*** Unknown syntax: ", stdout);
	put(line);
	putchar('\n');
}

/* The bytes at the start of a line that may belong to the name of a command. */
static size_t name_bytes(struct text line)
{
	size_t n = 0;

	while (n < line.n && line.bytes[n] &&
	       strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_",
		      line.bytes[n]))
		n++;
	return n;
}

/* Takes `bytes`, which become the last command. */
static void run(struct browser *b, char *bytes, size_t n_bytes)
{
	struct text line = { bytes, n_bytes };
	size_t n = name_bytes(line);
	int at = find_command((struct text){ bytes, n });
	struct text argument = terms_strip((struct text){ bytes + n, n_bytes - n });

	if (at >= 0)
		commands[at].run(b, argument);
	else
		unknown(line);
	free(b->last);
	b->last = bytes;
	b->n_last = is_text(line, "EOF") ? 0 : n_bytes;
}

/* `line` is stripped and not empty. */
static void obey(struct browser *b, struct text line)
{
	bool asks = *line.bytes == '?';
	size_t n = asks ? line.n + 4 : line.n;
	char *bytes;

	if (*line.bytes == '!') {
		unknown(line);
		return;
	}
	bytes = malloc(n + 1);
	if (!bytes) {
		no_memory(b);
		return;
	}
	memcpy(bytes, "help ", asks ? 5 : 0);
	memcpy(bytes + (asks ? 5 : 0), line.bytes + asks, line.n - asks);
	bytes[n] = 0;
	run(b, bytes, n);
}

static void obey_line(struct browser *b, struct text line)
{
	line = terms_strip(line);
	if (!line.n && b->n_last) /* repeat */
		line = terms_strip((struct text){ b->last, b->n_last });
	if (line.n)
		obey(b, line);
}

/* --- completion ------------------------------------------------------------------------------- */

static const char *const *words_behind(const char *before)
{
	static const char *name[N_COMMANDS + 1], *key[64], *const none[] = { NULL };
	struct text line = terms_strip((struct text){ before, strlen(before) });
	struct text first = { line.bytes, name_bytes(line) };
	const char *title;

	for (size_t i = 0; i < N_COMMANDS; i++)
		name[i] = commands[i].name;
	if (!line.n || is_text(line, "?") || is_text(first, "help"))
		return name;
	if (is_text(first, "read") || is_text(first, "add"))
		return NULL;
	if (!is_text(first, "sort"))
		return none;
	for (size_t i = 0; i < sizeof(key) / sizeof(key[0]) - 1; i++)
		key[i] = sort_word(i, &title);
	return key;
}

/* --- the session ------------------------------------------------------------------------------ */

/* Python's browser ends on KeyboardInterrupt with status 0, too. */
static void on_interrupt(int signal_number)
{
	(void)signal_number;
	_exit(0);
}

static int read_line(struct browser *b, struct prompt *p, struct text *line)
{
	char *prompt;
	int err;

	if (asprintf(&prompt, "%s%% ", b->current ? b->current : "") < 0)
		return -ENOMEM;
	err = prompt_read(p, prompt, line);
	free(prompt);
	if (err == 0) {
		*line = (struct text){ "EOF", 3 };
		return 1;
	}
	return err;
}

static void run_session(struct browser *b)
{
	struct prompt p;
	struct text line;
	int err = 1;

	prompt_open(&p, words_behind);
	puts("Welcome to the profile statistics browser.");
	while (!b->ends && (err = read_line(b, &p, &line)) > 0)
		obey_line(b, line);
	if (err < 0 && err != -EPIPE) {
		b->is_script = true; /* nothing more can be read */
		cannot(b, "read", (struct text){ "commands", 8 }, strerror(-err));
	}
	if (err > 0 && !b->failed)
		puts("Goodbye.");
	prompt_close(&p);
}

int browse(char *const *source, size_t n, const struct browse_options *options)
{
	struct browser b = { .options = options, .is_script = !isatty(STDIN_FILENO) };

	signal(SIGINT, on_interrupt);
	profile_init(&b.callees);
	for (size_t i = 0; i < n && !b.ends; i++)
		(i ? do_add : do_read)(&b, (struct text){ source[i], strlen(source[i]) });
	if (!b.ends)
		run_session(&b);
	fflush(stdout);
	if (b.is_loaded)
		loaded_close(&b.loaded);
	profile_fini(&b.callees);
	free(b.current);
	free(b.last);
	return b.failed ? -1 : 0;
}
