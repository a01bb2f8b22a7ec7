/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "preamble.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "recording/command.h"

/* The text for a count of one, and for other counts. */
struct words {
	const char *one, *many;
};

static const struct words lost_events[PYPROF_LOST_CAUSES] = {
	{ "event lost: the buffer was full (PYSHIM_BUFFER makes it larger)",
	  "events lost: the buffer was full (PYSHIM_BUFFER makes it larger)" },
	{ "event lost: the file could not grow (no space or no permission; PYSHIM_DIR names another "
	  "folder)",
	  "events lost: the file could not grow (no space or no permission; PYSHIM_DIR names "
	  "another folder)" },
	{ "event lost: a reader claimed the ring and did not continue",
	  "events lost: a reader claimed the ring and did not continue" },
	{ "event lost: unknown cause", "events lost: unknown cause" },
};

const char preamble_shared_clock[] =
	"  the time of each thread includes that of the others: the clock is that of the process "
	"(PYSHIM_CLOCK=thread separates them)";

static void print_number(FILE *to, uint64_t n, struct words w)
{
	if (n)
		fprintf(to, "  %" PRIu64 " %s\n", n, n == 1 ? w.one : w.many);
}

#define ONE_OR_MANY(...) ((struct words){ __VA_ARGS__ })

static void print_gaps(FILE *to, const struct source *s)
{
	uint64_t n = s->summary.n_blind_intervals;

	if (n)
		fprintf(to,
			"  %.3f s were not recorded, in %" PRIu64
			" interval%s: the program used the profile hook itself\n",
			(double)s->summary.blind_interval_ticks * s->seconds_per_tick, n,
			n == 1 ? "" : "s");
}

/* Failed checks: errors of pyshim or of the file, not of the program. */
static void print_faults(FILE *to, const struct source *s)
{
	print_number(to, s->summary.n_time_broken,
		     ONE_OR_MANY("ring has self times that do not add up to its total time",
				 "rings have self times that do not add up to their total time"));
	print_number(to, s->summary.n_calls_broken,
		     ONE_OR_MANY("ring has calls that do not add up to its events",
				 "rings have calls that do not add up to their events"));
}

static void print_blind_ends(FILE *to, const struct source *s)
{
	const struct rebuild_summary *sum = &s->summary;
	uint64_t from = sum->blind_from_ticks - sum->first_ticks, n = sum->n_blind_ends;

	if (!n)
		return;
	fprintf(to,
		"  %" PRIu64
		" thread%s not recorded after %.3f s%s, for %.3f s%s: the program took "
		"the profile hook and did not give it back\n",
		n, n == 1 ? " was" : "s were", (double)from * s->seconds_per_tick,
		n == 1 ? "" : " or later", (double)sum->blind_ticks * s->seconds_per_tick,
		n == 1 ? "" : " together");
}

void preamble_print_losses(FILE *to, const struct source *s)
{
	for (int i = 0; i < PYPROF_LOST_CAUSES; i++)
		print_number(to, s->n_lost[i], lost_events[i]);
	print_number(to, s->n_bad,
		     ONE_OR_MANY("part of the file is damaged; the data after it is lost",
				 "parts of the file are damaged; the data after them is lost"));
	print_number(to, s->summary.n_lost_here,
		     ONE_OR_MANY("event lost: pyshim-read was out of memory",
				 "events lost: pyshim-read was out of memory"));
	print_number(to, s->header.n_unnamed,
		     ONE_OR_MANY("function without a name: no space was left for it",
				 "functions without a name: no space was left for them"));
	print_number(
		to, s->summary.n_closed,
		ONE_OR_MANY(
			"call without a return event (greenlets can cause that): its time is "
			"counted up to the end of its caller",
			"calls without a return event (greenlets can cause that): their times are "
			"counted up to the end of their callers"));
	print_gaps(to, s);
	print_blind_ends(to, s);
	print_number(to, s->header.n_subinterpreters,
		     ONE_OR_MANY("subinterpreter was created; its calls are not recorded "
				 "(mod_wsgi: set WSGIApplicationGroup %{GLOBAL} to use none)",
				 "subinterpreters were created; their calls are not recorded "
				 "(mod_wsgi: set WSGIApplicationGroup %{GLOBAL} to use none)"));
	print_number(
		to, s->header.n_images_removed,
		ONE_OR_MANY("program that this process ran before, until execve, is left out: "
			    "only the latest are kept",
			    "programs that this process ran before, until execve, are left out: "
			    "only the latest are kept"));
	print_number(to, s->header.n_lost_children,
		     ONE_OR_MANY("forked child was not recorded: no file could be made for it",
				 "forked children were not recorded: no files could be made for "
				 "them"));
	print_faults(to, s);
}

