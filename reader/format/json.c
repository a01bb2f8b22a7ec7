/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recording/command.h"

#ifndef PYSHIM_VERSION
#define PYSHIM_VERSION "unknown"
#endif

/* --- values ----------------------------------------------------------------------------------- */

struct json {
	FILE *to;
	bool any; /* the current array or object has a value already */
};

static void put_raw(struct json *j, const char *text)
{
	fputs_unlocked(text, j->to);
}

/* Separates a value or a key from the one before it. */
static void separate(struct json *j)
{
	if (j->any)
		put_raw(j, ", ");
	j->any = true;
}

static void begin(struct json *j, const char *bracket)
{
	separate(j);
	put_raw(j, bracket);
	j->any = false;
}

static void end(struct json *j, const char *bracket)
{
	put_raw(j, bracket);
	j->any = true;
}

/* Begins on a new line: documents can be read, and compared line by line. */
static void begin_line(struct json *j, const char *bracket)
{
	put_raw(j, j->any ? ",\n" : "\n");
	j->any = false;
	begin(j, bracket);
}

static void put_key(struct json *j, const char *name)
{
	separate(j);
	fprintf(j->to, "\"%s\": ", name);
	j->any = false;
}

static void put_null(struct json *j)
{
	separate(j);
	put_raw(j, "null");
}

static void put_bool(struct json *j, bool value)
{
	separate(j);
	put_raw(j, value ? "true" : "false");
}

static void put_int(struct json *j, int64_t value)
{
	separate(j);
	fprintf(j->to, "%" PRId64, value);
}

static void put_count(struct json *j, uint64_t value)
{
	separate(j);
	fprintf(j->to, "%" PRIu64, value);
}

/*
 * Prints at most 15 digits, or 16 or 17 if fewer do not read back as the same double. A point or an
 * exponent makes it a float in Python.
 */
static void put_seconds(struct json *j, double value)
{
	char digits[40];
	int precision = 15;

	if (!isfinite(value)) { /* from a pstats file, or an unknown value */
		put_null(j);
		return;
	}
	do
		snprintf(digits, sizeof(digits), "%.*g", precision++, value);
	while (precision <= 17 && strtod(digits, NULL) != value);
	separate(j);
	put_raw(j, digits);
	if (!strpbrk(digits, ".e"))
		put_raw(j, ".0");
}

/* Number of bytes at `s` that need no escape. */
static size_t plain_bytes(const unsigned char *s, size_t n)
{
	size_t at = 0;

	while (at < n) {
		size_t more = text_sequence(s + at, n - at);

		if (!more || s[at] < 0x20 || s[at] == '"' || s[at] == '\\' ||
		    (s[at] == 0xed && s[at + 1] >= 0xa0))
			break;
		at += more;
	}
	return at;
}

/*
 * Prints the next character as an escape, and returns its bytes. A byte that is not UTF-8 becomes
 * U+DC00 + byte, as by os.fsdecode.
 */
static size_t put_escape(struct json *j, const unsigned char *s, size_t n)
{
	size_t bytes = text_sequence(s, n);

	if (bytes == 3) {
		fprintf(j->to, "\\u%04x", 0xd000u | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu));
		return 3;
	}
	if (!bytes)
		fprintf(j->to, "\\u%04x", 0xdc00u | *s);
	else if (*s == '"' || *s == '\\')
		fprintf(j->to, "\\%c", *s);
	else
		fprintf(j->to, "\\u%04x", *s);
	return 1;
}

static void put_text(struct json *j, struct text t)
{
	const unsigned char *s = (const unsigned char *)t.bytes;

	separate(j);
	put_raw(j, "\"");
	for (size_t at = 0; at < t.n;) {
		size_t plain = plain_bytes(s + at, t.n - at);

		fwrite_unlocked(s + at, 1, plain, j->to);
		at += plain;
		if (at < t.n)
			at += put_escape(j, s + at, t.n - at);
	}
	put_raw(j, "\"");
}

static void put_string(struct json *j, const char *s)
{
	put_text(j, (struct text){ s, strlen(s) });
}

