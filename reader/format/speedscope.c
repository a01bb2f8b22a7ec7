/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file format of speedscope (JSON): two profiles of the sampled type for each track, with a
 * stack for each calling context. Weights are own times in one of them, and calls in the other.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "frames.h"
#include "put.h"
#include "writers.h"

#ifndef PYSHIM_VERSION
#define PYSHIM_VERSION "unknown"
#endif

#define SCHEMA "https://www.speedscope.app/file-format-schema.json"
#define INDEX_BYTES sizeof("4294967295,")
#define MOST_BYTES (4ull << 30)

struct speedscope {
	struct put j;
	struct frames frames;
	const struct contexts *c;
	const uint64_t *ns;
	struct frames_functions functions; /* their numbers are indices of frames */
	/* The stack of the current node, as text: up to its frame at depth i, n[i] bytes. */
	char *stack;
	size_t *n;
	size_t cap, depth;
	bool only_counts; /* stacks are counted, not put */
	uint64_t n_bytes; /* of all stacks */
};

/* --- frames ----------------------------------------------------------------------------------- */

static void put_frame(struct speedscope *s, uint32_t fn)
{
	const struct profile_fn *x = &s->c->names.fn[fn];

	put_begin_line(&s->j, "{");
	put_key(&s->j, "name");
	put_text(&s->j, frames_name(&s->frames, fn));
	if (frames_has_file(&s->frames, fn)) {
		put_key(&s->j, "file");
		put_text(&s->j, x->file);
		put_key(&s->j, "line");
		put_int(&s->j, x->line);
	}
	put_end(&s->j, "}");
}

static void put_frames(struct speedscope *s)
{
	put_key(&s->j, "shared");
	put_begin(&s->j, "{");
	put_key(&s->j, "frames");
	put_begin(&s->j, "[");
	for (uint32_t i = 0; i < s->functions.n; i++)
		put_frame(s, s->functions.fn[i]);
	put_end(&s->j, "]");
	put_end(&s->j, "}");
}

/* --- stacks ----------------------------------------------------------------------------------- */

static int enlarge(struct speedscope *s)
{
	size_t cap = s->cap ? 2 * s->cap : 64;
	char *stack = realloc(s->stack, cap * INDEX_BYTES);
	size_t *n = reallocarray(s->n, cap, sizeof(*n));

	s->stack = stack ? stack : s->stack;
	s->n = n ? n : s->n;
	if (!stack || !n)
		return -ENOMEM;
	s->cap = cap;
	return 0;
}

/* Appends the frame of a node whose callers are on the stack. */
static int push(struct speedscope *s, uint32_t node)
{
	size_t before = s->depth ? s->n[s->depth - 1] : 0;
	int n;

	if (s->depth == s->cap && enlarge(s))
		return -ENOMEM;
	n = snprintf(s->stack + before, INDEX_BYTES, "%s%" PRIu32, before ? "," : "",
		     s->functions.number[s->c->node[node].fn]);
	s->n[s->depth++] = before + (size_t)n;
	return 0;
}

static uint64_t weight_of(const struct speedscope *s, uint32_t node, bool calls)
{
	return calls ? s->c->node[node].n_calls : s->ns[node];
}

static void put_stack(struct speedscope *s)
{
	size_t n = s->n[s->depth - 1];

	s->n_bytes += n;
	if (s->only_counts)
		return;
	put_begin(&s->j, "[");
	fwrite_unlocked(s->stack, 1, n, s->j.to);
	put_end(&s->j, "]");
}

/* Calls that are nested in one another stand side by side, so that they are drawn as one. */
static int put_samples(struct speedscope *s, uint32_t track, bool calls)
{
	uint32_t above = track;
	int err = 0;

	s->depth = 0;
	for (uint32_t n = s->c->node[track].first; n && !err; n = contexts_next(s->c, n, track)) {
		for (; above != s->c->node[n].parent; above = s->c->node[above].parent)
			s->depth--;
		err = push(s, n);
		above = n;
		if (!err && weight_of(s, n, calls))
			put_stack(s);
	}
	return err;
}

static uint64_t put_weights(struct speedscope *s, uint32_t track, bool calls)
{
	uint64_t sum = 0;

	for (uint32_t n = track; n; n = contexts_next(s->c, n, track)) {
		uint64_t weight = n == track ? 0 : weight_of(s, n, calls);

		if (weight)
			put_count(&s->j, weight);
		sum += weight;
	}
	return sum;
}

/* --- profiles --------------------------------------------------------------------------------- */