void preamble_warn(FILE *to, const struct source *s)
{
	if (!source_has_loss(s))
		return;
	fprintf(to, "pyshim-read: read %s: data was lost, or numbers do not add up:\n", s->name);
	preamble_print_losses(to, s);
}

void preamble_print_running(FILE *to, const struct source *s)
{
	bool paused = s->header.paused_ticks != 0;

	print_number(to, s->summary.n_found,
		     ONE_OR_MANY("call was already running when recording started or continued: "
				 "its time is reported, but it is not counted as a call",
				 "calls were already running when recording started or continued: "
				 "their times are reported, but they are not counted as calls"));
	print_number(
		to, s->summary.n_running,
		paused ? ONE_OR_MANY("call was running when the program stopped recording: its "
				     "time is counted up to then",
				     "calls were running when the program stopped recording: their "
				     "times are counted up to then")
		       : ONE_OR_MANY("call was running at the end: its time is counted up to then",
				     "calls were running at the end: their times are counted up to "
				     "then"));
}

static void print_law(FILE *to, const char *law, size_t n_rings, uint64_t n_broken)
{
	fprintf(to, "  %s: %s (%s %zu of %zu ring%s)\n", law, n_broken ? "NO" : "yes",
		n_broken ? "only in" : "in", n_rings - n_broken, n_rings, n_rings == 1 ? "" : "s");
}

void preamble_print_checks(FILE *to, const struct source *s)
{
	const struct rebuild_summary *sum = &s->summary;

	if (s->is_pstats) {
		fputs("  a pstats file has no information about losses\n", to);
		return;
	}
	fprintf(to,
		"  returns without a call: %" PRIu64 " (ignored)\n"
		"  calls without a return: %" PRIu64 " ended with their caller, %" PRIu64
		" ran at the end, %" PRIu64
		" ended at a blind interval, a pause or the end of their thread\n",
		sum->n_unmatched, sum->n_closed, sum->n_running, sum->n_open - sum->n_running);
	print_law(to, "self times add up to the total time", sum->n_rings, sum->n_time_broken);
	print_law(to, "calls by each caller add up to all calls", sum->n_rings,
		  sum->n_calls_broken);
	if (!source_has_loss(s))
		fputs("  nothing was lost\n", to);
}

static void print_age(FILE *to, int64_t made)
{
	double days = difftime(time(NULL), (time_t)made) / 86400;

	if (days < 1)
		fprintf(to, "%.1f hours old", days * 24);
	else
		fprintf(to, "%.0f days old", days);
}

static void print_bounds(FILE *to, const struct correct_result *b)
{
	double moved_s = fabs(b->moved_s) < 5e-7 ? 0 : b->moved_s; /* not -0.000000 */

	if (b->n_bounded == 1)
		fprintf(to,
			"  1 function took less time than the overhead of its calls: its self time is 0, "
			"and %.6f s were subtracted from its callers\n",
			moved_s);
	else if (b->n_bounded)
		fprintf(to,
			"  %zu functions took less time than the overhead of their calls: their self times "
			"are 0, and %.6f s were subtracted from their callers\n",
			b->n_bounded, moved_s);
	if (b->left_s > 1e-6)
		fprintf(to, "  %.6f s of overhead were not subtracted: no time was left\n",
			b->left_s);
}