/* For an array of `cap` bytes in a recording, which may lack its NUL. */
static void put_bounded_string(struct json *j, const char *s, size_t cap)
{
	put_text(j, (struct text){ s, strnlen(s, cap) });
}

static void key_string(struct json *j, const char *key, const char *value)
{
	put_key(j, key);
	put_string(j, value);
}

static void key_bool(struct json *j, const char *key, bool value)
{
	put_key(j, key);
	put_bool(j, value);
}

static void key_count(struct json *j, const char *key, uint64_t value)
{
	put_key(j, key);
	put_count(j, value);
}

static void key_seconds(struct json *j, const char *key, double value)
{
	put_key(j, key);
	put_seconds(j, value);
}

/* --- functions -------------------------------------------------------------------------------- */

static void put_name(struct json *j, const struct profile_fn *fn)
{
	put_key(j, "file_name");
	put_text(j, fn->file);
	put_key(j, "line_number");
	put_int(j, fn->line);
	put_key(j, "name");
	put_text(j, fn->name);
}

/* In pstats' form: "7", or "9/1" with recursive calls. */
static void put_ncalls(struct json *j, const struct profile_counts *c)
{
	put_key(j, "ncalls");
	separate(j);
	if (c->n_calls == c->n_primitive)
		fprintf(j->to, "\"%" PRIu64 "\"", c->n_calls);
	else
		fprintf(j->to, "\"%" PRIu64 "/%" PRIu64 "\"", c->n_calls, c->n_primitive);
	key_count(j, "total_calls", c->n_calls);
	key_count(j, "primitive_calls", c->n_primitive);
}

static void put_times(struct json *j, const struct profile_counts *c)
{
	key_seconds(j, "tottime", c->self_s);
	key_seconds(j, "cumtime", c->total_s);
	key_seconds(j, "raw_tottime", c->self_s + c->self_overhead_s);
	key_seconds(j, "raw_cumtime", c->total_s + c->total_overhead_s);
}

static void put_caller(struct json *j, const struct profile *p, const struct profile_edge *edge)
{
	static const struct profile_counts unknown = { .self_s = NAN, .total_s = NAN };

	begin(j, "{");
	put_name(j, &p->fn[edge->caller]);
	put_ncalls(j, &edge->counts);
	key_count(j, "exceptions", edge->counts.n_exceptions);
	put_times(j, edge->only_calls ? &unknown : &edge->counts);
	end(j, "}");
}

/* -1 for no calls, as in pstats' FunctionProfile. */
static double per_call(double seconds, uint64_t n)
{
	return n ? seconds / (double)n : -1;
}

static void put_function(struct json *j, const struct profile *p, const struct profile_fn *fn)
{
	const struct profile_counts *c = &fn->counts;

	begin_line(j, "{");
	put_name(j, fn);
	put_key(j, "qualname");
	put_text(j, fn->qualname);
	put_ncalls(j, c);
	key_count(j, "exceptions", c->n_exceptions);
	put_times(j, c);
	key_seconds(j, "percall_tottime", per_call(c->self_s, c->n_calls));
	key_seconds(j, "percall_cumtime", per_call(c->total_s, c->n_primitive));
	/* correct.h: a self time that was less than its overhead is reported as 0. */
	key_bool(j, "tottime_is_bound", c->self_s == 0 && c->self_overhead_s > 0);
	key_bool(j, "cumtime_is_bound", fn->is_bound);
	put_key(j, "callers");
	begin(j, "[");
	for (size_t i = 0; i < fn->n_callers; i++)
		put_caller(j, p, &fn->caller[i]);
	end(j, "]");
	end(j, "}");
}

static void put_thread(struct json *j, const struct rebuild_thread *t)
{
	begin(j, "{");
	key_count(j, "number", t->number);
	put_key(j, "native_id");
	if (t->native_id)
		put_int(j, t->native_id);
	else
		put_null(j);
	key_string(j, "name", t->name);
	key_bool(j, "several", t->number == REPLAY_MIXED_THREADS);
	end(j, "}");
}

static void put_groups(struct json *j, const struct request *q)
{
	put_key(j, "grouped_by");
	if (request_grouped_by(q))
		put_string(j, request_grouped_by(q));
	else
		put_null(j);
	key_bool(j, "imports_as_one", q->imports_as_one);
}

