/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "preamble.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static const char *const loss_text[PYPROF_LOST_CAUSES] = {
	"events lost: the buffer was full (PYSHIM_BUFFER)",
	"events lost: the file could not grow",
	"events lost: a reader held the ring and did not go on",
	"events lost: unknown cause",
};

bool preamble_has_loss(const struct source *s)
{
	uint64_t n = s->n_bad + s->summary.n_lost_here + s->summary.n_closed + s->header.n_unnamed +
		     s->summary.n_gaps + s->summary.n_blind_ends + s->summary.n_time_broken +
		     s->summary.n_calls_broken + s->header.n_subinterpreters;

	for (int i = 0; i < PYPROF_LOST_CAUSES; i++)
		n += s->n_lost[i];
	return n != 0;
}

static void print_command(FILE *to, const struct pyprof_header *h)
{
	uint32_t n = h->cmdline_bytes < sizeof(h->cmdline) ? h->cmdline_bytes : sizeof(h->cmdline);

	fputs("  command: ", to);
	for (uint32_t i = 0; i + 1 < n; i++) {
		unsigned char c = (unsigned char)h->cmdline[i];

		fputc(c ? c < ' ' || c == 127 ? '?' : c : ' ', to);
	}
	fputc('\n', to);
}

static const char *clock_name(uint32_t clock)
{
	static const char *const name[] = { "?",
					    "wall clock",
					    "wall clock (no invariant counter)",
					    "process CPU time",
					    "thread CPU time",
					    "counted events" };

	return name[clock];
}

static void print_line_of(FILE *to, uint64_t n, const char *text)
{
	if (n)
		fprintf(to, "  %" PRIu64 " %s\n", n, text);
}

static void print_blind_ends(FILE *to, const struct source *s)
{
	const struct rebuild_summary *sum = &s->summary;
	uint64_t from = sum->blind_from_ticks - sum->first_ticks;

	if (!sum->n_blind_ends)
		return;
	fprintf(to,
		"  %" PRIu64 " thread%s not seen from %.3f s on, %.3f s up to the end: the program "
		"took the profile hook and did not give it back\n",
		sum->n_blind_ends, sum->n_blind_ends == 1 ? " was" : "s were",
		(double)from * s->seconds_per_tick, (double)sum->blind_ticks * s->seconds_per_tick);
}

void preamble_print_losses(FILE *to, const struct source *s)
{
	for (int i = 0; i < PYPROF_LOST_CAUSES; i++)
		print_line_of(to, s->n_lost[i], loss_text[i]);
	print_line_of(to, s->n_bad,
		      "places of the file made no sense; what lay behind them is lost");
	print_line_of(to, s->summary.n_lost_here, "events lost: out of memory here");
	print_line_of(to, s->header.n_unnamed,
		      "functions without a name: no space for it was left");
	print_line_of(to, s->summary.n_closed,
		      "calls whose return is missing, ended with their caller");
	if (s->summary.n_gaps)
		fprintf(to,
			"  %.3f s in %" PRIu64 " gaps were not seen: the program had the profile "
			"hook for itself\n",
			(double)s->summary.gap_ticks * s->seconds_per_tick, s->summary.n_gaps);
	print_blind_ends(to, s);
	print_line_of(to, s->header.n_subinterpreters,
		      "subinterpreters were made; their calls are left out");
	print_line_of(to, s->summary.n_time_broken, "rings whose self times do not add up");
	print_line_of(to, s->summary.n_calls_broken,
		      "rings whose calls do not add up to their events");
	print_line_of(to, s->summary.n_open,
		      "calls were running at the end and are counted up to it");
}

void preamble_print_checks(FILE *to, const struct source *s)
{
	const struct rebuild_summary *sum = &s->summary;

	if (s->is_pstats) {
		fputs("  a pstats file tells nothing of losses\n", to);
		return;
	}
	fprintf(to,
		"  %" PRIu64 " returns without a call were left out; %" PRIu64
		" calls without a return were ended with their caller, %" PRIu64 " at the end\n",
		sum->n_unmatched, sum->n_closed, sum->n_open);
	fprintf(to, "  self times add up to the root's time: %s (%zu of %zu rings)\n",
		sum->n_time_broken ? "NO" : "yes", sum->n_rings - sum->n_time_broken, sum->n_rings);
	fprintf(to, "  caller edges add up to the calls: %s (%zu of %zu rings)\n",
		sum->n_calls_broken ? "NO" : "yes", sum->n_rings - sum->n_calls_broken,
		sum->n_rings);
	if (!preamble_has_loss(s))
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

static void print_correction(FILE *to, const struct source *s)
{
	const struct bias_result *b = &s->bias;

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
		fprintf(to, "  times corrected by %.4g s per event%s", calib_bias(&s->calib),
			s->correction == CORRECTION_NUMBER ? "" : " (PYSHIM_BIAS)");
		break;
	case CORRECTION_FILE:
	case CORRECTION_KEPT:
		fputs("  times corrected by the calibration that is ", to);
		print_age(to, s->calib.made);
		break;
	}
	fprintf(to, ": %.3f s of %.3f s taken out", b->cost_s, b->raw_s);
	if (b->scale == 1 && s->calib.error > 0)
		fprintf(to, ", off by %.0f %% of that at the median of small programs",
			s->calib.error * 100);
	if (b->scale != 1)
		fprintf(to, ", %.3f times as calibrated to meet --bare-time", b->scale);
	fputc('\n', to);
	if (b->n_bounded)
		fprintf(to,
			"  %zu functions took less than the cost of their calls: 0, and %.6f s from their "
			"callers\n",
			b->n_bounded, b->moved_s);
	if (b->left_s > 1e-6)
		fprintf(to, "  %.6f s of the cost found no time to be taken from\n", b->left_s);
}

void preamble_print_thread(FILE *to, const struct source *s, const struct rebuild_thread *t)
{
	fprintf(to, "pyshim: %s: ", s->name);
	if (t->number == REPLAY_SEVERAL) {
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

void preamble_print(FILE *to, const struct source *s, bool verbose)
{
	const struct pyprof_header *h = &s->header;
	const struct rebuild_summary *sum = &s->summary;
	double seconds = (double)(sum->last_ticks - sum->first_ticks) * s->seconds_per_tick;
	int words = (int)strcspn(h->python, " ");

	if (s->is_pstats) {
		fprintf(to, "pyshim: %s: a pstats file, %zu function%s\n", s->name, s->n_functions,
			s->n_functions == 1 ? "" : "s");
		return;
	}
	fprintf(to, "pyshim: %s: CPython %.*s, process %u, child of %u%s%s\n", s->name, words,
		h->python, h->pid, h->parent_pid, h->forked ? " (forked)" : "",
		s->live ? ", still running" : "");
	print_command(to, h);
	fprintf(to, "  %.3f s recorded, %" PRIu64 " events, %zu thread%s, %s\n", seconds,
		sum->n_events, sum->n_threads, sum->n_threads == 1 ? "" : "s",
		clock_name(h->clock));
	print_correction(to, s);
	if (verbose) {
		fprintf(to, "  %s; engine %s; %s\n", h->shim,
			h->engine == PYPROF_ENGINE_MONITORING ? "monitoring" : "tracefunc",
			h->builtins ? "C functions too" : "no C functions");
		print_line_of(to, sum->n_unmatched,
			      "returns from functions that were entered before recording began");
	}
	if (s->seconds_per_tick == 0)
		fputs("  times are unknown: the recording holds no second pair of clocks\n", to);
	preamble_print_losses(to, s);
}
