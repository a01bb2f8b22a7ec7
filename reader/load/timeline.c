/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "timeline.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/input.h"
#include "recording/attach.h"
#include "recording/ticks.h"
#include "sources.h"

#define MAX_NS 4e18 /* so that differences fit into an int64_t */

/* The state of the walk of one source. */
struct loading {
	struct timeline *t;
	size_t source;
	uint32_t ring, first_track; /* the current ring, and its first track */
	uint64_t n_folded;	    /* in the current ring */
	bool wanted;		    /* the current thread is */
};

/* --- clocks ----------------------------------------------------------------------------------- */

static bool is_wall(const struct source *s)
{
	return s->header.clock == PYPROF_CLOCK_TSC || s->header.clock == PYPROF_CLOCK_WALL;
}

/* Returns when a source began, on the monotonic clock of the machine of `first`. */
static double began_ns(const struct source *s, const struct source *first)
{
	const struct pyprof_header *h = &s->header, *f = &first->header;

	if (!strncmp(h->boot_id, f->boot_id, sizeof(h->boot_id)))
		return (double)h->start_mono_ns;
	return (double)f->start_mono_ns +
	       ((double)h->start_realtime_ns - (double)f->start_realtime_ns);
}

static int64_t bounded(double ns)
{
	return (int64_t)(ns < -MAX_NS ? -MAX_NS : ns > MAX_NS ? MAX_NS : round(ns));
}

static void set_clock(struct timeline_source *to, const struct source *s, double zero_ns)
{
	*to = (struct timeline_source){ .ns_per_tick = s->seconds_per_tick * 1e9 };
	if (!is_wall(s))
		return;
	to->has_wall_clock = true;
	to->zero_ns = bounded(zero_ns);
	to->zero_ticks = s->header.clock == PYPROF_CLOCK_TSC ? s->header.start_ticks
							     : s->header.start_mono_ns;
}

static void set_clocks(struct timeline *t, const struct source *s)
{
	const struct source *first = NULL;
	double zero = 0;

	for (size_t i = 0; i < t->n_sources; i++) {
		if (!is_wall(&s[i]) || (first && began_ns(&s[i], first) >= zero))
			continue;
		first = first ? first : &s[i];
		zero = began_ns(&s[i], first);
		t->zero_real_ns = s[i].header.start_realtime_ns;
	}
	for (size_t i = 0; i < t->n_sources; i++)
		set_clock(&t->source[i], &s[i], first ? began_ns(&s[i], first) - zero : 0);
}

static int64_t to_ns(const struct timeline_source *s, uint64_t ticks)
{
	double passed = (double)(int64_t)(ticks - s->zero_ticks) * s->ns_per_tick;

	return bounded((double)s->zero_ns + passed);
}

/* --- events ----------------------------------------------------------------------------------- */

static struct timeline_source *source_of(const struct loading *l)
{
	return &l->t->source[l->source];
}

/* A ring begins, perhaps another time. */
static int begin_ring(struct loading *l, const struct event *e)
{
	if (l->ring == e->number) {
		source_of(l)->n_folded -= l->n_folded;
		l->t->n_tracks = l->first_track;
		spans_forget(&l->t->spans, l->first_track);
	}
	l->ring = e->number;
	l->first_track = (uint32_t)l->t->n_tracks;
	l->n_folded = e->n_folded;
	source_of(l)->n_folded += e->n_folded;
	return 0;
}

/* -ENOMEM, or 0 with l->wanted set. */
static int choose_thread(struct loading *l, uint32_t number)
{
	const struct name *n = names_thread(&source_of(l)->names, number);
	struct rebuild_thread thread = { .number = number, .native_id = n ? n->line : 0 };

	l->wanted = true;
	if (!l->t->request->thread)
		return 0;
	thread.name = n ? strndup(n->name.bytes, n->name.n) : strdup("");
	if (!thread.name)
		return -ENOMEM;
	l->wanted = sources_is_chosen(l->t->request, &thread);
	free(thread.name);
	return 0;
}