/* `fn`: the functions to list, in order. */
static void put_report(struct json *j, const struct json_report *r, const size_t *fn, size_t n)
{
	struct profile_counts sum = profile_total(r->profile);
	const struct profile_counts *total = r->options->total ? r->options->total : &sum;

	begin_line(j, "{");
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
	key_bool(j, "sampled", r->options->sampled);
	put_groups(j, r->request);
	key_count(j, "total_calls", total->n_calls);
	key_count(j, "primitive_calls", total->n_primitive);
	key_seconds(j, "total_tt", total->self_s);
	key_seconds(j, "raw_total_tt", total->self_s + sum.self_overhead_s);
	put_key(j, "functions");
	begin(j, "[");
	for (size_t i = 0; i < n && !ferror_unlocked(j->to); i++)
		put_function(j, r->profile, &r->profile->fn[fn[i]]);
	end(j, "]");
	end(j, "}");
}

/* --- sources ---------------------------------------------------------------------------------- */

static void put_command(struct json *j, const struct pyprof_header *h)
{
	size_t n = command_bytes(h);

	put_key(j, "command");
	begin(j, "[");
	for (size_t at = 0; at < n;) {
		size_t bytes = strnlen(h->cmdline + at, n - at);

		put_text(j, (struct text){ h->cmdline + at, bytes });
		at += bytes + 1;
	}
	end(j, "]");
	key_bool(j, "command_is_cut", h->cmdline_bytes > n);
}

static void put_process(struct json *j, const struct source *s)
{
	const struct pyprof_header *h = &s->header;
	const struct rebuild_summary *sum = &s->summary;

	put_key(j, "python");
	put_bounded_string(j, h->python, sizeof(h->python));
	put_key(j, "shim");
	put_bounded_string(j, h->shim, sizeof(h->shim));
	key_string(j, "engine", pyprof_engine_name(h->engine));
	key_string(j, "clock", pyprof_clock_names(h->clock)->setting);
	key_bool(j, "builtins", h->builtins);
	key_count(j, "process", h->pid);
	key_count(j, "parent", h->parent_pid);
	key_bool(j, "forked", h->forked);
	key_bool(j, "running", s->live);
	put_command(j, h);
	key_seconds(j, "started", (double)h->start_realtime_ns * 1e-9);
	key_seconds(j, "recorded_s", source_recorded_s(s));
	key_count(j, "events", sum->n_events);
	key_count(j, "n_threads", sum->n_threads);
	put_key(j, "threads");
	begin(j, "[");
	for (size_t i = 0; i < sum->n_listed; i++)
		put_thread(j, &sum->thread[i]);
	end(j, "]");
	key_count(j, "open_calls", sum->n_running);
	key_count(j, "unmatched_returns", sum->n_unmatched);
}

static void put_losses(struct json *j, const struct source *s)
{
	const struct rebuild_summary *sum = &s->summary;
	const uint64_t *lost = s->n_lost;

	put_key(j, "losses");
	begin(j, "{");
	key_count(j, "events_buffer", lost[PYPROF_LOST_BUDGET]);
	key_count(j, "events_storage", lost[PYPROF_LOST_STORAGE]);
	key_count(j, "events_reader", lost[PYPROF_LOST_READER]);
	key_count(j, "events_unknown", lost[PYPROF_LOST_CAUSES - 1]);
	key_count(j, "events_memory", sum->n_lost_here);
	key_count(j, "bad_places", s->n_bad);
	key_count(j, "unnamed_functions", s->header.n_unnamed);
	key_count(j, "missing_returns", sum->n_closed);
	key_count(j, "gaps", sum->n_blind_intervals);
	key_seconds(j, "gaps_s", (double)sum->blind_interval_ticks * s->seconds_per_tick);
	key_count(j, "blind_threads", sum->n_blind_ends);
	key_seconds(j, "blind_s", (double)sum->blind_ticks * s->seconds_per_tick);
	key_count(j, "subinterpreters", s->header.n_subinterpreters);
	key_count(j, "images_removed", s->header.n_images_removed);
	key_count(j, "lost_children", s->header.n_lost_children);
	key_count(j, "rings_with_wrong_times", sum->n_time_broken);
	key_count(j, "rings_with_wrong_calls", sum->n_calls_broken);
	end(j, "}");
	key_bool(j, "is_whole", !source_has_loss(s));
}

