/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The processed profile format of profiler.firefox.com (JSON), version 60: tables of columns. There
 * is a stack for each calling context, and a thread for each track, whose samples have own times as
 * their weights. docs/formats.md describes the contents.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "firefox_tables.h"
#include "recording/command.h"
#include "writers.h"

#ifndef PYSHIM_VERSION
#define PYSHIM_VERSION "unknown"
#endif

struct firefox {
	struct put j;
	struct frames frames;
	struct firefox_tables tables;
	const struct contexts *c;
	const struct reading *r;
	const uint64_t *ns;
};

static struct text text_of(const char *s)
{
	return (struct text){ s, strlen(s) };
}

/* --- threads ---------------------------------------------------------------------------------- */

/* Nanoseconds as milliseconds, exactly. */
static void put_ms(struct firefox *f, uint64_t ns)
{
	put_separator(&f->j);
	fprintf(f->j.to, "%" PRIu64 ".%06u", ns / 1000000, (unsigned)(ns % 1000000));
}

enum sample { SAMPLE_STACK, SAMPLE_TIME, SAMPLE_WEIGHT };

/*
 * A sample for each context that has a time of its own. They follow one another, and one without a
 * stack ends the last. Returns their number.
 */
static uint32_t put_samples_of(struct firefox *f, uint32_t track, enum sample sample)
{
	uint64_t time = 0;
	uint32_t n_samples = 1;

	put_begin_line(&f->j, "[");
	for (uint32_t n = track; n; n = contexts_next(f->c, n, track)) {
		if (!f->ns[n])
			continue;
		if (sample == SAMPLE_STACK)
			put_count(&f->j, f->tables.stack[n]);
		else
			put_ms(f, sample == SAMPLE_TIME ? time : f->ns[n]);
		time += f->ns[n];
		n_samples++;
	}
	if (sample == SAMPLE_STACK)
		put_null(&f->j);
	else
		put_ms(f, sample == SAMPLE_TIME ? time : 0);
	put_end(&f->j, "]");
	return n_samples;
}

static void put_samples(struct firefox *f, uint32_t track)
{
	uint32_t n;

	put_key(&f->j, "samples");
	put_begin_line(&f->j, "{");
	put_key(&f->j, "stack");
	put_samples_of(f, track, SAMPLE_STACK);
	put_key(&f->j, "time");
	put_samples_of(f, track, SAMPLE_TIME);
	put_key(&f->j, "weight");
	n = put_samples_of(f, track, SAMPLE_WEIGHT);
	put_key_string(&f->j, "weightType", "tracing-ms");
	put_key_count(&f->j, "length", n);
	put_end(&f->j, "}");
}

/* The label of a process or thread without the id at its end. */
static struct text name_of_level(const struct firefox *f, uint32_t node)
{
	struct text label = frames_label(&f->frames, node);
	size_t n = (size_t)snprintf(NULL, 0, " (%" PRIu32 ")", f->c->node[node].id);

	if (f->c->node[node].id && label.n > n && label.bytes[label.n - 1] == ')')
		label.n -= n;
	return label;
}

/* PIDs are texts. A second process that has the PID gets another text. */
static void put_pid(struct firefox *f, uint32_t process)
{
	uint32_t pid = f->c->node[process].id;
	unsigned n = 1;
	char text[32];

	for (uint32_t p = f->c->node[0].first; p != process; p = f->c->node[p].next)
		n += f->c->node[p].id == pid;
	snprintf(text, sizeof(text), n > 1 ? "%" PRIu32 ".%u" : "%" PRIu32, pid, n);
	put_key_string(&f->j, "pid", text);
}

static void put_thread(struct firefox *f, uint32_t track)
{
	uint32_t process = f->c->node[track].parent, id = f->c->node[track].id;

	put_begin_line(&f->j, "{");
	put_key_string(&f->j, "processType", "default");
	put_key_count(&f->j, "processStartupTime", 0);
	put_key(&f->j, "processShutdownTime");
	put_null(&f->j);
	put_key_count(&f->j, "registerTime", 0);
	put_key(&f->j, "unregisterTime");
	put_null(&f->j);
	put_key(&f->j, "pausedRanges");
	put_begin(&f->j, "[");
	put_end(&f->j, "]");
	put_key(&f->j, "name");
	put_text(&f->j, name_of_level(f, track));
	put_key_bool(&f->j, "isMainThread", id && id == f->c->node[process].id);
	put_key(&f->j, "processName");
	put_text(&f->j, name_of_level(f, process));
	put_pid(f, process);
	put_key_count(&f->j, "tid", id);
	put_samples(f, track);
	put_key(&f->j, "markers");
	put_raw(&f->j, "{\"length\": 0, \"data\": [], \"name\": [], \"startTime\": [], "
		       "\"endTime\": [], \"phase\": [], \"category\": []}");
	f->j.any = true;
	put_end(&f->j, "}");
}

/* --- what was recorded ------------------------------------------------------------------------ */

