/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "select/match.h"
#include "select/shown.h"

/* What one report shows: the functions left after all restrictions, in order. */
struct listing {
	size_t *fn;
	size_t n;
	struct text *label; /* of every function of the profile */
	struct shown shown; /* what some of them lead to */
	char *heading;	    /* how it was ordered and reduced */
	size_t n_heading;
	int width; /* of the widest label, in code points, and 2 */
};

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

/* C would print a sign before nan, Python does not. */
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

static void put_text(FILE *to, struct text t)
{
	const unsigned char *s = (const unsigned char *)t.bytes;
	size_t from = 0;

	for (size_t at = 0; at + 2 < t.n; at++) {
		if (s[at] != 0xed || s[at + 1] < 0xa0)
			continue;
		fwrite(s + from, 1, at - from, to);
		fprintf(to, "\\u%04x", 0xd000u | (s[at + 1] & 0x3fu) << 6 | (s[at + 2] & 0x3fu));
		from = at + 3;
		at += 2;
	}
	fwrite(s + from, 1, t.n - from, to);
}

/* Code points: every byte but those that continue one. */
static int text_width(struct text t)
{
	int width = 0;

	for (size_t i = 0; i < t.n; i++)
		width += ((unsigned char)t.bytes[i] & 0xc0) != 0x80;
	return width;
}

/* `width` is at least that of the text. */
static void put_padded(FILE *to, struct text t, int width)
{
	put_text(to, t);
	fprintf(to, "%*s", width - text_width(t), "");
}

/* Python's repr of a fraction in [0, 1): the fewest digits that read back as the same double. */
static void put_fraction(FILE *to, double fraction)
{
	char digits[40];
	int precision = 1;

	do
		snprintf(digits, sizeof(digits), "%.*g", precision++, fraction);
	while (strtod(digits, NULL) != fraction && precision <= 17);
	fputs(digits, to);
	if (!strpbrk(digits, ".e"))
		fputs(".0", to);
}

/* True and *keep set, where the restriction is one that could reduce a list of `n`. */
static bool restriction_keeps(const struct restriction *r, size_t n, size_t *keep)
{
	if (r->kind == RESTRICT_FRACTION) {
		if (!(r->fraction >= 0 && r->fraction < 1))
			return false;
		*keep = (size_t)((double)n * r->fraction + .5);
		return true;
	}
	if (r->count < 0)
		return false;
	*keep = (size_t)r->count;
	return true;
}

/* Keeps those that the pattern is found in. 0 or -errno. */
static int listing_search(struct listing *l, struct match *m, struct error *e)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		int found = match_search(m, l->label[l->fn[i]], e);

		if (found < 0)
			return found;
		if (found)
			l->fn[n++] = l->fn[i];
	}
	l->n = n;
	return 0;
}

static int restrict_by_pattern(struct listing *l, struct text pattern, FILE *heading,
			       struct error *e)
{
	struct match m;
	int err = match_open(&m, pattern, e);

	if (!err) {
		err = listing_search(l, &m, e);
		match_close(&m);
	} else if (err == -EINVAL) {
		fputs("   <Invalid regular expression ", heading);
		err = match_put_repr(heading, pattern);
		fputs(">\n", heading);
	}
	return err;
}

static int put_restriction(FILE *heading, const struct restriction *r)
{
	switch (r->kind) {
	case RESTRICT_FRACTION:
		put_fraction(heading, r->fraction);
		return 0;
	case RESTRICT_COUNT:
		fprintf(heading, "%" PRId64, r->count);
		return 0;
	case RESTRICT_PATTERN:
		break;
	}
	return match_put_repr(heading, r->pattern);
}

static int restrict_listing(struct listing *l, const struct restriction *r, FILE *heading,
			    struct error *e)
{
	size_t before = l->n, keep;
	int err = 0;