/* `quality` is null if it is unknown: the calibration is one number, or its file is older. */
static void put_quality(struct json *j, const struct calibration_quality *q)
{
	put_key(j, "quality");
	if (!q->known) {
		put_null(j);
		return;
	}
	begin(j, "{");
	key_bool(j, "is_trusted", q->trusted);
	key_count(j, "n_slices", q->n_slices);
	key_count(j, "n_waited", q->n_waited);
	key_count(j, "n_slower", q->n_slower);
	key_count(j, "n_crowded", q->n_crowded);
	key_seconds(j, "others", q->others);
	key_seconds(j, "steal", q->steal);
	key_seconds(j, "reference_s", q->reference_s);
	end(j, "}");
}

static void put_calibration(struct json *j, const struct calibration *c)
{
	put_key(j, "calibration");
	begin(j, "{");
	key_seconds(j, "bias", calibration_bias(c));
	key_seconds(j, "bytecode", c->bytecode);
	key_seconds(j, "cold", c->cold);
	key_seconds(j, "error", c->error);
	put_key(j, "made");
	put_int(j, c->made);
	put_quality(j, &c->quality);
	put_key(j, "costs");
	begin(j, "{");
	for (int i = 0; i < OVERHEAD_KINDS; i++) {
		put_key(j, overhead_kind[i].name);
		begin(j, "{");
		key_seconds(j, "in_s", c->overhead[i].in_s);
		key_seconds(j, "out_s", c->overhead[i].out_s);
		key_seconds(j, "spread_s", c->overhead[i].spread_s);
		end(j, "}");
	}
	end(j, "}");
	end(j, "}");
}

/* `correction` is null if the times are raw. */
static void put_correction(struct json *j, const struct source *s)
{
	static const char *const by[] = { "missing", "none", "number", "recorded", "file", "kept" };

	key_string(j, "corrected_by", by[s->correction]);
	put_key(j, "correction");
	if (s->correction < CORRECTION_NUMBER) {
		put_null(j);
		return;
	}
	begin(j, "{");
	key_seconds(j, "scale", s->bias.scale);
	key_seconds(j, "raw_s", s->bias.raw_s);
	key_seconds(j, "cost_s", s->bias.overhead_s);
	key_count(j, "n_bounded", s->bias.n_bounded);
	key_seconds(j, "moved_s", s->bias.moved_s);
	key_seconds(j, "left_s", s->bias.left_s);
	put_calibration(j, &s->calibration);
	end(j, "}");
}

static void put_source(struct json *j, const struct source *s)
{
	begin_line(j, "{");
	key_string(j, "name", s->name);
	key_string(j, "kind", s->is_pstats ? "pstats" : "recording");
	if (!s->is_pstats) {
		put_process(j, s);
		put_losses(j, s);
		put_correction(j, s);
	}
	end(j, "}");
}

/* --- the document ----------------------------------------------------------------------------- */

static void put_head(struct json *j, const struct source *sources, size_t n)
{
	begin(j, "{");
	key_string(j, "format", "pyshim-profile");
	key_count(j, "version", JSON_VERSION);
	key_string(j, "generator", "pyshim-read " PYSHIM_VERSION);
	put_key(j, "sources");
	begin(j, "[");
	for (size_t i = 0; i < n; i++)
		put_source(j, &sources[i]);
	end(j, "]");
	put_key(j, "reports");
	begin(j, "[");
}

int json_write(FILE *to, const struct source *sources, size_t n_sources,
	       const struct json_report *reports, size_t n_reports, struct error *e)
{
	struct json j = { .to = to };
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
		end(&j, "]");
		end(&j, "}\n");
	}
	if (!err && (fflush(to) || ferror(to)))
		err = errno ? -errno : -EIO;
	return err;
}
