/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "html_timeline.h"

#include <errno.h>
#include <stdlib.h>

#include "column.h"
#include "load/labels.h"

/* --- functions -------------------------------------------------------------------------------- */

/* The names of the functions of one source. */
struct naming {
	const struct request *request;
	const struct names *names;
	struct labels labels;
	struct profile labelled; /* with the folders of files */
	uint32_t *known;	 /* as names.fn: index in the profile + 1; 0: not looked up */
};

static int naming_init(struct naming *n, const struct request *q, const struct names *names)
{
	*n = (struct naming){ .request = q,
			      .names = names,
			      .labels = { .by_code = q->by_code, .cprofile = q->cprofile_labels },
			      .known = calloc(names->fn.n + 1, sizeof(*n->known)) };
	profile_init(&n->labelled);
	return n->known ? labels_update(&n->labels, names) : -ENOMEM;
}

static void naming_fini(struct naming *n)
{
	labels_fini(&n->labels);
	profile_fini(&n->labelled);
	free(n->known);
	n->known = NULL;
}

/* Returns the index of a function in `to`, or SIZE_MAX without memory. */
static size_t add_name(struct naming *n, struct profile *to, uint32_t number)
{
	size_t at = labels_add(&n->labels, n->names, &n->labelled, number);
	const struct profile_fn *fn = at == SIZE_MAX ? NULL : &n->labelled.fn[at];

	if (!fn)
		return SIZE_MAX;
	return profile_fn_add(to, n->request->strip_dirs ? text_base_name(fn->file) : fn->file,
			      fn->line, fn->name, fn->qualname);
}

/* The same, but looks each name of the recording up only once. */
static size_t find_name(struct naming *n, struct profile *to, uint32_t number)
{
	size_t at = names_find(n->names, number), found;

	if (at != SIZE_MAX && n->known[at])
		return n->known[at] - 1;
	found = add_name(n, to, number);
	if (at != SIZE_MAX && found < UINT32_MAX - 1)
		n->known[at] = (uint32_t)found + 1;
	return found;
}

static size_t blind_name(struct profile *to)
{
	const struct text none = { "", 0 }, name = { "(not recorded)", 14 };

	return profile_caller_add(to, none, 0, name);
}

static int name_track(struct html_timeline *h, struct naming *n, const struct timeline_track *track)
{
	for (size_t i = track->first_span; i < track->first_span + track->n_spans; i++) {
		const struct span *s = &h->timeline->spans.span[i];
		size_t at = s->flags & SPAN_BLIND ? blind_name(&h->names)
						  : find_name(n, &h->names, s->number);

		if (at >= UINT32_MAX)
			return -ENOMEM;
		h->fn[i] = (uint32_t)at;
	}
	return 0;
}

static int name_spans(struct html_timeline *h)
{
	const struct timeline *t = h->timeline;
	struct naming n = { .known = NULL };
	size_t source = SIZE_MAX;
	int err = 0;

	for (size_t i = 0; i < t->n_tracks && !err; i++) {
		if (t->track[i].source != source) {
			if (n.known)
				naming_fini(&n);
			source = t->track[i].source;
			err = naming_init(&n, t->request, &t->source[source].names);
		}
		if (!err)
			err = name_track(h, &n, &t->track[i]);
	}
	if (source != SIZE_MAX)
		naming_fini(&n);
	return err;
}

/* --- depths ----------------------------------------------------------------------------------- */

/* A call is below those that have begun and not ended, by the order of events. */
static int find_depths(struct html_timeline *h)
{
	const struct spans *s = &h->timeline->spans;
	size_t *running = calloc(s->n + 1, sizeof(*running)), n = 0;

	if (!running)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		const struct span *span = &s->span[i];

		while (n && (s->span[running[n - 1]].track != span->track ||
			     s->span[running[n - 1]].last < span->begin))
			n--;
		h->depth[i] = (uint32_t)n;
		running[n++] = i;
	}
	free(running);
	return 0;
}