	if (r->kind == RESTRICT_PATTERN)
		err = restrict_by_pattern(l, r->pattern, heading, e);
	else if (restriction_keeps(r, before, &keep) && keep < before)
		l->n = keep;
	if (err || l->n == before)
		return err;
	fprintf(heading, "   List reduced from %zu to %zu due to restriction <", before, l->n);
	err = put_restriction(heading, r);
	fputs(">\n", heading);
	return err;
}

static void put_order(FILE *heading, const struct sort_keys *keys)
{
	if (!keys->n_keys)
		fputs("   Random listing order was used\n", heading);
	for (size_t i = 0; i < keys->n_keys; i++)
		fprintf(heading, "%s%s", i ? ", " : "   Ordered by: ", sort_key_title(keys, i));
	if (keys->n_keys)
		fputc('\n', heading);
}

static int listing_reduce(struct listing *l, const struct report_options *options, struct error *e)
{
	FILE *heading = open_memstream(&l->heading, &l->n_heading);
	int err = 0;

	if (!heading)
		return -ENOMEM;
	put_order(heading, &options->sort);
	for (size_t i = 0; i < options->n_restrictions && !err; i++)
		err = restrict_listing(l, &options->restriction[i], heading, e);
	fputc('\n', heading);
	if (fclose(heading) && !err)
		err = -ENOMEM;
	return err;
}

static int listing_width(const struct listing *l)
{
	int widest = 0;

	for (size_t i = 0; i < l->n; i++) {
		int width = text_width(l->label[l->fn[i]]);

		widest = width > widest ? width : widest;
	}
	return widest + 2;
}

static void listing_close(struct listing *l)
{
	free(l->fn);
	free(l->label);
	shown_close(&l->shown);
	free(l->heading);
}

/* From the labels that pstats has to those that are printed. */
static int listing_show(struct listing *l, const struct profile *p,
			const struct report_options *options)
{
	int err = 0;

	if (!options->qualnames)
		err = shown_tell_apart(&l->shown, p, l->fn, l->n, l->label);
	if (!err && options->escape)
		err = shown_escape(&l->shown, l->label, p->n_fns);
	return err;
}

static int listing_open(struct listing *l, const struct profile *p,
			const struct report_options *options, struct error *e)
{
	int err = -ENOMEM;

	memset(l, 0, sizeof(*l));
	l->fn = reallocarray(NULL, p->n_listed + 1, sizeof(*l->fn));
	l->label = options->qualnames ? profile_qualified_labels(p) : profile_labels(p);
	if (!l->fn || !l->label)
		goto out;
	l->n = p->n_listed;
	err = sort_keys_apply(p, &options->sort, options->reverse, l->fn);
	if (err)
		goto out;
	err = listing_reduce(l, options, e);
	if (!err)
		err = listing_show(l, p, options);
	l->width = listing_width(l);
out:
	if (err)
		listing_close(l);
	return err;
}

int report_choose(const struct profile *p, const struct report_options *options, size_t **fn,
		  size_t *n, struct error *e)
{
	struct listing l;
	int err = listing_open(&l, p, options, e);

	if (err)
		return err;
	*fn = l.fn;
	*n = l.n;
	l.fn = NULL;
	listing_close(&l);
	return 0;
}

/* --- how much of it there is room for --------------------------------------------------------- */

#define LINES_BEHIND 3 /* what tells of the rest, and two empty ones */

struct lines {
	size_t left; /* SIZE_MAX: no limit */
	size_t columns;
};

static struct lines lines_of(const struct report_options *options)
{
	return (struct lines){ .left = options->max_lines ? options->max_lines : SIZE_MAX,
			       .columns = options->columns };
}

/* Takes `n` lines; fewer may be there. */
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

/* As many as a line of this width takes. */
static size_t lines_wide(const struct lines *lines, size_t width)
{
	return lines->columns && width ? (width + lines->columns - 1) / lines->columns : 1;
}

/* Whether `n` more fit, with something below them where they are not the last. */
static bool lines_fit(const struct lines *lines, size_t n, bool last)
{
	return lines->left == SIZE_MAX || n + (last ? 2 : LINES_BEHIND) <= lines->left;
}

