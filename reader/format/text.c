/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text report: preambles, tables of the process tree and of threads, and the reports of
 * report.h. On a terminal it fits the window if no restriction is given.
 */
#include "writers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "preamble.h"
#include "profile/group.h"
#include "process_tree.h"
#include "totals.h"

/* A report whose preamble leaves fewer lines of the window gets the whole window. */
#define LEAST_LINES 12

static void print_thread(FILE *to, const struct source *s, const struct rebuild_thread *t)
{
	preamble_print_thread(to, s, t);
	fputc('\n', to);
}

/* True if one table is printed instead of the preambles. */
static bool has_tree(const struct reading *r, const struct show *o)
{
	return r->n_sources > PROCESS_TREE_BEYOND && !o->verbose && !o->check;
}

/* True if reports are about all threads, so that the total of a source is the sum of its times. */
static bool has_whole_sources(const struct reading *r)
{
	return !r->request->threads && !r->request->thread;
}

static void print_source(FILE *to, const struct reading *r, const struct source *s,
			 const struct show *o)
{
	if (has_tree(r, o))
		preamble_print_label(to, s);
	else
		preamble_print(to, s, o->verbose || o->check, has_whole_sources(r));
	if (o->check)
		preamble_print_checks(to, s);
	fputc('\n', to);
}

static void print_chosen_threads(FILE *to, const struct reading *r, const struct source *s)
{
	for (size_t i = 0; i < s->summary.n_listed; i++) {
		if (sources_is_chosen(r->request, &s->summary.thread[i]))
			print_thread(to, s, &s->summary.thread[i]);
	}
}

/* The sources of report i. Each source is printed once, above the first of its reports. */
static void print_sources(FILE *to, const struct reading *r, const struct show *o, size_t i)
{
	const struct reading_report *report = &r->report[i];
	bool first = !i || r->report[i - 1].source != report->source;

	for (size_t k = 0; first && k < r->n_sources; k++) {
		if (!reading_has_source(report, k))
			continue;
		if (report->source != SIZE_MAX || !has_tree(r, o))
			print_source(to, r, &r->source[k], o);
		if (!o->check)
			print_chosen_threads(to, r, &r->source[k]);
	}
	if (report->source == SIZE_MAX && !o->check && has_whole_sources(r))
		totals_print(to, r->source, r->n_sources, report->sum.total.self_s);
}

/* Without a preamble: the line that distinguishes a report from the others. */
static void print_label(FILE *to, const struct reading *r, const struct reading_report *report)
{
	if (report->source == SIZE_MAX || report->thread || r->n_reports == 1)
		return;
	preamble_print_label(to, &r->source[report->source]);
	fputc('\n', to);
}

/* That functions are added up, and for how many rows the numbers are bounds. */
static void print_groups(FILE *to, const struct request *q, const struct profile *p)
{
	size_t n_bounds = group_bound_rows(p);
	const char *by = request_grouped_by(q);

	if (!request_groups(q))
		return;
	if (by)
		fprintf(to, "pyshim: functions are added up by %s%s\n", by,
			q->imports_as_one ? ", and importing is one row" : "");
	else
		fputs("pyshim: importing is one row\n", to);
	if (n_bounds)
		fprintf(to,
			"  %zu of %zu rows: cumtime and primitive calls are upper bounds, because the "
			"paths of some calls are not known\n",
			n_bounds, p->n_listed);
	fputc('\n', to);
}

static int print_heading(FILE *to, const struct reading *r, const struct show *o, size_t i,
			 size_t columns)
{
	const struct reading_report *report = &r->report[i];
	int err = 0;

	if (!i && has_tree(r, o) && !o->quiet) {
		err = process_tree_print(to, r->source, r->n_sources, columns);
		fputc('\n', to);
	}
	if (o->quiet && !o->check)
		print_label(to, r, report);
	else
		print_sources(to, r, o, i);
	if (report->thread && !o->check)
		print_thread(to, &r->source[report->source], report->thread);
	if (!o->quiet && !o->check)
		print_groups(to, r->request, &report->sum.profile);
	return err;
}

