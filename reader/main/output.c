/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/json.h"
#include "format/preamble.h"
#include "format/process_tree.h"
#include "format/report.h"
#include "format/totals.h"
#include "pstats/pstats.h"

#define LEAST_LINES \
	12 /* of a report: it has that much of the window even where a preamble has more */

static struct report_options options_of(const struct options *o, const struct sum *sum)
{
	struct report_options options = o->report;

	options.total = &sum->total;
	options.sampled = sum->sampled;
	return options;
}

static bool has_source(const struct reading_report *report, size_t source)
{
	return report->source == SIZE_MAX || report->source == source;
}

/* Asked for by --thread. */
static bool is_chosen(const struct reading *r, const struct rebuild_thread *t)
{
	return r->request->thread && sources_is_thread(t, r->request->thread);
}

/* The only thread that a report is on, or NULL: several, or all. */
static const struct rebuild_thread *only_thread(const struct reading *r,
						const struct reading_report *report)
{
	const struct rebuild_thread *only = report->thread;
	size_t n = 0;

	for (size_t k = 0; k < r->n_sources; k++) {
		const struct rebuild_summary *sum = &r->source[k].summary;

		for (size_t i = 0; has_source(report, k) && i < sum->n_listed; i++) {
			if (!is_chosen(r, &sum->thread[i]))
				continue;
			only = &sum->thread[i];
			n++;
		}
	}
	return n > 1 ? NULL : only;
}

static void print_thread(FILE *to, const struct source *s, const struct rebuild_thread *t)
{
	preamble_print_thread(to, s, t);
	fputc('\n', to);
}

/* One table stands for the preambles of so many. */
static bool has_tree(const struct reading *r, const struct options *o)
{
	return r->n_sources > PROCESS_TREE_BEYOND && !o->verbose && !o->check;
}

/* The reports are on all threads, so a source's total is that of the times in it. */
static bool has_whole_sources(const struct reading *r)
{
	return !r->request->threads && !r->request->thread;
}

static void print_source(FILE *to, const struct reading *r, const struct source *s,
			 const struct options *o)
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
		if (is_chosen(r, &s->summary.thread[i]))
			print_thread(to, s, &s->summary.thread[i]);
	}
}

/* What stands above report i: each source once, above the first report that it is in. */
static void print_sources(FILE *to, const struct reading *r, const struct options *o, size_t i)
{
	const struct reading_report *report = &r->report[i];
	bool first = !i || r->report[i - 1].source != report->source;

	for (size_t k = 0; first && k < r->n_sources; k++) {
		if (!has_source(report, k))
			continue;
		if (report->source != SIZE_MAX || !has_tree(r, o))
			print_source(to, r, &r->source[k], o);
		if (!o->check)
			print_chosen_threads(to, r, &r->source[k]);
	}
	if (report->source == SIZE_MAX && !o->check && has_whole_sources(r))
		totals_print(to, r->source, r->n_sources, report->sum.total.self_s);
}

/* Without a preamble: what tells one table from the others. */
static void print_label(FILE *to, const struct reading *r, const struct reading_report *report)
{
	if (report->source == SIZE_MAX || report->thread || r->n_reports == 1)
		return;
	preamble_print_label(to, &r->source[report->source]);
	fputc('\n', to);
}

static int print_heading(FILE *to, const struct reading *r, const struct options *o, size_t i,
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
	return err;
}

static int print_table(FILE *to, const struct profile *p, const struct options *o,
		       const struct report_options *options)
{
	switch (o->listing) {
	case LISTING_CALLERS:
		return report_callers(to, p, options);
	case LISTING_CALLEES:
		return report_callees(to, p, options);
	case LISTING_FUNCTIONS:
		break;
	}
	return report_print(to, p, options);
}

/* --- on a terminal ---------------------------------------------------------------------------- */

/* The window that the report goes to; zeros: none. */
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

/* How many lines a text takes there. */
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
 * Unless somebody has said how much is wanted: a screenful, with what stands above and the prompt
 * below.
 */
static size_t room_for_report(const struct window *window, const struct options *o, size_t above)
{
	size_t lines = window->lines ? window->lines - 1 : 0;

	if (!lines || o->report.n_restrictions)
		return 0;
	return lines >= above + LEAST_LINES ? lines - above : lines;
}

/* Report i with what stands above it. */
static int write_one(FILE *to, const struct reading *r, const struct options *o, size_t i,
		     const struct window *window)
{
	struct report_options options = options_of(o, &r->report[i].sum);
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
	options.escape = window->is_terminal;
	options.columns = window->columns;
	options.max_lines = room_for_report(window, o, count_lines(window, text, n));
	if (!err && !o->check)
		err = print_table(to, &r->report[i].sum.profile, o, &options);
	free(text);
	return err;
}

static int write_text(FILE *to, const struct reading *r, const struct options *o)
{
	struct window window = window_of(to);
	int err = 0;

	for (size_t i = 0; i < r->n_reports && !err; i++)
		err = write_one(to, r, o, i, &window);
	return err;
}

static int write_json(FILE *to, const struct reading *r, const struct options *o)
{
	struct report_options *options = calloc(r->n_reports + 1, sizeof(*options));
	struct json_report *report = calloc(r->n_reports + 1, sizeof(*report));
	int err = options && report ? 0 : -ENOMEM;

	for (size_t i = 0; i < r->n_reports && !err; i++) {
		const struct reading_report *from = &r->report[i];

		options[i] = options_of(o, &from->sum);
		report[i] = (struct json_report){ .profile = &from->sum.profile,
						  .options = &options[i],
						  .source = from->source,
						  .thread = only_thread(r, from) };
	}
	if (!err)
		err = json_write(to, r->source, r->n_sources, report, r->n_reports);
	free(options);
	free(report);
	return err;
}

static int write_to(FILE *to, const struct reading *r, const struct options *o)
{
	int err;

	if (o->format == FORMAT_PSTATS)
		err = pstats_write(to, &r->report[0].sum.profile);
	else if (o->format == FORMAT_JSON)
		err = write_json(to, r, o);
	else
		err = write_text(to, r, o);
	if (!err && fflush(to) != 0)
		err = -errno;
	return err;
}

/* Into a new file that takes the name when it is whole: an old one is never left half written. */
static int write_file(const struct reading *r, const struct options *o)
{
	char *temporary;
	mode_t mask = umask(0);
	FILE *to;
	int fd, err;

	umask(mask);
	if (asprintf(&temporary, "%s.XXXXXX", o->output) < 0)
		return -ENOMEM;
	fd = mkstemp(temporary);
	to = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!to) {
		err = -errno;
		if (fd >= 0)
			close(fd);
	} else {
		err = write_to(to, r, o);
		if (!err && fchmod(fd, 0666 & ~mask) < 0)
			err = -errno;
		if (fclose(to) != 0 && !err)
			err = -errno;
		if (!err && rename(temporary, o->output) < 0)
			err = -errno;
	}
	if (err && fd >= 0)
		unlink(temporary);
	free(temporary);
	return err;
}

/* Devices, pipes and the like are written to, not replaced. */
static bool is_replaceable(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 || S_ISREG(st.st_mode);
}

int output_write(const struct reading *r, const struct options *o)
{
	FILE *to;
	int err;

	if (!o->output)
		return write_to(stdout, r, o);
	if (is_replaceable(o->output))
		return write_file(r, o);
	to = fopen(o->output, "wb");
	if (!to)
		return -errno;
	err = write_to(to, r, o);
	if (fclose(to) != 0 && !err)
		err = -errno;
	return err;
}
