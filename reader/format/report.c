/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "line.h"
#include "select/shown.h"

/* "12345" or, with recursive calls, "12345/678" */
#define CALLS_BYTES sizeof("18446744073709551615/18446744073709551615")

static void format_calls(char *to, const struct profile_counts *counts)
{
	if (counts->n_calls == counts->n_primitive)
		snprintf(to, CALLS_BYTES, "%" PRIu64, counts->n_calls);
	else
		snprintf(to, CALLS_BYTES, "%" PRIu64 "/%" PRIu64, counts->n_calls,
			 counts->n_primitive);
}

/* C prints a sign before nan, Python does not. */
static double plain_nan(double x)
{
	return isnan(x) ? fabs(x) : x;
}

static void put_seconds(FILE *to, double seconds)
{
	fprintf(to, "%8.3f ", plain_nan(seconds));
}

static void put_per_call(FILE *to, double seconds, uint64_t n)
{
	if (n)
		put_seconds(to, seconds / (double)n);
	else
		fprintf(to, "%9s", "");
}

/* Width of the widest label, in code points, and 2. */
static int widest_label(const struct selected *l)
{
	int widest = 0;

	for (size_t i = 0; i < l->n; i++) {
		int width = (int)line_width(l->label[l->fn[i]]);

		widest = width > widest ? width : widest;
	}
	return widest + 2;
}

/* Precondition: `width` is at least that of the text. */
static void put_padded(FILE *to, struct text t, int width)
{
	line_put(to, t);
	fprintf(to, "%*s", width - (int)line_width(t), "");
}

/* --- limit of lines --------------------------------------------------------------------------- */

#define LINES_BEHIND 3 /* put_rest's line, and two empty ones */

struct lines {
	size_t left; /* SIZE_MAX: no limit */
	size_t columns;
};

static struct lines lines_of(const struct report_options *options)
{
	return (struct lines){ .left = options->max_lines ? options->max_lines : SIZE_MAX,
			       .columns = options->columns };
}

/* Takes `n` lines, or those that are left. */
static void lines_take(struct lines *lines, size_t n)
{
	if (lines->left != SIZE_MAX)
		lines->left -= n < lines->left ? n : lines->left;
}

static void lines_take_text(struct lines *lines, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		lines_take(lines, text[i] == '\n');
}

/* Number of terminal lines for a line of this width, in code points. */
static size_t lines_wide(const struct lines *lines, size_t width)
{
	return lines->columns && width ? (width + lines->columns - 1) / lines->columns : 1;
}

/* True if `n` more lines fit, and put_rest's line below them, unless they are the last. */
static bool lines_fit(const struct lines *lines, size_t n, bool last)
{
	return lines->left == SIZE_MAX || n + (last ? 2 : LINES_BEHIND) <= lines->left;
}

/* Counts the functions that are left out: all except `first` of `n`. */
static void put_rest(FILE *to, size_t n, size_t first)
{
	size_t rest = n - first;

	if (!rest)
		return;
	fprintf(to, "   %zu more row%s: -r . lists %s", rest, rest == 1 ? "" : "s",
		rest == 1 ? "it" : "all");
	if (rest > first)
		fprintf(to, ", -r %zu the first %zu", 2 * first, 2 * first);
	fputc('\n', to);
}

/* 0 or -errno of the last output. */
static int stream_error(FILE *to)
{
	if (!ferror(to))
		return 0;
	return errno ? -errno : -EIO;
}

static int stream_finish(FILE *to)
{
	if (fflush(to))
		return errno ? -errno : -EIO;
	return stream_error(to);
}

static void put_name(FILE *to, struct text name, bool escape)
{
	struct shown shown = { .n_escaped = 0 };

	if (!escape || !shown_escape(&shown, &name, 1))
		line_put(to, name);
	shown_close(&shown);
}

/*
 * pstats names the functions that (jprofile, 0, profiler) called: the root of an early profiler of
 * Python.
 */
static void put_top_level(FILE *to, const struct profile *p, bool escape)
{
	struct text file = { "jprofile", 8 }, name = { "profiler", 8 };
	size_t top = profile_find(p, file, 0, name);

	if (top == SIZE_MAX)
		return;
	for (size_t i = 0; i < p->n_listed; i++) {
		const struct profile_fn *fn = &p->fn[p->listed[i]];

		for (size_t k = 0; k < fn->n_callers; k++) {
			if (fn->caller[k].caller != top)
				continue;
			fputs("         ", to);
			put_name(to, fn->name, escape);
			fputc('\n', to);
		}
	}
}

void report_put_sums(FILE *to, const struct profile_counts *total)
{
	fprintf(to, "         %" PRIu64 " function calls ", total->n_calls);
	if (total->n_calls != total->n_primitive)
		fprintf(to, "(%" PRIu64 " primitive calls) ", total->n_primitive);
	fprintf(to, "in %.3f seconds\n\n", plain_nan(total->self_s));
}

