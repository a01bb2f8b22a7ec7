/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Begins and ends of calls to spans, of which the newest are kept. Owns the spans. timeline.c calls
 * it, one thread at a time for each struct. It must not know recordings.
 *
 * An event is the recorded begin or end of a call; each has its time and, for equal times, its
 * position in the order of reading. If there are more than `max_events`, the oldest are left out.
 * A span without events that are kept, and which ended before these, goes; of others, only the
 * begin may be left out. So memory is bounded by max_events and the depth of stacks.
 */
#ifndef READER_SPANS_H
#define READER_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SPAN_C = 1,	    /* a C function */
	SPAN_RESUMED = 2,   /* a generator or coroutine continues */
	SPAN_EARLY = 4,	    /* it began before start_ns: before_ns earlier ... */
	SPAN_FOUND = 8,	    /* ... or at an unknown time, because it was found running */
	SPAN_BLIND = 16,    /* not a call: a blind interval */
	SPAN_BEGAN = 32,    /* its begin is an event that is kept ... */
	SPAN_ENDED = 64,    /* ... and its end is */
	SPAN_RUNNING = 128, /* its end has not been read yet */
};

struct span {
	int64_t start_ns, end_ns;
	int64_t before_ns;    /* SPAN_EARLY: how long it had run before start_ns */
	uint64_t begin, last; /* positions of its begin and its end */
	uint32_t number;      /* of the function */
	uint32_t track;
	uint16_t flags; /* SPAN_* */
	uint16_t end;	/* enum event_end; 0 as long as it is running */
};

struct spans {
	struct span *span; /* in the order in which they began, in each track */
	size_t n, cap;
	uint64_t max_events; /* 0: all are kept */
	uint64_t n_events;   /* kept */
	uint64_t n_left_out; /* older ones */
	int64_t from_ns;     /* if some are left out: the time of the oldest that is kept */
	uint64_t position;
	size_t *running; /* spans of the running calls, outermost first; SIZE_MAX: not wanted */
	size_t n_running, cap_running;
};

/*
 * A call begins. `span` has start_ns, number, track and flags; NULL: it is not wanted. 0 or
 * -ENOMEM.
 */
int spans_enter(struct spans *s, const struct span *span);

/* The innermost call ends. `is_event`: by a record of its own. 0 or -ENOMEM. */
int spans_leave(struct spans *s, int64_t ns, unsigned end, bool is_event);

/* Adds a span that has ended, with its end as an event. 0 or -ENOMEM. */
int spans_add(struct spans *s, const struct span *span);

/* Forgets the spans from this track on, and the running calls. */
void spans_forget(struct spans *s, uint32_t track);

/* Leaves out the oldest events beyond max_events. It is done now and then, and at the end. */
int spans_bound(struct spans *s);

void spans_fini(struct spans *s);

#endif
