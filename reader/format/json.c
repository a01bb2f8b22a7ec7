/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "put.h"
#include "recording/command.h"

#ifndef PYSHIM_VERSION
#define PYSHIM_VERSION "unknown"
#endif

/* --- functions -------------------------------------------------------------------------------- */

static void put_name(struct put *j, const struct profile_fn *fn)
{
	put_key(j, "file_name");
	put_text(j, fn->file);
	put_key(j, "line_number");
	put_int(j, fn->line);
	put_key(j, "name");
	put_text(j, fn->name);
}

/* In pstats' form: "7", or "9/1" with recursive calls. */
static void put_ncalls(struct put *j, const struct profile_counts *c)
{
	put_key(j, "ncalls");
	put_separator(j);
	if (c->n_calls == c->n_primitive)
		fprintf(j->to, "\"%" PRIu64 "\"", c->n_calls);
	else
		fprintf(j->to, "\"%" PRIu64 "/%" PRIu64 "\"", c->n_calls, c->n_primitive);
	put_key_count(j, "total_calls", c->n_calls);
	put_key_count(j, "primitive_calls", c->n_primitive);
}

static void put_times(struct put *j, const struct profile_counts *c)
{
	put_key_seconds(j, "tottime", c->self_s);
	put_key_seconds(j, "cumtime", c->total_s);
	put_key_seconds(j, "raw_tottime", c->self_s + c->self_overhead_s);
	put_key_seconds(j, "raw_cumtime", c->total_s + c->total_overhead_s);
}

static void put_caller(struct put *j, const struct profile *p, const struct profile_edge *edge)
{
	static const struct profile_counts unknown = { .self_s = NAN, .total_s = NAN };

	put_begin(j, "{");
	put_name(j, &p->fn[edge->caller]);
	put_ncalls(j, &edge->counts);
	put_key_count(j, "exceptions", edge->counts.n_exceptions);
	put_times(j, edge->only_calls ? &unknown : &edge->counts);
	put_end(j, "}");
}

/* -1 for no calls, as in pstats' FunctionProfile. */
static double per_call(double seconds, uint64_t n)
{
	return n ? seconds / (double)n : -1;
}

static void put_function(struct put *j, const struct profile *p, const struct profile_fn *fn)
{
	const struct profile_counts *c = &fn->counts;

	put_begin_line(j, "{");
	put_name(j, fn);
	put_key(j, "qualname");
	put_text(j, fn->qualname);
	put_ncalls(j, c);
	put_key_count(j, "exceptions", c->n_exceptions);
	put_times(j, c);
	put_key_seconds(j, "percall_tottime", per_call(c->self_s, c->n_calls));
	put_key_seconds(j, "percall_cumtime", per_call(c->total_s, c->n_primitive));
	/* correct.h: a self time that was less than its overhead is reported as 0. */
	put_key_bool(j, "tottime_is_bound", c->self_s == 0 && c->self_overhead_s > 0);
	put_key_bool(j, "cumtime_is_bound", fn->is_bound);
	put_key(j, "callers");
	put_begin(j, "[");
	for (size_t i = 0; i < fn->n_callers; i++)
		put_caller(j, p, &fn->caller[i]);
	put_end(j, "]");
	put_end(j, "}");
}

static void put_thread(struct put *j, const struct rebuild_thread *t)
{
	put_begin(j, "{");
	put_key_count(j, "number", t->number);
	put_key(j, "native_id");
	if (t->native_id)
		put_int(j, t->native_id);
	else
		put_null(j);
	put_key_string(j, "name", t->name);
	put_key_bool(j, "several", t->number == REPLAY_MIXED_THREADS);
	put_end(j, "}");
}

static void put_groups(struct put *j, const struct request *q)
{
	put_key(j, "grouped_by");
	if (request_grouped_by(q))
		put_string(j, request_grouped_by(q));
	else
		put_null(j);
	put_key_bool(j, "imports_as_one", q->imports_as_one);
}

