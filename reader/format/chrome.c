/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chrome's trace events (JSON), for Perfetto, chrome://tracing and speedscope: the timeline of a
 * reading, a complete event (ph X) for each call. docs/formats.md describes the contents.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "recording/command.h"
#include "writers.h"

#ifndef PYSHIM_VERSION
#define PYSHIM_VERSION "unknown"
#endif

#define COMMAND_BYTES 200u
#define NAME_BYTES 1000u      /* a name is repeated for each call, so a long one is cut */
#define FIRST_FREE (1u << 22) /* beyond the kernel's highest PID: where a number is not known */

struct chrome {
	FILE *to;
	const struct reading *r;
	const struct timeline *t;
	bool qualnames;
	bool any;      /* an event was printed */
	uint32_t *pid; /* by source: unique */
	uint32_t *tid; /* by track: unique for each thread of a source */
};

/* --- numbers of processes and threads --------------------------------------------------------- */

/* A PID may occur several times: before and after execve, or in several namespaces. */
static void choose_pids(const struct chrome *c)
{
	for (size_t i = 0; i < c->t->n_sources; i++) {
		size_t k = 0;

		while (k < i && c->r->source[k].header.pid != c->r->source[i].header.pid)
			k++;
		c->pid[i] = k == i ? c->r->source[i].header.pid : FIRST_FREE + (uint32_t)i;
	}
}

static const struct name *thread_of(const struct timeline *t, size_t track)
{
	return names_thread(&t->source[t->track[track].source].names, t->track[track].thread);
}

/* A native id may occur several times, because the kernel gives it to a later thread again. */
struct thread_key {
	size_t source;
	int32_t native;
	uint32_t number;
	size_t track;
};

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_threads(const void *pa, const void *pb)
{
	const struct thread_key *a = pa, *b = pb;
	int order = compare(a->source, b->source);

	order = order ? order : compare((uint32_t)a->native, (uint32_t)b->native);
	return order ? order : compare(a->number, b->number);
}

static int choose_tids(const struct chrome *c)
{
	size_t n = c->t->n_tracks;
	struct thread_key *key = calloc(n + 1, sizeof(*key)), *first = key;

	if (!key)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct name *name = thread_of(c->t, i);

		key[i] = (struct thread_key){ .source = c->t->track[i].source,
					      .native = name ? name->line : 0,
					      .number = c->t->track[i].thread,
					      .track = i };
	}
	qsort(key, n, sizeof(*key), compare_threads);
	for (size_t i = 0; i < n; i++) {
		if (key[i].source != first->source || key[i].native != first->native)
			first = &key[i];
		c->tid[key[i].track] = key[i].native > 0 && key[i].number == first->number
					       ? (uint32_t)key[i].native
					       : FIRST_FREE + key[i].number;
	}
	free(key);
	return 0;
}

/* --- values ----------------------------------------------------------------------------------- */

static void put(const struct chrome *c, const char *text)
{
	fputs_unlocked(text, c->to);
}

/* Microseconds, with three digits for nanoseconds. */
static void put_us(const struct chrome *c, int64_t ns)
{
	uint64_t n = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;

	fprintf(c->to, "%s%" PRIu64 ".%03u", ns < 0 ? "-" : "", n / 1000, (unsigned)(n % 1000));
}

static struct text shortened(struct text t)
{
	if (t.n <= NAME_BYTES)
		return t;
	t.n = NAME_BYTES;
	while (t.n && ((unsigned char)t.bytes[t.n] & 0xc0) == 0x80)
		t.n--; /* to the start of a character */
	return t;
}

static void put_string(const struct chrome *c, struct text t)
{
	struct text part = shortened(t);

	put(c, "\"");
	json_text_put_part(c->to, part);
	put(c, part.n < t.n ? "...\"" : "\"");
}

static struct text text_of(const char *s)
{
	return (struct text){ s, strlen(s) };
}

/* The next event, on a line of its own. */
static void begin_event(struct chrome *c)
{
	put(c, c->any ? ",\n" : "\n");
	c->any = true;
}

/* --- names of processes and threads ----------------------------------------------------------- */

static void begin_metadata(struct chrome *c, const char *name, size_t source, size_t track)
{
	begin_event(c);
	fprintf(c->to, "{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%" PRIu32, name, c->pid[source]);
	if (track != SIZE_MAX)
		fprintf(c->to, ",\"tid\":%" PRIu32, c->tid[track]);
	put(c, ",\"args\":{");
}

static void put_name(struct chrome *c, const char *kind, size_t source, size_t track,
		     struct text name)
{
	begin_metadata(c, kind, source, track);
	put(c, strcmp(kind, "process_labels") ? "\"name\":" : "\"labels\":");
	put_string(c, name);
	put(c, "}}");
}