void preamble_print_correction(FILE *to, const struct source *s)
{
	const struct correct_result *b = &s->bias;

	switch (s->correction) {
	case CORRECTION_MISSING:
		fputs("  raw times: no calibration fits (pyshim-read --calibrate 100000 makes one)\n",
		      to);
		return;
	case CORRECTION_UNWANTED:
		fputs("  raw times\n", to);
		return;
	case CORRECTION_NUMBER:
	case CORRECTION_RECORDED:
		fprintf(to, "  times corrected by %.4g s per event%s",
			calibration_bias(&s->calibration),
			s->correction == CORRECTION_NUMBER ? "" : " (PYSHIM_BIAS)");
		break;
	case CORRECTION_FILE:
	case CORRECTION_KEPT:
		fputs("  times corrected by the calibration that is ", to);
		print_age(to, s->calibration.made);
		break;
	}
	fprintf(to, ": %.3f s of overhead subtracted from %.3f s", b->overhead_s, b->raw_s);
	if (b->scale == 1 && s->calibration.error > 0)
		fprintf(to, " (median error for small programs: %.0f %% of the overhead)",
			s->calibration.error * 100);
	if (b->scale != 1)
		fprintf(to, " (calibrated overhead times %.3f, to match --bare-time)", b->scale);
	fputc('\n', to);
	if (s->calibration.quality.known && !s->calibration.quality.trusted)
		fprintf(to,
			"  this calibration was kept although other work disturbed %.0f %% of its slices: "
			"times may be wrong (calibrate again on an idle machine)\n",
			calibration_disturbed(&s->calibration.quality) * 100);
	print_bounds(to, b);
}

void preamble_print_thread(FILE *to, const struct source *s, const struct rebuild_thread *t)
{
	fprintf(to, "pyshim: %s: ", s->name);
	if (t->number == REPLAY_MIXED_THREADS) {
		fputs("threads that were folded together\n", to);
		return;
	}
	if (t->native_id)
		fprintf(to, "thread %" PRId32 ", #%" PRIu32, t->native_id, t->number);
	else
		fprintf(to, "thread #%" PRIu32, t->number);
	fputs(*t->name ? ", " : "", to);
	for (const char *c = t->name; *c; c++)
		fputc((unsigned char)*c < ' ' || *c == 127 ? '?' : *c, to);
	fputc('\n', to);
}

/* The number of times a name is among the first `n`; 0 if it is also before `at`. */
static unsigned times_named(const struct pyprof_header *h, size_t at, size_t n)
{
	unsigned times = 0;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(h->unrecorded[i], h->unrecorded[at]) != 0)
			continue;
		if (i < at)
			return 0;
		times++;
	}
	return times;
}

/* Children that were not recorded. */
static void print_unrecorded(FILE *to, const struct pyprof_header *h)
{
	size_t n = h->n_unrecorded < PYPROF_UNRECORDED ? h->n_unrecorded : PYPROF_UNRECORDED;
	const char *separator = ": ";

	if (!h->n_unrecorded)
		return;
	fprintf(to,
		"  %" PRIu64 " program%s started without pyshim, so %s children are in no report",
		h->n_unrecorded, h->n_unrecorded == 1 ? " was" : "s were",
		h->n_unrecorded == 1 ? "it and its" : "they and their");
	for (size_t i = 0; i < n; i++) {
		unsigned times = times_named(h, i, n);

		if (!times)
			continue;
		fprintf(to, times > 1 ? "%s%s (%u)" : "%s%s", separator, h->unrecorded[i], times);
		separator = ", ";
	}
	fputs(h->n_unrecorded > n ? ", ...\n" : "\n", to);
}

static const char *state_text(const struct source *s)
{
	if (s->header.replaced_mono_ns)
		return ", before execve";
	if (s->state == OWNER_UNKNOWN)
		return ", perhaps still running (in another PID namespace, not visible from here)";
	return s->live ? ", still running" : "";
}

bool preamble_differ(double a_s, double b_s)
{
	double by_s = fabs(a_s - b_s);

	return by_s >= 0.001 && by_s > 0.01 * fmax(a_s, b_s);
}