int html_timeline_init(struct html_timeline *h, const struct timeline *t)
{
	int err;

	*h = (struct html_timeline){ .timeline = t,
				     .fn = calloc(t->spans.n + 1, sizeof(*h->fn)),
				     .depth = calloc(t->spans.n + 1, sizeof(*h->depth)) };
	profile_init(&h->names);
	err = h->fn && h->depth ? name_spans(h) : -ENOMEM;
	return err ? err : find_depths(h);
}

void html_timeline_fini(struct html_timeline *h)
{
	profile_fini(&h->names);
	free(h->fn);
	free(h->depth);
	h->fn = h->depth = NULL;
}

/* --- the object ------------------------------------------------------------------------------- */

static void put_track(struct put *j, const struct timeline *t, const struct timeline_track *track)
{
	const struct name *name = names_thread(&t->source[track->source].names, track->thread);

	put_begin_line(j, "{");
	put_key(j, "thread");
	put_text(j, name ? name->name : (struct text){ "", 0 });
	put_key_count(j, "number", track->thread);
	put_key_count(j, "source", track->source);
	put_key_bool(j, "is_cut", track->is_cut);
	put_key(j, "from");
	put_int(j, track->from_ns);
	put_key(j, "begin");
	put_int(j, t->spans.span[track->first_span].start_ns);
	put_key_count(j, "n_spans", track->n_spans);
	put_end(j, "}");
}

static void put_tracks(struct put *j, const struct timeline *t)
{
	put_key(j, "tracks");
	put_begin(j, "[");
	for (size_t i = 0; i < t->n_tracks; i++) {
		if (t->track[i].n_spans)
			put_track(j, t, &t->track[i]);
	}
	put_end(j, "]");
}

enum field { FN, DEPTH, START, DURATION, FLAGS, FIELDS };

static const char *const field_names[FIELDS] = { "fn", "depth", "start", "duration", "flags" };

/* Marks of a call, as the bits of the page. */
static uint64_t flags_of(const struct span *s)
{
	static const unsigned end[] = { [EVENT_RETURNED] = 0,
					[EVENT_YIELDED] = 8,
					[EVENT_RAISED] = 4,
					[EVENT_CUT] = 64,
					[EVENT_OPEN] = 1 };

	if (s->flags & SPAN_BLIND)
		return 32;
	return end[s->end] | (s->flags & (SPAN_EARLY | SPAN_FOUND) ? 2 : 0) |
	       (s->flags & SPAN_RESUMED ? 16 : 0);
}

static uint64_t difference(int64_t from, int64_t to)
{
	return to > from ? (uint64_t)to - (uint64_t)from : 0;
}

/* START: since the start of the preceding call of the track. */
static uint64_t field_of(const struct html_timeline *h, const uint32_t *page_fn, size_t i,
			 enum field field)
{
	const struct span *s = &h->timeline->spans.span[i];

	switch (field) {
	case FN:
		return page_fn[h->fn[i]];
	case DEPTH:
		return h->depth[i];
	case START:
		return i && s[-1].track == s->track ? difference(s[-1].start_ns, s->start_ns) : 0;
	case DURATION:
		return difference(s->start_ns, s->end_ns);
	default:
		return flags_of(s);
	}
}

void html_timeline_put(const struct html_timeline *h, struct put *j, const uint32_t *page_fn)
{
	const struct timeline *t = h->timeline;
	struct column column;
	uint64_t n_folded = 0;

	for (size_t i = 0; i < t->n_sources; i++)
		n_folded += t->source[i].n_folded;
	put_key(j, "timeline");
	put_begin_line(j, "{");
	put_key_count(j, "events", t->spans.n_events);
	put_key_count(j, "left_out", t->spans.n_left_out);
	put_key_count(j, "folded", n_folded);
	put_tracks(j, t);
	for (enum field field = 0; field < FIELDS; field++) {
		column_begin(&column, j, field_names[field]);
		for (size_t i = 0; i < t->spans.n; i++)
			column_add(&column, field_of(h, page_fn, i, field));
		column_end(&column);
	}
	put_end(j, "}");
}
