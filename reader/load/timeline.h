/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sources to a timeline: single calls with their times, of all threads of all sources on one clock,
 * as far as the rings still hold them. Owns the spans, the tracks and the names. load/reading.c
 * calls it, and formats read it, from one thread. It must not correct times: the overhead of single
 * events is not known.
 *
 * A track is a thread of a source, a span is a call in it, from call to return. Spans of a track
 * are in the order in which they begin, so a caller comes before its callees, and they are properly
 * nested. The newest `max_events` events of all tracks together are kept, calls and returns, which
 * bounds the memory. A call that began earlier begins where the events of its track do.
 */
#ifndef READER_TIMELINE_H
#define READER_TIMELINE_H

#include "base/error.h"
#include "recording/events.h"
#include "recording/names.h"
#include "request.h"
#include "source.h"
#include "spans.h"

#define TIMELINE_DEFAULT_EVENTS 500000u

struct timeline_track {
	size_t source;	 /* index */
	uint32_t thread; /* number for names_thread; several tracks may have the same */
	bool is_cut;	 /* earlier events of it are missing: folded, or older than those kept */
	int64_t from_ns; /* from here on all its events are there */
	size_t first_span, n_spans;
};

struct timeline_source {
	struct names names;
	bool has_wall_clock; /* else its times cannot be compared with those of other sources */
	uint64_t n_folded;   /* events that are only in fold tables: without times */
	/* The clock: time = zero_ns + (ticks - zero_ticks) * ns_per_tick. */
	int64_t zero_ns;
	uint64_t zero_ticks;
	double ns_per_tick;
};

/*
 * Time 0 is when the first source began to be recorded. Sources whose clock does not count wall
 * time have the zero of that clock.
 */
struct timeline {
	const struct request *request;
	struct timeline_source *source; /* in the order of the command line */
	size_t n_sources;
	struct timeline_track *track; /* by source */
	size_t n_tracks;
	struct spans spans;    /* by track */
	uint64_t zero_real_ns; /* CLOCK_REALTIME at time 0; 0: unknown */
};

/*
 * Reads the recordings `name`, which have been read as `s` before. request.max_events: the bound,
 * 0: none. 0, or -errno with `error` set. Call timeline_fini in either case.
 */
int timeline_init(struct timeline *t, const struct request *q, const struct source *s,
		  char *const *name, size_t n, struct error *error);
void timeline_fini(struct timeline *t);

#endif