/* A part of a difference, unless it is rounded to 0. */
static void print_part(FILE *to, const char **before, double seconds, const char *what)
{
	if (seconds < 0.0005)
		return;
	fprintf(to, "%s%.3f s %s", *before, seconds, what);
	*before = "; ";
}

static void print_total(FILE *to, const struct source *s)
{
	const struct rebuild_summary *sum = &s->summary;
	double recorded_s = source_recorded_s(s), tick_s = s->seconds_per_tick;
	double span_s = (double)sum->span_ticks * tick_s;
	double skipped_s = (double)sum->skipped_ticks * tick_s;
	double gap_s = (double)sum->blind_interval_ticks * tick_s;
	double outside_s = span_s - skipped_s - gap_s - s->bias.overhead_s - s->self_s;
	const char *before = ": ";

	if (s->header.clock == PYPROF_CLOCK_COUNT || !preamble_differ(s->self_s, recorded_s))
		return;
	fprintf(to, "  %.3f s in functions", s->self_s);
	if (sum->n_threads > 1 && preamble_differ(span_s, recorded_s)) {
		fprintf(to, ": %zu threads, %.3f s together", sum->n_threads, span_s);
		before = "; ";
	}
	print_part(to, &before, skipped_s, "of the shim's own work, not included");
	print_part(to, &before, s->bias.overhead_s, "of overhead, subtracted");
	print_part(to, &before, gap_s, "not recorded");
	print_part(to, &before, outside_s,
		   "outside of functions, for example at the exit of the interpreter");
	fputc('\n', to);
}

void preamble_print_label(FILE *to, const struct source *s)
{
	const struct pyprof_header *h = &s->header;
	int words = (int)strcspn(h->python, " ");

	if (s->is_pstats)
		fprintf(to, "pyshim: %s: a pstats file, %zu function%s\n", s->name, s->n_functions,
			s->n_functions == 1 ? "" : "s");
	else
		fprintf(to, "pyshim: %s: CPython %.*s, process %u, child of %u%s%s\n", s->name,
			words, h->python, h->pid, h->parent_pid, h->forked ? " (forked)" : "",
			state_text(s));
}

static void print_details(FILE *to, const struct source *s)
{
	const struct pyprof_header *h = &s->header;

	fprintf(to, "  %s; engine %s; %s\n", h->shim, pyprof_engine_name(h->engine),
		h->builtins ? "with C functions" : "without C functions");
	print_number(to, s->summary.n_unmatched,
		     ONE_OR_MANY("return was ignored: its call began before recording started",
				 "returns were ignored: their calls began before recording "
				 "started"));
}

void preamble_print(FILE *to, const struct source *s, bool verbose, bool total)
{
	const struct pyprof_header *h = &s->header;
	const struct rebuild_summary *sum = &s->summary;

	preamble_print_label(to, s);
	if (s->is_pstats)
		return;
	if (h->n_processes > 1)
		fprintf(to, "  includes %" PRIu64 " forked process%s that ended before it\n",
			h->n_processes - 1, h->n_processes == 2 ? "" : "es");
	fputs("  command: ", to);
	command_print(to, h, 0);
	fprintf(to, "\n  %.3f s recorded, %" PRIu64 " event%s, %zu thread%s, %s\n",
		source_recorded_s(s), sum->n_events, sum->n_events == 1 ? "" : "s", sum->n_threads,
		sum->n_threads == 1 ? "" : "s", pyprof_clock_names(h->clock)->title);
	preamble_print_correction(to, s);
	if (total)
		print_total(to, s);
	if (h->clock == PYPROF_CLOCK_CPU && sum->n_threads > 1) {
		fputs(preamble_shared_clock, to);
		fputc('\n', to);
	}
	if (verbose)
		print_details(to, s);
	if (s->seconds_per_tick == 0)
		fputs("  times are unknown: the recording has no second reading of the clocks, which "
		      "gives the length of a tick\n",
		      to);
	preamble_print_losses(to, s);
	preamble_print_running(to, s);
	print_unrecorded(to, h);
}
