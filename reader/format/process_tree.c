/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "process_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recording/command.h"

#define COMMAND_BYTES 100u /* of a command, if the width of lines is not known */
#define LEAST_BYTES 10u	   /* of a command, in narrow lines */
#define BEFORE_COMMAND 73u /* columns */
#define INDENT 2u
#define MAX_DEPTH 16u

#define NO_PARENT SIZE_MAX

/* The sources of a table, as a tree of processes. */
struct tree {
	const struct source *source;
	size_t n;
	size_t *by_pid; /* the sources by PID, those of one PID by their start */
	size_t *parent; /* NO_PARENT: its parent is not a source, or it is a pstats file */
	size_t *first;	/* the child of each that started first ... */
	size_t *next;	/* ... and the next child of the same parent */
	size_t columns;
};

static int cmp(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int cmp_start(const void *a, const void *b, void *arg)
{
	const struct source *source = arg;

	return cmp(source[*(const size_t *)a].header.start_mono_ns,
		   source[*(const size_t *)b].header.start_mono_ns);
}

static int cmp_pid(const void *a, const void *b, void *arg)
{
	const struct source *source = arg;
	int order =
		cmp(source[*(const size_t *)a].header.pid, source[*(const size_t *)b].header.pid);

	return order ? order : cmp_start(a, b, arg);
}

/* True if `parent` has the same boot and PID namespace, and started before `child`. */
static bool may_be_parent(const struct source *parent, const struct source *child)
{
	const struct pyprof_header *a = &parent->header, *b = &child->header;

	return !parent->is_pstats && !strcmp(a->boot_id, b->boot_id) &&
	       a->pid_namespace == b->pid_namespace && a->start_mono_ns < b->start_mono_ns;
}

/* The number of sources whose PID is not greater. */
static size_t count_up_to(const struct tree *t, uint32_t pid)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->source[t->by_pid[middle]].header.pid <= pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * The last recording with the parent's PID that began before the child. There may be several: one
 * for each program that the parent ran before execve.
 */
static size_t find_parent(const struct tree *t, size_t child)
{
	uint32_t pid = t->source[child].header.parent_pid;

	for (size_t i = count_up_to(t, pid); i; i--) {
		size_t at = t->by_pid[i - 1];

		if (t->source[at].header.pid != pid)
			break;
		if (may_be_parent(&t->source[at], &t->source[child]))
			return at;
	}
	return NO_PARENT;
}

/* Starts with the latest, because each is put in front of its siblings. */
static void find_children(struct tree *t, const size_t *by_start)
{
	for (size_t i = t->n; i; i--) {
		size_t child = by_start[i - 1], parent;

		parent = t->source[child].is_pstats ? NO_PARENT : find_parent(t, child);
		t->parent[child] = parent;
		if (parent == NO_PARENT)
			continue;
		t->next[child] = t->first[parent];
		t->first[parent] = child;
	}
}

static int tree_open(struct tree *t)
{
	size_t *by_start = malloc(t->n * sizeof(*by_start));

	t->by_pid = malloc(t->n * sizeof(*t->by_pid));
	t->parent = malloc(t->n * sizeof(*t->parent));
	t->first = malloc(t->n * sizeof(*t->first));
	t->next = malloc(t->n * sizeof(*t->next));
	if (!by_start || !t->by_pid || !t->parent || !t->first || !t->next) {
		free(by_start);
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->n; i++) {
		by_start[i] = t->by_pid[i] = i;
		t->first[i] = t->next[i] = NO_PARENT;
	}
	qsort_r(by_start, t->n, sizeof(*by_start), cmp_start, (void *)t->source);
	qsort_r(t->by_pid, t->n, sizeof(*t->by_pid), cmp_pid, (void *)t->source);
	find_children(t, by_start);
	free(by_start);
	return 0;
}

static void tree_close(struct tree *t)
{
	free(t->by_pid);
	free(t->parent);
	free(t->first);
	free(t->next);
}

/* --- rows ------------------------------------------------------------------------------------- */

static void put_time(FILE *to, double seconds)
{
	if (isnan(seconds))
		fprintf(to, "%9s ", "-");
	else
		fprintf(to, "%9.3f ", seconds);
}

static double wall_seconds(const struct source *s)
{
	bool wall = s->header.clock == PYPROF_CLOCK_TSC || s->header.clock == PYPROF_CLOCK_WALL;

	return wall ? source_recorded_s(s) : NAN;
}

static uint64_t events_lost(const struct source *s)
{
	uint64_t n = s->summary.n_lost_here;

	for (int i = 0; i < PYPROF_LOST_CAUSES; i++)
		n += s->n_lost[i];
	return n;
}

static void put_lost(FILE *to, const struct source *s)
{
	uint64_t n = events_lost(s);

	if (n)
		fprintf(to, "%9" PRIu64 " ", n);
	else
		fprintf(to, "%9s ", source_has_loss(s) ? "other" : "-");
}

static bool same_command(const struct pyprof_header *a, const struct pyprof_header *b)
{
	return a->cmdline_bytes == b->cmdline_bytes &&
	       !memcmp(a->cmdline, b->cmdline, sizeof(a->cmdline));
}

/* The bytes that fit in the line of a command, after the columns before it. */
static size_t room_for_command(const struct tree *t, size_t indent)
{
	size_t before = BEFORE_COMMAND + indent;

	if (!t->columns)
		return COMMAND_BYTES;
	return t->columns > before + LEAST_BYTES ? t->columns - before : LEAST_BYTES;
}

static void put_command(FILE *to, const struct tree *t, size_t i, size_t depth)
{
	const struct source *s = &t->source[i];
	size_t indent = (depth < MAX_DEPTH ? depth : MAX_DEPTH) * INDENT;

	fprintf(to, " %*s", (int)indent, "");
	if (t->parent[i] != NO_PARENT && s->header.forked &&
	    same_command(&s->header, &t->source[t->parent[i]].header))
		fputs("(forked)", to);
	else
		command_print(to, &s->header, room_for_command(t, indent));
	fputc('\n', to);
}

static void put_row(FILE *to, const struct tree *t, size_t i, size_t depth)
{
	const struct source *s = &t->source[i];

	fprintf(to, "%9u %8u ", s->header.pid, s->header.parent_pid);
	put_time(to, wall_seconds(s));
	put_time(to, s->cpu_s);
	fprintf(to, "%11" PRIu64 " %7zu ", s->summary.n_events, s->summary.n_threads);
	put_lost(to, s);
	put_command(to, t, i, depth);
}

/* A process and its descendants. A parent started before its child, so there is no circle. */
static void put_rows(FILE *to, const struct tree *t, size_t root)
{
	size_t at = root;
	size_t depth = 0;

	for (;;) {
		put_row(to, t, at, depth);
		if (t->first[at] != NO_PARENT) {
			at = t->first[at];
			depth++;
			continue;
		}
		while (at != root && t->next[at] == NO_PARENT) {
			at = t->parent[at];
			depth--;
		}
		if (at == root)
			return;
		at = t->next[at];
	}
}

/* --- facts about all processes ---------------------------------------------------------------- */

static size_t count(const struct tree *t, bool (*is)(const struct source *s))
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += is(&t->source[i]);
	return n;
}