/* `fn`: the functions to list, in order. */
static void put_report(struct put *j, const struct json_report *r, const size_t *fn, size_t n)
{
	struct profile_counts sum = profile_total(r->profile);
	const struct profile_counts *total = r->options->total ? r->options->total : &sum;

	put_begin_line(j, "{");
	put_key(j, "source");
	if (r->source == SIZE_MAX)
		put_null(j);
	else
		put_count(j, r->source);
	put_key(j, "thread");
	if (r->thread)
		put_thread(j, r->thread);
	else
		put_null(j);
	put_key_bool(j, "sampled", r->options->sampled);
	put_groups(j, r->request);
	put_key_count(j, "total_calls", total->n_calls);
	put_key_count(j, "primitive_calls", total->n_primitive);
	put_key_seconds(j, "total_tt", total->self_s);
	put_key_seconds(j, "raw_total_tt", total->self_s + sum.self_overhead_s);
	put_key(j, "functions");
	put_begin(j, "[");
	for (size_t i = 0; i < n && !ferror_unlocked(j->to); i++)
		put_function(j, r->profile, &r->profile->fn[fn[i]]);
	put_end(j, "]");
	put_end(j, "}");
}

/* --- sources ---------------------------------------------------------------------------------- */

static void put_command(struct put *j, const struct pyprof_header *h)
{
	size_t n = command_bytes(h);

	put_key(j, "command");
	put_begin(j, "[");
	for (size_t at = 0; at < n;) {
		size_t bytes = strnlen(h->cmdline + at, n - at);

		put_text(j, (struct text){ h->cmdline + at, bytes });
		at += bytes + 1;
	}
	put_end(j, "]");
	put_key_bool(j, "command_is_cut", h->cmdline_bytes > n);
}

static void put_process(struct put *j, const struct source *s)
{
	const struct pyprof_header *h = &s->header;
	const struct rebuild_summary *sum = &s->summary;

	put_key(j, "python");
	put_bounded_string(j, h->python, sizeof(h->python));
	put_key(j, "shim");
	put_bounded_string(j, h->shim, sizeof(h->shim));
	put_key_string(j, "engine", pyprof_engine_name(h->engine));
	put_key_string(j, "clock", pyprof_clock_names(h->clock)->setting);
	put_key_bool(j, "builtins", h->builtins);
	put_key_count(j, "process", h->pid);
	put_key_count(j, "parent", h->parent_pid);
	put_key_bool(j, "forked", h->forked);
	put_key_bool(j, "running", s->live);
	put_command(j, h);
	put_key_seconds(j, "started", (double)h->start_realtime_ns * 1e-9);
	put_key_seconds(j, "recorded_s", source_recorded_s(s));
	put_key_count(j, "events", sum->n_events);
	put_key_count(j, "n_threads", sum->n_threads);
	put_key(j, "threads");
	put_begin(j, "[");
	for (size_t i = 0; i < sum->n_listed; i++)
		put_thread(j, &sum->thread[i]);
	put_end(j, "]");
	put_key_count(j, "open_calls", sum->n_running);
	put_key_count(j, "unmatched_returns", sum->n_unmatched);
}

static void put_losses(struct put *j, const struct source *s)
{
	const struct rebuild_summary *sum = &s->summary;
	const uint64_t *lost = s->n_lost;

	put_key(j, "losses");
	put_begin(j, "{");
	put_key_count(j, "events_buffer", lost[PYPROF_LOST_BUDGET]);
	put_key_count(j, "events_storage", lost[PYPROF_LOST_STORAGE]);
	put_key_count(j, "events_reader", lost[PYPROF_LOST_READER]);
	put_key_count(j, "events_unknown", lost[PYPROF_LOST_CAUSES - 1]);
	put_key_count(j, "events_memory", sum->n_lost_here);
	put_key_count(j, "bad_places", s->n_bad);
	put_key_count(j, "unnamed_functions", s->header.n_unnamed);
	put_key_count(j, "missing_returns", sum->n_closed);
	put_key_count(j, "gaps", sum->n_blind_intervals);
	put_key_seconds(j, "gaps_s", (double)sum->blind_interval_ticks * s->seconds_per_tick);
	put_key_count(j, "blind_threads", sum->n_blind_ends);
	put_key_seconds(j, "blind_s", (double)sum->blind_ticks * s->seconds_per_tick);
	put_key_count(j, "subinterpreters", s->header.n_subinterpreters);
	put_key_count(j, "images_removed", s->header.n_images_removed);
	put_key_count(j, "lost_children", s->header.n_lost_children);
	put_key_count(j, "rings_with_wrong_times", sum->n_time_broken);
	put_key_count(j, "rings_with_wrong_calls", sum->n_calls_broken);
	put_end(j, "}");
	put_key_bool(j, "is_whole", !source_has_loss(s));
}