/* Of `n` functions, `first` are printed. */
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

/* The stream's state after what was just printed. */
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
		put_text(to, name);
	shown_close(&shown);
}

/* pstats names the functions that a fake one of its earliest days called. */
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

static void put_sums(FILE *to, const struct profile_counts *total)
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
	put_text(to, label);
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

#define COLUMNS_WIDTH 71   /* their titles */
#define ROW_WIDTH 46	   /* before a label */
#define EXCEPTIONS_WIDTH 9 /* more */

/* The functions, as many as there is room for. */
static int put_rows(FILE *to, const struct profile *p, const struct listing *l,
		    const struct report_options *options, struct lines *lines)
{
	size_t before = ROW_WIDTH + (options->exceptions ? EXCEPTIONS_WIDTH : 0), i;
	int err = 0;

	for (i = 0; i < l->n && !(err = stream_error(to)); i++) {
		struct text label = l->label[l->fn[i]];
		size_t n = lines_wide(lines, before + (size_t)text_width(label));

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
	struct listing l;
	int err = listing_open(&l, p, options, e);

	if (err)
		return err;
	errno = 0;
	put_top_level(to, p, options->escape);
	put_sums(to, &total);
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
	listing_close(&l);
	return err ? err : stream_finish(to);
}

/* One line under a function: another that called it, or that it called. */
struct call {
	const struct profile_fn *fn;
	struct text label;
	const struct profile_edge *edge;
};

static int call_cmp(const void *a, const void *b)
{
	return profile_fn_cmp(((const struct call *)a)->fn, ((const struct call *)b)->fn);
}

/* The calls of function i are from call[start[i]] to before call[start[i + 1]], sorted. */
struct calls {
	size_t *start;
	struct call *call;
};

static void calls_close(struct calls *c)
{
	free(c->start);
	free(c->call);
}

/*
 * Puts every edge of a listed function below its callee or, `by_caller`, below its caller. With
 * `place` it fills start[i]... and moves start[i] on to start[i + 1]; without, it only counts.
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

/* Counts to places: every entry becomes the sum of those before it. */
static void calls_sum(struct calls *c, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		size_t count = c->start[i];

		c->start[i] = sum;
		sum += count;
	}
}

/* `edges` has the same functions at the same places, but maybe not the last ones. */
static int calls_open(struct calls *c, const struct profile *p, const struct profile *edges,
		      const struct text *label, bool by_caller)
{
	c->start = calloc(p->n_fns + 1, sizeof(*c->start));
	c->call = reallocarray(NULL, edges->n_edges + 1, sizeof(*c->call));
	if (!c->start || !c->call) {
		calls_close(c);
		return -ENOMEM;
	}
	calls_scan(c, p, edges, label, by_caller, false);
	calls_sum(c, p->n_fns);
	calls_scan(c, p, edges, label, by_caller, true);
	/* Each start has moved on to its end, the next one's start. */
	memmove(c->start + 1, c->start, p->n_fns * sizeof(*c->start));
	c->start[0] = 0;
	for (size_t i = 0; i < p->n_fns; i++)
		qsort(c->call + c->start[i], c->start[i + 1] - c->start[i], sizeof(*c->call),
		      call_cmp);
	return 0;
}

/* The columns have a title if the first function with callers has more than counts of them. */
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

/* `first`: on the line of the function that it belongs to, which is `width` and the arrow. */
static void put_call(FILE *to, const struct call *call, int width, bool first)
{
	const struct profile_counts *counts = &call->edge->counts;
	char calls[CALLS_BYTES];

	if (call->edge->only_calls) {
		fprintf(to, "%*s", first ? 0 : width + 3, "");
		put_text(to, call->label);
		fprintf(to, "(%" PRIu64 ") %8.3f\n", counts->n_calls,
			plain_nan(call->fn->counts.total_s));
		return;
	}
	format_calls(calls, counts);
	fprintf(to, "%*s%*s ", first ? 0 : width + 1, "", first ? 7 : 9, calls);
	put_seconds(to, counts->self_s);
	put_seconds(to, counts->total_s);
	fputc(' ', to);
	put_text(to, call->label);
	fputc('\n', to);
}