static bool is_pstats(const struct source *s)
{
	return s->is_pstats;
}

static bool is_live(const struct source *s)
{
	return s->live;
}

static bool is_missing(const struct source *s)
{
	return !s->is_pstats && s->correction == CORRECTION_MISSING;
}

static bool is_corrected(const struct source *s)
{
	return !s->is_pstats && s->correction >= CORRECTION_NUMBER;
}

static bool shares_clock(const struct source *s)
{
	return !s->is_pstats && s->header.clock == PYPROF_CLOCK_CPU && s->summary.n_threads > 1;
}

/* " (n of N processes)", unless n is N. */
static void put_share(FILE *to, size_t n, size_t all)
{
	if (n < all)
		fprintf(to, " (%zu of %zu processes)", n, all);
	fputc('\n', to);
}

/* A property of the sources, each value once. */
static void put_distinct(FILE *to, const struct tree *t, void (*put)(FILE *, const struct source *),
			 bool (*same)(const struct source *, const struct source *))
{
	for (size_t i = 0; i < t->n; i++) {
		bool seen = t->source[i].is_pstats;

		for (size_t k = 0; k < i && !seen; k++)
			seen = !t->source[k].is_pstats && same(&t->source[k], &t->source[i]);
		if (seen)
			continue;
		fputs(", ", to);
		put(to, &t->source[i]);
	}
}

static void put_python(FILE *to, const struct source *s)
{
	fprintf(to, "CPython %.*s", (int)strcspn(s->header.python, " "), s->header.python);
}

static bool same_python(const struct source *a, const struct source *b)
{
	return !strcmp(a->header.python, b->header.python);
}

static void put_clock(FILE *to, const struct source *s)
{
	fputs(pyprof_clock_names(s->header.clock)->title, to);
}

static bool same_clock(const struct source *a, const struct source *b)
{
	return a->header.clock == b->header.clock;
}