static void put_row(FILE *to, const struct profile_counts *counts, struct text label,
		    bool exceptions)
{
	char calls[CALLS_BYTES];

	format_calls(calls, counts);
	fprintf(to, "%9s ", calls);
	put_seconds(to, counts->self_s);
	put_per_call(to, counts->self_s, counts->n_calls);
	put_seconds(to, counts->total_s);
	put_per_call(to, counts->total_s, counts->n_primitive);
	if (exceptions)
		fprintf(to, "%8" PRIu64 " ", counts->n_exceptions);
	line_put(to, label);
	fputc('\n', to);
}

static void put_columns(FILE *to, const struct report_options *options)
{
	fputs(options->sampled ? " nsamples  tottime persample cumtime persample"
			       : "   ncalls  tottime  percall  cumtime  percall",
	      to);
	fputs(options->exceptions ? "   raised filename:lineno(function)\n"
				  : " filename:lineno(function)\n",
	      to);
}

#define COLUMNS_WIDTH 71   /* titles of the columns */
#define ROW_WIDTH 46	   /* columns before a label */
#define EXCEPTIONS_WIDTH 9 /* the column of exceptions, in addition */

/* Prints the functions that fit. */
static int put_rows(FILE *to, const struct profile *p, const struct selected *l,
		    const struct report_options *options, struct lines *lines)
{
	size_t before = ROW_WIDTH + (options->exceptions ? EXCEPTIONS_WIDTH : 0), i;
	int err = 0;

	for (i = 0; i < l->n && !(err = stream_error(to)); i++) {
		struct text label = l->label[l->fn[i]];
		size_t n = lines_wide(lines, before + line_width(label));

		if (i && !lines_fit(lines, n, i + 1 == l->n))
			break;
		put_row(to, &p->fn[l->fn[i]].counts, label, options->exceptions);
		lines_take(lines, n);
	}
	put_rest(to, err ? i : l->n, i);
	return err;
}

int report_print(FILE *to, const struct profile *p, const struct report_options *options,
		 struct error *e)
{
	struct profile_counts total = options->total ? *options->total : profile_total(p);
	struct lines lines = lines_of(options);
	struct selected l;
	int err = selection_apply(&options->select, p, &l, e);

	if (err)
		return err;
	errno = 0;
	put_top_level(to, p, options->select.escape);
	report_put_sums(to, &total);
	lines_take(&lines, 2);
	if (l.n) {
		fwrite(l.heading, 1, l.n_heading, to);
		lines_take_text(&lines, l.heading, l.n_heading);
		put_columns(to, options);
		lines_take(&lines, lines_wide(&lines, COLUMNS_WIDTH + (options->exceptions
									       ? EXCEPTIONS_WIDTH
									       : 0)));
		err = put_rows(to, p, &l, options, &lines);
		fputs("\n\n", to);
	}
	selected_fini(&l);
	return err ? err : stream_finish(to);
}

/* A line below a function: a caller or a callee of it. */
struct call {
	const struct profile_fn *fn;
	struct text label;
	const struct profile_edge *edge;
};

static int call_cmp(const void *a, const void *b)
{
	return profile_fn_cmp(((const struct call *)a)->fn, ((const struct call *)b)->fn);
}

/* Lines of all functions. Those of function i are call[start[i]] to call[start[i + 1] - 1]. */
struct calls {
	size_t *start;
	struct call *call;
};

static void calls_fini(struct calls *c)
{
	free(c->start);
	free(c->call);
}

/*
 * Puts every edge of a listed callee below its callee, or with `by_caller` below its caller.
 * Without `place` it only counts in start[i]. With it, it fills call[start[i]] and increments
 * start[i], up to the next function's start.
 */
static void calls_scan(struct calls *c, const struct profile *p, const struct profile *edges,
		       const struct text *label, bool by_caller, bool place)
{
	for (size_t i = 0; i < edges->n_listed; i++) {
		size_t callee = edges->listed[i];

		for (size_t k = 0; k < edges->fn[callee].n_callers; k++) {
			const struct profile_edge *edge = &edges->fn[callee].caller[k];
			size_t above = by_caller ? edge->caller : callee;
			size_t below = by_caller ? callee : edge->caller;

			if (place)
				c->call[c->start[above]] =
					(struct call){ &p->fn[below], label[below], edge };
			c->start[above]++;
		}
	}
}

/* Counts to offsets: every entry becomes the sum of those before it. */
static void calls_sum(struct calls *c, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		size_t count = c->start[i];

		c->start[i] = sum;
		sum += count;
	}
}