static int print_table(FILE *to, const struct sum *sum, const struct show *o,
		       const struct report_options *options, struct error *e)
{
	const struct profile *p = &sum->profile;

	switch (o->listing) {
	case LISTING_TREE:
		return tree_print(to, &sum->contexts, &o->tree, options, e);
	case LISTING_CALLERS:
		return report_callers(to, p, options, e);
	case LISTING_CALLEES:
		return report_callees(to, p, options, e);
	case LISTING_FUNCTIONS:
		break;
	}
	return report_print(to, p, options, e);
}

/* --- on a terminal ---------------------------------------------------------------------------- */

/* The window of the terminal that the report is written to; zeros: not a terminal. */
struct window {
	bool is_terminal;
	size_t lines, columns;
};

static struct window window_of(FILE *to)
{
	struct window window = { .is_terminal = isatty(fileno(to)) };
	struct winsize size;

	if (window.is_terminal && ioctl(fileno(to), TIOCGWINSZ, &size) == 0) {
		window.lines = size.ws_row;
		window.columns = size.ws_col;
	}
	return window;
}

/* The number of lines of a text there. */
static size_t count_lines(const struct window *window, const char *text, size_t n)
{
	size_t lines = 0;

	for (const char *at = text, *end; at < text + n; at = end + 1) {
		size_t width;

		end = memchr(at, '\n', (size_t)(text + n - at));
		if (!end)
			break;
		width = (size_t)(end - at);
		lines += window->columns && width ? (width - 1) / window->columns + 1 : 1;
	}
	return lines;
}

/*
 * The lines of a report without restrictions: as many as fit in the window, below its preamble and
 * above the prompt of the shell. 0: no limit.
 */
static size_t room_for_report(const struct window *window, const struct show *o, size_t above)
{
	size_t lines = window->lines ? window->lines - 1 : 0;

	if (!lines || o->report.select.n_restrictions)
		return 0;
	return lines >= above + LEAST_LINES ? lines - above : lines;
}

/* Report i with its heading. */
static int write_one(FILE *to, const struct reading *r, const struct show *o, size_t i,
		     const struct window *window, struct error *e)
{
	struct report_options options = show_options(o, &r->report[i].sum);
	size_t n = 0;
	char *text;
	FILE *heading = open_memstream(&text, &n);
	int err;

	if (!heading)
		return -ENOMEM;
	err = print_heading(heading, r, o, i, window->columns);
	if (fclose(heading) && !err)
		err = -ENOMEM;
	if (!err)
		fwrite(text, 1, n, to);
	options.select.escape = window->is_terminal;
	options.columns = window->columns;
	options.max_lines = room_for_report(window, o, count_lines(window, text, n));
	if (!err && !o->check)
		err = print_table(to, &r->report[i].sum, o, &options, e);
	free(text);
	return err;
}

/* 0, or -errno with `e` set if --root matches no function of any report. */
static int check_root(const struct reading *r, const struct show *o, struct error *e)
{
	int found = 0;

	if (o->listing != LISTING_TREE || !o->tree.root.bytes)
		return 0;
	for (size_t i = 0; i < r->n_reports && !found; i++)
		found = tree_has_root(&r->report[i].sum.contexts, &o->tree, &o->report, e);
	return found > 0 ? 0
	       : found	 ? found
			 : error_set(e, -ENOENT,
				     "found no function that '%.*s' matches, expected one for --root",
				     (int)o->tree.root.n, o->tree.root.bytes);
}

int text_write(FILE *to, const struct reading *r, const struct show *o, struct error *e)
{
	struct window window = window_of(to);
	int err = check_root(r, o, e);

	for (size_t i = 0; i < r->n_reports && !err; i++)
		err = write_one(to, r, o, i, &window, e);
	return err;
}