static int begin_thread(struct loading *l, const struct event *e)
{
	struct timeline *t = l->t;
	struct timeline_track *more;
	int err = choose_thread(l, e->number);

	if (err || !l->wanted)
		return err;
	if (t->n_tracks == UINT32_MAX)
		return -E2BIG;
	if (!(t->n_tracks & (t->n_tracks - 1))) { /* a power of two: full */
		more = reallocarray(t->track, t->n_tracks ? t->n_tracks * 2 : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		t->track = more;
	}
	t->track[t->n_tracks] = (struct timeline_track){
		.source = l->source,
		.thread = e->number,
		.is_cut = l->n_folded && t->n_tracks == l->first_track,
		.from_ns = to_ns(source_of(l), e->ticks),
	};
	t->n_tracks++;
	return 0;
}

static int begin_call(struct loading *l, const struct event *e)
{
	const struct timeline_source *s = source_of(l);
	bool c = e->flags & PYPROF_FRAME_C, found = e->flags & PYPROF_FRAME_OPEN;
	struct span span = {
		.start_ns = to_ns(s, e->ticks),
		.before_ns = bounded((double)e->ticks_before * s->ns_per_tick),
		.number = e->number,
		.track = (uint32_t)l->t->n_tracks - 1,
	};

	if (!l->wanted || (c && l->t->request->no_builtins))
		return spans_enter(&l->t->spans, NULL);
	span.flags = (uint16_t)((c ? SPAN_C : 0) | (found ? SPAN_FOUND : 0) |
				(e->flags & PYPROF_FRAME_RESUMED ? SPAN_RESUMED : 0) |
				(e->is_early ? SPAN_EARLY : SPAN_BEGAN));
	return spans_enter(&l->t->spans, &span);
}

static int end_call(struct loading *l, const struct event *e)
{
	return spans_leave(&l->t->spans, to_ns(source_of(l), e->ticks), e->end, e->end < EVENT_CUT);
}

static int add_blind(struct loading *l, const struct event *e)
{
	struct span span = { .start_ns = to_ns(source_of(l), e->ticks - e->ticks_before),
			     .end_ns = to_ns(source_of(l), e->ticks),
			     .track = (uint32_t)l->t->n_tracks - 1,
			     .flags = SPAN_BLIND };

	return l->wanted ? spans_add(&l->t->spans, &span) : 0;
}

static int use_event(void *arg, const struct event *e)
{
	static int (*const use[])(struct loading *, const struct event *) = {
		[EVENT_RING] = begin_ring,  [EVENT_THREAD] = begin_thread,
		[EVENT_ENTER] = begin_call, [EVENT_LEAVE] = end_call,
		[EVENT_BLIND] = add_blind,
	};

	return use[e->kind](arg, e);
}

/* --- sources ---------------------------------------------------------------------------------- */

/* Reads the names again after the records of a live target, which may have named more. */
static int refresh_names(struct names *names, const struct attach *a)
{
	if (!a->live)
		return 0;
	names_fini(names);
	return names_read(names, a);
}

static int read_events(struct loading *l, const struct attach *a)
{
	struct names *names = &source_of(l)->names;
	struct drain d;
	int err = drain_init(&d, a);

	if (err)
		return err;
	err = names_read(names, a);
	if (!err)
		err = events_walk(&d, ticks_end(&d), use_event, l);
	if (!err)
		err = refresh_names(names, a);
	drain_fini(&d);
	return err;
}

static int read_source(struct timeline *t, size_t i, const char *name, struct error *error)
{
	struct loading l = { .t = t, .source = i, .ring = UINT32_MAX };
	const char *path = input_path(name, error);
	struct attach a;
	int err = path ? attach_open(&a, path) : -EINVAL;

	if (err) {
		*error = path ? a.error : *error;
		return err;
	}
	err = read_events(&l, &a);
	attach_close(&a);
	if (err)
		error_set(error, err, "read events of %.300s: %s", name, strerror(-err));
	return err;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Finds the spans of each track, and where its events begin. */
static void finish_tracks(struct timeline *t)
{
	size_t at = 0;

	for (size_t i = 0; i < t->n_tracks; i++) {
		struct timeline_track *track = &t->track[i];

		track->first_span = at;
		while (at < t->spans.n && t->spans.span[at].track == i)
			at++;
		track->n_spans = at - track->first_span;
		if (t->spans.n_left_out && track->from_ns < t->spans.from_ns) {
			track->from_ns = t->spans.from_ns;
			track->is_cut = true;
		}
	}
}

/* Spans whose begin is not kept begin with the events of their track. */
static void finish_spans(struct timeline *t)
{
	for (size_t i = 0; i < t->spans.n; i++) {
		struct span *s = &t->spans.span[i];
		int64_t from = t->track[s->track].from_ns;

		if (s->flags & SPAN_BEGAN || s->start_ns >= from)
			continue;
		s->before_ns += from - s->start_ns;
		s->start_ns = from;
		s->flags |= SPAN_EARLY;
	}
}

int timeline_init(struct timeline *t, const struct request *q, const struct source *s,
		  char *const *name, size_t n, struct error *error)
{
	int err = 0;

	*t = (struct timeline){ .request = q,
				.source = calloc(n + 1, sizeof(*t->source)),
				.n_sources = n,
				.spans.max_events = q->max_events };
	if (!t->source)
		return error_set(error, -ENOMEM, "read events: out of memory");
	set_clocks(t, s);
	for (size_t i = 0; i < n && !err; i++) {
		if (s[i].is_pstats)
			err = error_set(error, -EINVAL,
					"read events of %.300s: found a pstats file, expected a "
					"recording: it has no single calls",
					s[i].name);
		else
			err = read_source(t, i, name[i], error);
	}
	if (!err && spans_bound(&t->spans))
		err = error_set(error, -ENOMEM, "read events: out of memory");
	if (err)
		return err;
	finish_tracks(t);
	finish_spans(t);
	return 0;
}

void timeline_fini(struct timeline *t)
{
	for (size_t i = 0; t->source && i < t->n_sources; i++)
		names_fini(&t->source[i].names);
	free(t->source);
	free(t->track);
	spans_fini(&t->spans);
	*t = (struct timeline){ .n_sources = 0 };
}