/* Sorts the lines. `edges` has the functions of `p` at the same indices; it may lack the last. */
static int calls_init(struct calls *c, const struct profile *p, const struct profile *edges,
		      const struct text *label, bool by_caller)
{
	c->start = calloc(p->n_fns + 1, sizeof(*c->start));
	c->call = reallocarray(NULL, edges->n_edges + 1, sizeof(*c->call));
	if (!c->start || !c->call) {
		calls_fini(c);
		return -ENOMEM;
	}
	calls_scan(c, p, edges, label, by_caller, false);
	calls_sum(c, p->n_fns);
	calls_scan(c, p, edges, label, by_caller, true);
	/* Each entry is now the end of its lines, which is the next function's start. */
	memmove(c->start + 1, c->start, p->n_fns * sizeof(*c->start));
	c->start[0] = 0;
	for (size_t i = 0; i < p->n_fns; i++)
		qsort(c->call + c->start[i], c->start[i + 1] - c->start[i], sizeof(*c->call),
		      call_cmp);
	return 0;
}

/* The columns have titles if the first function with callers has times for them, as in pstats. */
static void put_call_heading(FILE *to, const struct profile *p, int width, const char *title,
			     bool sampled)
{
	fprintf(to, "%-*s%s\n", width, "Function ", title);
	for (size_t i = 0; i < p->n_listed; i++) {
		const struct profile_fn *fn = &p->fn[p->listed[i]];

		if (!fn->n_callers)
			continue;
		if (!fn->caller[0].only_calls)
			fprintf(to, "%*s    %s  tottime  cumtime\n", width, "",
				sampled ? "nsamples" : "ncalls");
		break;
	}
}

/* `first`: on the line of its function, behind `width` columns and the arrow. */
static void put_call(FILE *to, const struct call *call, int width, bool first)
{
	const struct profile_counts *counts = &call->edge->counts;
	char calls[CALLS_BYTES];

	if (call->edge->only_calls) {
		fprintf(to, "%*s", first ? 0 : width + 3, "");
		line_put(to, call->label);
		fprintf(to, "(%" PRIu64 ") %8.3f\n", counts->n_calls,
			plain_nan(call->fn->counts.total_s));
		return;
	}
	format_calls(calls, counts);
	fprintf(to, "%*s%*s ", first ? 0 : width + 1, "", first ? 7 : 9, calls);
	put_seconds(to, counts->self_s);
	put_seconds(to, counts->total_s);
	fputc(' ', to);
	line_put(to, call->label);
	fputc('\n', to);
}

#define CALL_WIDTH 30 /* columns before the label of a call, with the arrow */

/* Number of lines of a function with its callers or callees. */
static size_t lines_of_calls(const struct lines *lines, const struct calls *c, size_t fn, int width)
{
	size_t n = 0;

	for (size_t k = c->start[fn]; lines->left != SIZE_MAX && k < c->start[fn + 1]; k++)
		n += lines_wide(lines, (size_t)width + CALL_WIDTH + line_width(c->call[k].label));
	return n ? n : 1;
}

static int put_calls(FILE *to, const struct selected *l, int width, const struct calls *c,
		     const char *arrow, struct lines *lines)
{
	size_t i;
	int err = 0;

	for (i = 0; i < l->n && !(err = stream_error(to)); i++) {
		size_t first = c->start[l->fn[i]], end = c->start[l->fn[i] + 1];
		size_t n = lines_of_calls(lines, c, l->fn[i], width);

		if (i && !lines_fit(lines, n, i + 1 == l->n))
			break;
		lines_take(lines, n);
		put_padded(to, l->label[l->fn[i]], width);
		fputs(arrow, to);
		for (size_t k = first; k < end; k++)
			put_call(to, &c->call[k], width, k == first);
		if (first == end)
			fputc('\n', to);
	}
	put_rest(to, err ? i : l->n, i);
	return err;
}

#define TITLE_WIDTH 16 /* of "was called by..." */

static int report_calls(FILE *to, const struct profile *p, const struct report_options *options,
			bool by_caller, struct error *e)
{
	struct lines lines = lines_of(options);
	struct selected l;
	struct calls c;
	int width, err = selection_apply(&options->select, p, &l, e);

	if (err)
		return err;
	width = widest_label(&l);
	err = calls_init(&c, p, by_caller && options->edges ? options->edges : p, l.label,
			 by_caller);
	if (err)
		goto out;
	errno = 0;
	if (l.n) {
		fwrite(l.heading, 1, l.n_heading, to);
		lines_take_text(&lines, l.heading, l.n_heading);
		lines_take(&lines, lines_wide(&lines, (size_t)width + TITLE_WIDTH));
		lines_take(&lines, lines_wide(&lines, (size_t)width + CALL_WIDTH));
		put_call_heading(to, p, width, by_caller ? "called..." : "was called by...",
				 options->sampled);
		err = put_calls(to, &l, width, &c, by_caller ? "-> " : "<- ", &lines);
		fputs("\n\n", to);
	}
	if (!err)
		err = stream_finish(to);
	calls_fini(&c);
out:
	selected_fini(&l);
	return err;
}

int report_callers(FILE *to, const struct profile *p, const struct report_options *options,
		   struct error *e)
{
	return report_calls(to, p, options, false, e);
}

int report_callees(FILE *to, const struct profile *p, const struct report_options *options,
		   struct error *e)
{
	return report_calls(to, p, options, true, e);
}