/* `quality` is null if it is unknown: the calibration is one number, or its file is older. */
static void put_quality(struct put *j, const struct calibration_quality *q)
{
	put_key(j, "quality");
	if (!q->known) {
		put_null(j);
		return;
	}
	put_begin(j, "{");
	put_key_bool(j, "is_trusted", q->trusted);
	put_key_count(j, "n_slices", q->n_slices);
	put_key_count(j, "n_waited", q->n_waited);
	put_key_count(j, "n_slower", q->n_slower);
	put_key_count(j, "n_crowded", q->n_crowded);
	put_key_seconds(j, "others", q->others);
	put_key_seconds(j, "steal", q->steal);
	put_key_seconds(j, "throttled", q->throttled);
	put_key_seconds(j, "reference_s", q->reference_s);
	put_end(j, "}");
}

static void put_calibration(struct put *j, const struct calibration *c)
{
	put_key(j, "calibration");
	put_begin(j, "{");
	put_key_seconds(j, "bias", calibration_bias(c));
	put_key_seconds(j, "bytecode", c->bytecode);
	put_key_seconds(j, "cold", c->cold);
	put_key_seconds(j, "error", c->error);
	put_key(j, "made");
	put_int(j, c->made);
	put_quality(j, &c->quality);
	put_key(j, "costs");
	put_begin(j, "{");
	for (int i = 0; i < OVERHEAD_KINDS; i++) {
		put_key(j, overhead_kind[i].name);
		put_begin(j, "{");
		put_key_seconds(j, "in_s", c->overhead[i].in_s);
		put_key_seconds(j, "out_s", c->overhead[i].out_s);
		put_key_seconds(j, "spread_s", c->overhead[i].spread_s);
		put_end(j, "}");
	}
	put_end(j, "}");
	put_end(j, "}");
}

/* `correction` is null if the times are raw. */
static void put_correction(struct put *j, const struct source *s)
{
	static const char *const by[] = { "missing", "none", "number", "recorded", "file", "kept" };

	put_key_string(j, "corrected_by", by[s->correction]);
	put_key(j, "correction");
	if (s->correction < CORRECTION_NUMBER) {
		put_null(j);
		return;
	}
	put_begin(j, "{");
	put_key_seconds(j, "scale", s->bias.scale);
	put_key_seconds(j, "raw_s", s->bias.raw_s);
	put_key_seconds(j, "cost_s", s->bias.overhead_s);
	put_key_count(j, "n_bounded", s->bias.n_bounded);
	put_key_seconds(j, "moved_s", s->bias.moved_s);
	put_key_seconds(j, "left_s", s->bias.left_s);
	put_calibration(j, &s->calibration);
	put_end(j, "}");
}

static void put_source(struct put *j, const struct source *s)
{
	put_begin_line(j, "{");
	put_key_string(j, "name", s->name);
	put_key_string(j, "kind", s->is_pstats ? "pstats" : "recording");
	if (!s->is_pstats) {
		put_process(j, s);
		put_losses(j, s);
		put_correction(j, s);
	}
	put_end(j, "}");
}

/* --- the document ----------------------------------------------------------------------------- */

static void put_head(struct put *j, const struct source *sources, size_t n)
{
	put_begin(j, "{");
	put_key_string(j, "format", "pyshim-profile");
	put_key_count(j, "version", JSON_VERSION);
	put_key_string(j, "generator", "pyshim-read " PYSHIM_VERSION);
	put_key(j, "sources");
	put_begin(j, "[");
	for (size_t i = 0; i < n; i++)
		put_source(j, &sources[i]);
	put_end(j, "]");
	put_key(j, "reports");
	put_begin(j, "[");
}

int json_write(FILE *to, const struct source *sources, size_t n_sources,
	       const struct json_report *reports, size_t n_reports, struct error *e)
{
	struct put j = { .to = to };
	int err = 0;

	errno = 0;
	for (size_t i = 0; i < n_reports && !err; i++) {
		struct selected chosen;

		err = selection_apply(&reports[i].options->select, reports[i].profile, &chosen, e);
		if (err)
			break;
		if (!i)
			put_head(&j, sources, n_sources);
		put_report(&j, &reports[i], chosen.fn, chosen.n);
		selected_fini(&chosen);
	}
	if (!err && !n_reports)
		put_head(&j, sources, n_sources);
	if (!err) {
		put_end(&j, "]");
		put_end(&j, "}\n");
	}
	if (!err && (fflush(to) || ferror(to)))
		err = errno ? -errno : -EIO;
	return err;
}