static void put_order(struct chrome *c, const char *kind, size_t source, size_t track, size_t order)
{
	begin_metadata(c, kind, source, track);
	fprintf(c->to, "\"sort_index\":%zu}}", order);
}

/* The command is the process's name. */
static int put_process(struct chrome *c, size_t i)
{
	const struct pyprof_header *h = &c->r->source[i].header;
	size_t digits = strspn(h->python, "0123456789.");
	char *command = NULL, python[64];
	size_t n_bytes;
	FILE *to = open_memstream(&command, &n_bytes);

	if (!to)
		return -ENOMEM;
	command_print(to, h, COMMAND_BYTES);
	if (fclose(to)) {
		free(command);
		return -ENOMEM;
	}
	put_name(c, "process_name", i, SIZE_MAX,
		 *command ? text_of(command) : text_of(c->r->source[i].name));
	free(command);
	snprintf(python, sizeof(python), "CPython %.*s", (int)(digits < 40 ? digits : 40),
		 h->python);
	put_name(c, "process_labels", i, SIZE_MAX, text_of(python));
	put_order(c, "process_sort_index", i, SIZE_MAX, i);
	return 0;
}

static void put_thread(struct chrome *c, size_t track)
{
	const struct timeline_track *t = &c->t->track[track];
	const struct name *name = thread_of(c->t, track);
	char number[32];

	snprintf(number, sizeof(number), "thread #%" PRIu32, t->thread);
	put_name(c, "thread_name", t->source, track,
		 name && name->name.n ? name->name : text_of(number));
	put_order(c, "thread_sort_index", t->source, track, track);
}

