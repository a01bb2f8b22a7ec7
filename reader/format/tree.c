/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "line.h"
#include "select/match.h"
#include "select/shown.h"

#define NUMBERS_WIDTH 39     /* columns before a label */
#define CUMCALLS_WIDTH 9     /* the column of --calls, in addition */
#define MOST_INDENTATION 40u /* columns of lines that lead to a label */
#define LEAST_LABEL 20u	     /* columns of a label that is cut */

struct tree {
	const struct contexts *c; /* all, or those below the root */
	struct contexts below;	  /* these */
	struct frames frames;
	struct shown shown; /* owns labels that were escaped */
	const struct tree_options *o;
	/* The children of node n are child[start[n]] to child[start[n + 1] - 1]. */
	uint32_t *start, *child;
	uint64_t *calls; /* of each node and of all below it */
	double folded_s; /* left out: its paths are not known */
	size_t n_roots;	 /* nodes that are added up */
};

static void tree_fini(struct tree *t)
{
	contexts_fini(&t->below);
	shown_close(&t->shown);
	frames_close(&t->frames);
	free(t->start);
	free(t->child);
	free(t->calls);
}

/* --- the root --------------------------------------------------------------------------------- */

/* Sets wanted[] for functions whose label matches. Returns their number, or -errno. */
static int find_wanted(const struct frames *f, struct text pattern, bool *wanted, struct error *e)
{
	const struct contexts *c = f->contexts;
	struct frames_functions called;
	struct match m;
	int n_found = 0, found = 0, err = match_init(&m, pattern, e);

	if (!err)
		err = frames_functions_init(&called, c);
	else
		called = (struct frames_functions){ .n = 0 };
	for (uint32_t i = 0; !err && i < called.n; i++) {
		found = match_search(&m, f->label[called.fn[i]], e);
		err = found < 0 ? found : 0;
		wanted[called.fn[i]] = found > 0;
		n_found += found > 0;
	}
	frames_functions_fini(&called);
	match_fini(&m);
	return err ? err : n_found;
}

int tree_has_root(const struct contexts *c, const struct tree_options *o,
		  const struct report_options *report, struct error *e)
{
	bool *wanted = calloc(c->names.n_fns + 1, sizeof(*wanted));
	struct frames f;
	int n = frames_open(&f, c, report->select.qualnames);

	n = wanted ? n : -ENOMEM;
	if (!n)
		n = find_wanted(&f, o->root, wanted, e);
	frames_close(&f);
	free(wanted);
	return n > 0 ? 1 : n;
}

/* Counts the outermost nodes that match, and the time whose paths are not known. */
static void count_roots(struct tree *t, const struct contexts *all, const bool *wanted)
{
	for (uint32_t n = 1; n < all->n_nodes; n++) {
		const struct context *x = &all->node[n];
		uint32_t above = x->parent;

		if (x->flags & CONTEXT_FOLDED)
			t->folded_s += x->total_s;
		if (!wanted[x->fn] || all->node[above].flags & CONTEXT_FOLDED)
			continue;
		while (above && !wanted[all->node[above].fn])
			above = all->node[above].parent;
		t->n_roots += !above;
	}
}

/* Takes what is below the functions that match as the tree. 0 or -errno. */
static int choose_root(struct tree *t, struct error *e)
{
	const struct contexts *all = t->c;
	bool *wanted = calloc(all->names.n_fns + 1, sizeof(*wanted));
	int err = wanted ? contexts_init(&t->below) : -ENOMEM;

	if (!err)
		err = find_wanted(&t->frames, t->o->root, wanted, e);
	if (err >= 0)
		err = contexts_below(&t->below, all, wanted);
	if (!err) {
		contexts_finish(&t->below);
		count_roots(t, all, wanted);
		t->c = &t->below;
	}
	free(wanted);
	return err;
}

/* --- children --------------------------------------------------------------------------------- */