static void put_category(struct firefox *f, const char *name, const char *color)
{
	put_begin(&f->j, "{");
	put_key_string(&f->j, "name", name);
	put_key_string(&f->j, "color", color);
	put_key(&f->j, "subcategories");
	put_begin(&f->j, "[");
	put_string(&f->j, "Other");
	put_string(&f->j, "running at the end");
	put_end(&f->j, "]");
	put_end(&f->j, "}");
}

static void put_entry(struct firefox *f, const char *label, struct text value)
{
	put_begin(&f->j, "{");
	put_key_string(&f->j, "label", label);
	put_key_string(&f->j, "format", "string");
	put_key(&f->j, "value");
	put_text(&f->j, value);
	put_end(&f->j, "}");
}

static void put_source(struct firefox *f, const struct source *s)
{
	const struct pyprof_header *h = &s->header;

	put_begin_line(&f->j, "{");
	put_key_string(&f->j, "label", s->name);
	put_key(&f->j, "entries");
	put_begin(&f->j, "[");
	put_entry(f, "Python", (struct text){ h->python, strnlen(h->python, sizeof(h->python)) });
	put_entry(f, "Clock", text_of(pyprof_clock_names(h->clock)->title));
	put_entry(f, "Times",
		  text_of(s->correction >= CORRECTION_NUMBER ? "overhead of recording subtracted"
							     : "with the overhead of recording"));
	put_entry(f, "Events",
		  text_of(source_has_loss(s) ? "some are missing" : "none is missing"));
	put_end(&f->j, "]");
	put_end(&f->j, "}");
}

static void put_extra(struct firefox *f)
{
	put_key(&f->j, "extra");
	put_begin(&f->j, "[");
	for (size_t i = 0; i < f->r->n_sources; i++)
		put_source(f, &f->r->source[i]);
	put_end(&f->j, "]");
}

/* Columns of samples have the first time of all sources as their time 0. */
static void put_start(struct firefox *f)
{
	uint64_t start = 0;

	for (size_t i = 0; i < f->r->n_sources; i++) {
		uint64_t one = f->r->source[i].header.start_realtime_ns;

		start = one && (!start || one < start) ? one : start;
	}
	put_key(&f->j, "startTime");
	put_ms(f, start);
}

static void put_meta(struct firefox *f)
{
	uint32_t first = f->c->node[0].first;

	put_key(&f->j, "meta");
	put_begin(&f->j, "{");
	put_key_count(&f->j, "version", 33);
	put_key_count(&f->j, "preprocessedProfileVersion", 60);
	put_key(&f->j, "interval");
	put_ms(f, 1000);
	put_start(f);
	put_key_count(&f->j, "processType", 0);
	put_key_count(&f->j, "stackwalk", 0);
	put_key(&f->j, "product");
	put_text(&f->j, first ? name_of_level(f, first) : text_of("Python"));
	put_key_string(&f->j, "importedFrom", "pyshim-read " PYSHIM_VERSION);
	put_key_bool(&f->j, "symbolicated", true);
	put_key_bool(&f->j, "usesOnlyOneStackType", true);
	put_key_bool(&f->j, "sourceCodeIsNotOnSearchfox", true);
	put_key_bool(&f->j, "keepProfileThreadOrder", true);
	put_key(&f->j, "markerSchema");
	put_begin(&f->j, "[");
	put_end(&f->j, "]");
	put_key(&f->j, "categories");
	put_begin_line(&f->j, "[");
	put_category(f, "Other", "grey");
	put_category(f, "Python", "yellow");
	put_category(f, "C", "blue");
	put_end(&f->j, "]");
	put_extra(f);
	put_end(&f->j, "}");
}

static int put_file(struct firefox *f)
{
	int err;

	put_begin(&f->j, "{");
	put_meta(f);
	put_key(&f->j, "libs");
	put_begin(&f->j, "[");
	put_end(&f->j, "]");
	err = firefox_tables_put(&f->tables);
	put_key(&f->j, "threads");
	put_begin(&f->j, "[");
	for (uint32_t track = 0; !err && (track = frames_next_track(f->c, track));)
		put_thread(f, track);
	put_end(&f->j, "]");
	put_end(&f->j, "}");
	put_raw(&f->j, "\n");
	return err;
}

int firefox_write(FILE *to, const struct reading *r, const struct show *o, struct error *e)
{
	const struct contexts *c = &r->report[0].sum.contexts;
	uint64_t *ns = frames_own_ns(c);
	struct firefox f = { .j = { .to = to }, .c = c, .r = r, .ns = ns };
	int err = frames_open(&f.frames, c, o->report.select.qualnames);

	(void)e;
	f.tables = (struct firefox_tables){
		.j = &f.j, .frames = &f.frames, .c = c, .groups = request_groups(r->request)
	};
	err = ns ? err : -ENOMEM;
	if (!err)
		err = put_file(&f);
	firefox_tables_fini(&f.tables);
	frames_close(&f.frames);
	free(ns);
	return err;
}