static int put_names(struct chrome *c)
{
	size_t named = SIZE_MAX;
	int err = 0;

	for (size_t i = 0; i < c->t->n_tracks && !err; i++) {
		const struct timeline_track *track = &c->t->track[i];

		if (!track->n_spans)
			continue;
		if (named != track->source)
			err = put_process(c, track->source);
		named = track->source;
		put_thread(c, i);
	}
	return err;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* As in the report: {} instead of the <> of a C function. */
static void put_label(const struct chrome *c, const struct name *n)
{
	bool theirs = c->t->request->cprofile_labels && n->cprofiles.n;
	struct text name = theirs			   ? n->cprofiles
			   : c->qualnames && n->qualname.n ? n->qualname
							   : n->name;
	bool braces = n->kind == PYPROF_NAME_C && name.n > 1 && name.bytes[0] == '<' &&
		      name.bytes[name.n - 1] == '>' && name.n <= NAME_BYTES;

	if (!braces) {
		put_string(c, name);
		return;
	}
	put(c, "\"{");
	json_text_put_part(c->to, (struct text){ name.bytes + 1, name.n - 2 });
	put(c, "}\"");
}

static void put_place(const struct chrome *c, const struct name *n, const char **separator)
{
	struct text file = c->t->request->strip_dirs ? text_base_name(n->file) : n->file;

	if (n->kind == PYPROF_NAME_C)
		return;
	put(c, "\"file\":");
	put_string(c, file);
	fprintf(c->to, ",\"line\":%" PRId32, n->line);
	*separator = ",";
}

/* Marks of a call that is not plain: open, resumed, left by an exception, ... */
static void put_marks(const struct chrome *c, const struct span *s, const char *separator)
{
	static const char *const end[] = {
		[EVENT_RETURNED] = NULL,      [EVENT_YIELDED] = "suspended",
		[EVENT_RAISED] = "exception", [EVENT_CUT] = "no_return",
		[EVENT_OPEN] = "open",
	};

	if (s->flags & SPAN_RESUMED) {
		fprintf(c->to, "%s\"resumed\":true", separator);
		separator = ",";
	}
	if (end[s->end]) {
		fprintf(c->to, "%s\"%s\":true", separator, end[s->end]);
		separator = ",";
	}
	if (s->flags & (SPAN_EARLY | SPAN_FOUND))
		fprintf(c->to, "%s\"began_earlier\":true", separator);
	if (s->flags & SPAN_EARLY && !(s->flags & SPAN_FOUND)) {
		put(c, ",\"before_us\":");
		put_us(c, s->before_ns);
	}
}

static void put_span(struct chrome *c, const struct span *s)
{
	const struct timeline_track *track = &c->t->track[s->track];
	const struct name *n = names_fn(&c->t->source[track->source].names, s->number);
	const char *separator = "";

	begin_event(c);
	fprintf(c->to, "{\"ph\":\"X\",\"pid\":%" PRIu32 ",\"tid\":%" PRIu32 ",\"ts\":",
		c->pid[track->source], c->tid[s->track]);
	put_us(c, s->start_ns);
	put(c, ",\"dur\":");
	put_us(c, s->end_ns - s->start_ns);
	if (s->flags & SPAN_BLIND) {
		put(c, ",\"cat\":\"pyshim\",\"name\":\"(not recorded)\",\"args\":{}}");
		return;
	}
	put(c, s->flags & SPAN_C ? ",\"cat\":\"c\",\"name\":" : ",\"cat\":\"python\",\"name\":");
	put_label(c, n);
	put(c, ",\"args\":{");
	put_place(c, n, &separator);
	put_marks(c, s, separator);
	put(c, "}}");
}

/* --- facts beside the events ---------------------------------------------------------- */

static void put_threads_of(const struct chrome *c, size_t source)
{
	const char *separator = "";

	put(c, ",\"threads\":[");
	for (size_t i = 0; i < c->t->n_tracks; i++) {
		const struct timeline_track *t = &c->t->track[i];

		if (t->source != source || !t->n_spans)
			continue;
		fprintf(c->to,
			"%s{\"tid\":%" PRIu32 ",\"number\":%" PRIu32 ",\"from_us\":", separator,
			c->tid[i], t->thread);
		put_us(c, t->from_ns);
		fprintf(c->to, ",\"is_whole\":%s}", t->is_cut ? "false" : "true");
		separator = ",";
	}
	put(c, "]");
}

static void put_source(const struct chrome *c, size_t i)
{
	const struct source *s = &c->r->source[i];
	uint64_t n_lost = s->summary.n_lost_here;

	for (int k = 0; k < PYPROF_LOST_CAUSES; k++)
		n_lost += s->n_lost[k];
	put(c, "{\"name\":");
	put_string(c, text_of(s->name));
	fprintf(c->to, ",\"pid\":%" PRIu32 ",\"process\":%" PRIu32, c->pid[i], s->header.pid);
	fprintf(c->to, ",\"parent\":%" PRIu32, s->header.parent_pid);
	put(c, ",\"python\":");
	put_string(c, (struct text){ s->header.python,
				     strnlen(s->header.python, sizeof(s->header.python)) });
	fprintf(c->to, ",\"clock\":\"%s\",\"running\":%s",
		pyprof_clock_names(s->header.clock)->setting, s->live ? "true" : "false");
	fprintf(c->to, ",\"events_folded\":%" PRIu64 ",\"events_lost\":%" PRIu64,
		c->t->source[i].n_folded, n_lost);
	put_threads_of(c, i);
	put(c, "}");
}

/* Prints the time from which on all events of all threads are there. */
static void put_complete_from(const struct chrome *c)
{
	int64_t from = INT64_MIN;

	for (size_t i = 0; i < c->t->n_tracks; i++) {
		const struct timeline_track *t = &c->t->track[i];

		if (t->is_cut && t->from_ns > from)
			from = t->from_ns;
	}
	put(c, ",\"complete_from_us\":");
	if (from == INT64_MIN)
		put(c, "null");
	else
		put_us(c, from);
}

static void put_other_data(const struct chrome *c)
{
	const struct timeline *t = c->t;

	put(c, "\"otherData\":{\"generator\":\"pyshim-read " PYSHIM_VERSION "\","
	       "\"times\":\"raw: what recording took is in them\",\"zero_realtime_us\":");
	if (t->zero_real_ns)
		put_us(c, (int64_t)t->zero_real_ns);
	else
		put(c, "null");
	fprintf(c->to, ",\"events\":%" PRIu64 ",\"events_left_out\":%" PRIu64, t->spans.n_events,
		t->spans.n_left_out);
	put_complete_from(c);
	put(c, ",\"sources\":[");
	for (size_t i = 0; i < t->n_sources; i++) {
		put(c, i ? ",\n" : "\n");
		put_source(c, i);
	}
	put(c, "]}");
}

int chrome_write(FILE *to, const struct reading *r, const struct show *show, struct error *e)
{
	struct chrome c = { .to = to,
			    .r = r,
			    .t = &r->timeline,
			    .qualnames = show->report.select.qualnames,
			    .pid = calloc(r->timeline.n_sources + 1, sizeof(*c.pid)),
			    .tid = calloc(r->timeline.n_tracks + 1, sizeof(*c.tid)) };
	int err = c.pid && c.tid ? choose_tids(&c) : -ENOMEM;

	(void)e;
	errno = 0;
	if (!err) {
		choose_pids(&c);
		put(&c, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
		err = put_names(&c);
	}
	for (size_t i = 0; i < c.t->spans.n && !err && !ferror_unlocked(to); i++)
		put_span(&c, &c.t->spans.span[i]);
	if (!err) {
		put(&c, "\n],\n");
		put_other_data(&c);
		put(&c, "}\n");
	}
	if (!err && (fflush(to) || ferror(to)))
		err = errno ? -errno : -EIO;
	free(c.pid);
	free(c.tid);
	return err;
}