/* The nearest node above that is shown, or 0. */
static uint32_t parent_of(const struct tree *t, uint32_t n)
{
	do
		n = t->c->node[n].parent;
	while (n && !contexts_shows(t->c, n));
	return n;
}

static int list_children(struct tree *t)
{
	uint32_t n_nodes = t->c->n_nodes;

	t->start = calloc(n_nodes + 2ull, sizeof(*t->start));
	t->child = calloc(n_nodes + 1ull, sizeof(*t->child));
	t->calls = calloc(n_nodes + 1ull, sizeof(*t->calls));
	if (!t->start || !t->child || !t->calls)
		return -ENOMEM;
	/* Counts two places ahead, so that start[n + 1] can move on as n gets its children. */
	for (uint32_t n = 1; n < n_nodes; n++) {
		if (contexts_shows(t->c, n))
			t->start[parent_of(t, n) + 2]++;
	}
	for (uint32_t n = 1; n <= n_nodes; n++)
		t->start[n + 1] += t->start[n];
	for (uint32_t n = 1; n < n_nodes; n++) {
		if (contexts_shows(t->c, n))
			t->child[t->start[parent_of(t, n) + 1]++] = n;
	}
	for (uint32_t n = n_nodes; n--;) {
		t->calls[n] += t->c->node[n].n_calls;
		if (n)
			t->calls[t->c->node[n].parent] += t->calls[n];
	}
	return 0;
}

static int tree_init(struct tree *t, const struct contexts *c, const struct tree_options *o,
		     bool qualnames, struct error *e)
{
	int err = frames_open(&t->frames, c, qualnames);

	t->c = c;
	t->o = o;
	if (!err && o->root.bytes)
		err = choose_root(t, e);
	if (!err)
		err = shown_escape(&t->shown, t->frames.label, c->names.n_fns);
	return err ? err : list_children(t);
}

static double weight_of(const struct tree *t, uint32_t n)
{
	return t->o->by_calls ? (double)t->calls[n] : t->c->node[n].total_s;
}

static double percent_of(const struct tree *t, double weight)
{
	double whole = weight_of(t, 0);

	return whole > 0 ? 100 * weight / whole : 0;
}

/* More time, or more calls, first; equal ones in the order of their first calls. */
static int cmp_weight(const void *a, const void *b, void *arg)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	double of_x = weight_of(arg, x), of_y = weight_of(arg, y);

	if (of_x != of_y)
		return of_x < of_y ? 1 : -1;
	return (x > y) - (x < y);
}

/* --- lines ------------------------------------------------------------------------------------ */

/* A node that is still to be printed. */
struct row {
	uint32_t node, depth; /* calls from the outermost one to it, which is 1 */
	size_t n_lines;	      /* bytes of rows.lines before it */
	enum { ONLY_CHILD, CHILD, LAST_CHILD } is;
};

struct rows {
	struct row *row; /* a stack: the next one is last */
	size_t n, cap;
	char *lines; /* what leads to the label */
	size_t cap_lines;
	size_t columns; /* of the terminal, or 0 */
	size_t n_printed;
};

/* The children of a row: the first ones are shown. */
struct below {
	uint32_t *child;
	uint32_t n, n_shown;
	double rest; /* the weight of the others */
};

static struct below find_below(struct tree *t, const struct row *row)
{
	struct below b = { .child = t->child + t->start[row->node],
			   .n = t->start[row->node + 1] - t->start[row->node] };
	bool is_deepest = t->o->max_depth && row->depth >= t->o->max_depth;

	qsort_r(b.child, b.n, sizeof(*b.child), cmp_weight, t);
	while (!is_deepest && b.n_shown < b.n &&
	       percent_of(t, weight_of(t, b.child[b.n_shown])) >= t->o->min_percent)
		b.n_shown++;
	for (uint32_t i = b.n_shown; i < b.n; i++)
		b.rest += weight_of(t, b.child[i]);
	return b;
}