static void print_text(FILE *to, struct text t)
{
	fwrite_unlocked(t.bytes, 1, t.n, to);
}

static void print_name(FILE *to, const struct speedscope *s, uint32_t track, bool calls)
{
	uint32_t process = s->c->node[track].parent, open = frames_innermost_open(s->c, track);

	if (s->c->n_processes > 1) {
		print_text(to, frames_label(&s->frames, process));
		fputs(", ", to);
	}
	print_text(to, frames_label(&s->frames, track));
	fputs(calls ? ": calls" : ": time", to);
	if (open) {
		fputs(", running at the end: ", to);
		print_text(to, frames_label(&s->frames, open));
	}
}

static int put_name(struct speedscope *s, uint32_t track, bool calls)
{
	char *name = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&name, &n);

	if (!to)
		return -ENOMEM;
	print_name(to, s, track, calls);
	if (fclose(to)) {
		free(name);
		return -ENOMEM;
	}
	put_key(&s->j, "name");
	put_text(&s->j, (struct text){ name, n });
	free(name);
	return 0;
}

static int put_profile(struct speedscope *s, uint32_t track, bool calls)
{
	uint64_t sum;
	int err;

	put_begin_line(&s->j, "{");
	put_key_string(&s->j, "type", "sample");
	err = put_name(s, track, calls);
	put_key_string(&s->j, "unit", calls ? "none" : "nanoseconds");
	put_key(&s->j, "samples");
	put_begin(&s->j, "[");
	if (!err)
		err = put_samples(s, track, calls);
	put_end(&s->j, "]");
	put_key(&s->j, "weights");
	put_begin_line(&s->j, "[");
	sum = put_weights(s, track, calls);
	put_end(&s->j, "]");
	put_key_count(&s->j, "startValue", 0);
	put_key_count(&s->j, "endValue", sum);
	put_end(&s->j, "}");
	return err;
}

/* Deep recursion makes long stacks. Without a check they would fill a disk. */
static int check_size(struct speedscope *s, struct error *e)
{
	int err = 0;

	s->only_counts = true;
	for (uint32_t track = 0; !err && (track = frames_next_track(s->c, track));) {
		err = put_samples(s, track, false);
		if (!err)
			err = put_samples(s, track, true);
	}
	s->only_counts = false;
	if (!err && s->n_bytes > MOST_BYTES)
		err = error_set(
			e, -E2BIG,
			"found deep calls that make more than 4 GiB of stacks, expected less "
			"(-f firefox has no such limit)");
	return err;
}

/* The command, and how many other processes there are. */
static void put_title(struct speedscope *s)
{
	uint32_t first = s->c->node[0].first;
	struct text label = first ? frames_label(&s->frames, first) : (struct text){ "", 0 };
	char *title;

	put_key(&s->j, "name");
	if (s->c->n_processes < 2 || asprintf(&title, "%.*s and %" PRIu32 " more", (int)label.n,
					      label.bytes, s->c->n_processes - 1) < 0) {
		put_text(&s->j, label);
		return;
	}
	put_string(&s->j, title);
	free(title);
}

static int put_file(struct speedscope *s)
{
	int err = 0;

	put_begin(&s->j, "{");
	put_key_string(&s->j, "$schema", SCHEMA);
	put_title(s);
	put_key_string(&s->j, "exporter", "pyshim-read " PYSHIM_VERSION);
	put_key_count(&s->j, "activeProfileIndex", 0);
	put_frames(s);
	put_key(&s->j, "profiles");
	put_begin(&s->j, "[");
	for (int calls = 0; calls < 2; calls++) {
		for (uint32_t track = 0; !err && (track = frames_next_track(s->c, track));)
			err = put_profile(s, track, calls);
	}
	put_end(&s->j, "]");
	put_end(&s->j, "}");
	put_raw(&s->j, "\n");
	return err;
}

int speedscope_write(FILE *to, const struct reading *r, const struct show *o, struct error *e)
{
	const struct contexts *c = &r->report[0].sum.contexts;
	uint64_t *ns = frames_own_ns(c);
	struct speedscope s = { .j = { .to = to }, .c = c, .ns = ns };
	int err = frames_open(&s.frames, c, o->report.select.qualnames);

	if (!err)
		err = frames_functions_init(&s.functions, c);
	err = ns ? err : -ENOMEM;
	if (!err)
		err = check_size(&s, e);
	if (!err)
		err = put_file(&s);
	frames_functions_fini(&s.functions);
	frames_close(&s.frames);
	free(s.stack);
	free(s.n);
	free(ns);
	return err;
}