static void put_head(FILE *to, const struct tree *t, size_t n_processes)
{
	fprintf(to, "pyshim: %zu recording%s", n_processes, n_processes == 1 ? "" : "s");
	if (n_processes < t->n)
		fprintf(to, " and %zu pstats file%s", t->n - n_processes,
			t->n - n_processes == 1 ? "" : "s");
	put_distinct(to, t, put_python, same_python);
	put_distinct(to, t, put_clock, same_clock);
	fputc('\n', to);
	if (n_processes)
		fprintf(to, "%9s %8s %9s %9s %11s %7s %9s  %s\n", "pid", "parent", "wall", "cpu",
			"events", "threads", "lost", "command");
}

static void put_corrections(FILE *to, const struct tree *t, size_t n_processes)
{
	size_t n_missing = count(t, is_missing), n_corrected = count(t, is_corrected);
	double overhead_s = 0, raw_s = 0;

	if (n_missing) {
		fputs("  raw times: no calibration fits (pyshim-read --calibrate 100000 makes one)",
		      to);
		put_share(to, n_missing, n_processes);
	}
	for (size_t i = 0; i < t->n; i++) {
		overhead_s += is_corrected(&t->source[i]) ? t->source[i].bias.overhead_s : 0;
		raw_s += is_corrected(&t->source[i]) ? t->source[i].bias.raw_s : 0;
	}
	if (n_corrected) {
		fprintf(to, "  times corrected: %.3f s of overhead subtracted from %.3f s",
			overhead_s, raw_s);
		put_share(to, n_corrected, n_processes);
	}
}

/* Adds them up in nanoseconds, with the earliest of all, from the first event of its process. */
static void add_blind_ends(struct rebuild_summary *sum, const struct rebuild_summary *more,
			   double tick_ns)
{
	double from_ns = (double)(more->blind_from_ticks - more->first_ticks) * tick_ns;

	if (!more->n_blind_ends)
		return;
	if (!sum->n_blind_ends || from_ns < (double)sum->blind_from_ticks)
		sum->blind_from_ticks = (uint64_t)from_ns;
	sum->n_blind_ends += more->n_blind_ends;
	sum->blind_ticks += (uint64_t)((double)more->blind_ticks * tick_ns);
}

/* Adds the counts of one source to those of all. */
static void add_source(struct source *all, const struct source *s)
{
	const struct rebuild_summary *more = &s->summary;
	struct rebuild_summary *sum = &all->summary;

	for (int i = 0; i < PYPROF_LOST_CAUSES; i++)
		all->n_lost[i] += s->n_lost[i];
	all->n_bad += s->n_bad;
	all->header.n_unnamed += s->header.n_unnamed;
	all->header.n_subinterpreters += s->header.n_subinterpreters;
	all->header.n_images_removed += s->header.n_images_removed;
	all->header.n_lost_children += s->header.n_lost_children;
	sum->n_lost_here += more->n_lost_here;
	sum->n_closed += more->n_closed;
	sum->n_blind_intervals += more->n_blind_intervals;
	sum->blind_interval_ticks +=
		(uint64_t)((double)more->blind_interval_ticks * s->seconds_per_tick * 1e9);
	add_blind_ends(sum, more, s->seconds_per_tick * 1e9);
	sum->n_time_broken += more->n_time_broken;
	sum->n_calls_broken += more->n_calls_broken;
	sum->n_running += more->n_running;
	sum->n_found += more->n_found;
}

static void put_remarks(FILE *to, const struct tree *t, size_t n_processes)
{
	struct source all = { .seconds_per_tick = 1e-9 };
	size_t n_live = count(t, is_live), n_shared = count(t, shares_clock);

	put_corrections(to, t, n_processes);
	if (n_live) {
		fputs("  still running", to);
		put_share(to, n_live, n_processes);
	}
	if (n_shared) {
		fputs(preamble_shared_clock, to);
		put_share(to, n_shared, n_processes);
	}
	for (size_t i = 0; i < t->n; i++)
		add_source(&all, &t->source[i]);
	preamble_print_losses(to, &all);
	preamble_print_running(to, &all);
	if (n_processes)
		fputs("  (-v shows more about each process)\n", to);
}

int process_tree_print(FILE *to, const struct source *sources, size_t n, size_t columns)
{
	struct tree t = { .source = sources, .n = n, .columns = columns };
	size_t n_processes = n - count(&t, is_pstats);
	int err = tree_open(&t);

	if (!err) {
		put_head(to, &t, n_processes);
		for (size_t i = 0; i < n; i++) {
			if (!sources[i].is_pstats && t.parent[i] == NO_PARENT)
				put_rows(to, &t, i);
		}
		put_remarks(to, &t, n_processes);
	}
	tree_close(&t);
	return err;
}