/* Adds the children that are shown, the first one last. */
static int push(struct rows *rows, const struct tree *t, const struct row *of,
		const struct below *b)
{
	size_t n_lines = of->n_lines + (of->is == ONLY_CHILD ? 0 : 2);

	if (rows->n + b->n_shown > rows->cap) {
		size_t cap = 2 * (rows->n + b->n_shown);
		struct row *more = reallocarray(rows->row, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		rows->row = more;
		rows->cap = cap;
	}
	for (uint32_t i = b->n_shown; i--;) {
		bool is_level = t->c->node[b->child[i]].flags & CONTEXT_LEVELS;

		rows->row[rows->n++] = (struct row){ .node = b->child[i],
						     .depth = of->depth + !is_level,
						     .n_lines = n_lines,
						     .is = b->n_shown == 1	? ONLY_CHILD
							   : i + 1 < b->n_shown ? CHILD
										: LAST_CHILD };
	}
	return 0;
}

/* The columns of lines that lead to a label: a third of what the numbers leave of a terminal. */
static size_t most_indentation(const struct rows *rows)
{
	size_t room = rows->columns > NUMBERS_WIDTH ? rows->columns - NUMBERS_WIDTH : 0;

	if (!rows->columns || room / 3 > MOST_INDENTATION)
		return MOST_INDENTATION;
	return room / 6 * 2;
}

/* Prints the lines that lead to a label, the innermost ones if they are too many. Returns their
 * width.
 */
static size_t put_lines(FILE *to, const struct rows *rows, const struct row *row)
{
	size_t most = most_indentation(rows);
	size_t n = row->n_lines, cut = n > most ? n - most : 0;

	if (cut)
		fputc('~', to);
	fwrite(rows->lines + cut, 1, n - cut, to);
	if (row->is != ONLY_CHILD)
		fputs(row->is == LAST_CHILD ? "`-" : "|-", to);
	return n - cut + (cut ? 1 : 0) + (row->is != ONLY_CHILD ? 2 : 0);
}

/* Sets what leads to the labels below a row. */
static int extend_lines(struct rows *rows, const struct row *row)
{
	if (row->is == ONLY_CHILD)
		return 0;
	if (row->n_lines + 2 > rows->cap_lines) {
		size_t cap = 2 * row->n_lines + 64;
		char *more = realloc(rows->lines, cap);

		if (!more)
			return -ENOMEM;
		rows->lines = more;
		rows->cap_lines = cap;
	}
	memcpy(rows->lines + row->n_lines, row->is == CHILD ? "| " : "  ", 2);
	return 0;
}

static const char *format_percent(char to[32], double percent)
{
	snprintf(to, 32, percent > 0 && percent < .05 ? "<0.1 %%" : "%.1f %%", percent);
	return to;
}

static void format_remarks(char *to, size_t n, const struct tree *t, uint32_t node,
			   const struct below *b)
{
	bool is_open = node && t->c->node[node].flags & CONTEXT_OPEN;
	char percent[32];

	snprintf(to, n, "%s", is_open ? "  [running]" : "");
	if (b->n_shown < b->n)
		snprintf(to + strlen(to), n - strlen(to), "  ... %" PRIu32 " more, %s",
			 b->n - b->n_shown, format_percent(percent, percent_of(t, b->rest)));
}

/* Prints a label, without its beginning if it does not fit beside the columns used. */
static void put_label(FILE *to, struct text label, size_t columns, size_t used)
{
	size_t room = columns > used ? columns - used : 0;

	room = room > LEAST_LABEL ? room : LEAST_LABEL;
	if (columns && line_width(label) > room) {
		fputs("...", to);
		label = line_tail(label, room - 3);
	}
	line_put(to, label);
}

static void put_numbers(FILE *to, const struct tree *t, const struct row *row)
{
	const struct context *x = &t->c->node[row->node];
	bool is_level = x->flags & CONTEXT_LEVELS;

	fprintf(to, "%5.1f %8.3f %8.3f ", percent_of(t, weight_of(t, row->node)), x->total_s,
		x->self_s);
	if (t->o->by_calls)
		fprintf(to, "%8" PRIu64 " ", t->calls[row->node]);
	if (is_level)
		fprintf(to, "%14s ", "");
	else
		fprintf(to, "%8" PRIu64 " %5" PRIu32 " ", x->n_calls, row->depth);
}

static int put_row(FILE *to, struct tree *t, struct rows *rows, struct row row)
{
	struct below b = find_below(t, &row);
	size_t used = NUMBERS_WIDTH + (t->o->by_calls ? CUMCALLS_WIDTH : 0);
	char remarks[100];
	int err;

	format_remarks(remarks, sizeof(remarks), t, row.node, &b);
	put_numbers(to, t, &row);
	used += put_lines(to, rows, &row) + strlen(remarks);
	put_label(to, t->frames.label[t->c->node[row.node].fn], rows->columns, used);
	fprintf(to, "%s\n", remarks);
	rows->n_printed++;
	err = extend_lines(rows, &row);
	return err ? err : push(rows, t, &row, &b);
}

/* The root is not a row; what it leaves out is. */
static int put_rows(FILE *to, struct tree *t, struct rows *rows)
{
	struct row root = { .is = ONLY_CHILD };
	struct below b = find_below(t, &root);
	char remarks[100];
	int err = push(rows, t, &root, &b);

	while (rows->n && !err && !ferror(to))
		err = put_row(to, t, rows, rows->row[--rows->n]);
	format_remarks(remarks, sizeof(remarks), t, 0, &b);
	if (*remarks && !err)
		fprintf(to, "%*s%s\n", NUMBERS_WIDTH + (t->o->by_calls ? CUMCALLS_WIDTH : 0) - 2,
			"", remarks);
	return err;
}

/* --- above and below the lines ---------------------------------------------------------------- */

static void put_root(FILE *to, const struct tree *t, const struct contexts *all)
{
	char percent[32];
	double whole = all->node[0].total_s;

	fputs("   Below: functions that match ", to);
	match_put_repr(to, t->o->root);
	fprintf(to, ", %zu context%s, %s of the time\n", t->n_roots, t->n_roots == 1 ? "" : "s",
		format_percent(percent, whole > 0 ? 100 * t->c->node[0].total_s / whole : 0));
	if (t->folded_s > 0)
		fprintf(to,
			"   Left out: %s of the time, which was folded because the buffer was full; "
			"its paths are not known\n",
			format_percent(percent, 100 * t->folded_s / whole));
}

static void put_heading(FILE *to, const struct tree *t, const struct contexts *all)
{
	fprintf(to, "   Ordered by: %s\n",
		t->o->by_calls ? "calls, with those of callees" : "cumulative time");
	if (t->o->root.bytes)
		put_root(to, t, all);
	fprintf(to, "\n    %%  cumtime  tottime %s  ncalls depth filename:lineno(function)\n",
		t->o->by_calls ? "cumcalls " : "");
}

static void put_rest(FILE *to, const struct tree *t, const struct rows *rows)
{
	size_t n = 0;

	for (uint32_t i = 1; i < t->c->n_nodes; i++)
		n += contexts_shows(t->c, i);
	if (rows->n_printed < n)
		fprintf(to, "   %zu of %zu calling contexts: --min 0 shows all%s\n",
			rows->n_printed, n, t->o->max_depth ? " of that depth" : "");
}

int tree_print(FILE *to, const struct contexts *c, const struct tree_options *o,
	       const struct report_options *report, struct error *e)
{
	struct tree t = { .n_roots = 0 };
	struct rows rows = { .columns = report->columns };
	int err = tree_init(&t, c, o, report->select.qualnames, e);

	if (!err) {
		errno = 0;
		report_put_sums(to, report->total);
		put_heading(to, &t, c);
		err = put_rows(to, &t, &rows);
		put_rest(to, &t, &rows);
		fputs("\n\n", to);
	}
	if (!err && (fflush(to) || ferror(to)))
		err = errno ? -errno : -EIO;
	free(rows.row);
	free(rows.lines);
	tree_fini(&t);
	return err;
}