#define CALL_WIDTH 30 /* before the label of a call, the arrow among it */

/* How many lines a function takes, with those it calls or is called by. */
static size_t lines_of_calls(const struct lines *lines, const struct calls *c, size_t fn, int width)
{
	size_t n = 0;

	for (size_t k = c->start[fn]; lines->left != SIZE_MAX && k < c->start[fn + 1]; k++)
		n += lines_wide(lines, (size_t)(width + CALL_WIDTH + text_width(c->call[k].label)));
	return n ? n : 1;
}

static int put_calls(FILE *to, const struct listing *l, const struct calls *c, const char *arrow,
		     struct lines *lines)
{
	size_t i;
	int err = 0;

	for (i = 0; i < l->n && !(err = stream_error(to)); i++) {
		size_t first = c->start[l->fn[i]], end = c->start[l->fn[i] + 1];
		size_t n = lines_of_calls(lines, c, l->fn[i], l->width);

		if (i && !lines_fit(lines, n, i + 1 == l->n))
			break;
		lines_take(lines, n);
		put_padded(to, l->label[l->fn[i]], l->width);
		fputs(arrow, to);
		for (size_t k = first; k < end; k++)
			put_call(to, &c->call[k], l->width, k == first);
		if (first == end)
			fputc('\n', to);
	}
	put_rest(to, err ? i : l->n, i);
	return err;
}

#define TITLE_WIDTH 16 /* "was called by..." */

static int report_calls(FILE *to, const struct profile *p, const struct report_options *options,
			bool by_caller, struct error *e)
{
	struct lines lines = lines_of(options);
	struct listing l;
	struct calls c;
	int err = listing_open(&l, p, options, e);

	if (err)
		return err;
	err = calls_open(&c, p, by_caller && options->edges ? options->edges : p, l.label,
			 by_caller);
	if (err)
		goto out;
	errno = 0;
	if (l.n) {
		fwrite(l.heading, 1, l.n_heading, to);
		lines_take_text(&lines, l.heading, l.n_heading);
		lines_take(&lines, lines_wide(&lines, (size_t)l.width + TITLE_WIDTH));
		lines_take(&lines, lines_wide(&lines, (size_t)l.width + CALL_WIDTH));
		put_call_heading(to, p, l.width, by_caller ? "called..." : "was called by...",
				 options->sampled);
		err = put_calls(to, &l, &c, by_caller ? "-> " : "<- ", &lines);
		fputs("\n\n", to);
	}
	if (!err)
		err = stream_finish(to);
	calls_close(&c);
out:
	listing_close(&l);
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

int restriction_check(const struct restriction *r, struct error *e)
{
	struct match m;
	int err = r->kind == RESTRICT_PATTERN ? match_open(&m, r->pattern, e) : 0;

	if (!err && r->kind == RESTRICT_PATTERN)
		match_close(&m);
	return err;
}

/* What strtod takes and Python's float does not: hexadecimal, and nan(...). */
static bool is_strange(const char *text)
{
	return strpbrk(text, "xX(");
}

void restriction_parse(const char *text, struct restriction *out)
{
	char *end;

	*out = (struct restriction){ .kind = RESTRICT_PATTERN, .pattern = { text, strlen(text) } };
	if (!*text || is_strange(text))
		return;
	out->count = strtoll(text, &end, 10);
	if (!*end) { /* one out of range is the largest, which restricts nothing either */
		out->kind = RESTRICT_COUNT;
		return;
	}
	out->fraction = strtod(text, &end);
	if (!*end)
		out->kind = RESTRICT_FRACTION;
}
