/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings to single events: which calls begin and end when, in the order in which each thread saw
 * them. Owns nothing between calls. load/timeline.c calls it, from one thread. It must not change
 * the recording, nor keep events.
 *
 * fold.h interprets the records; this walk observes its stack, so calls here are those of a report.
 * The fold table of a ring has no events. Its stack is known, so the calls that ran at the
 * first record are reported there.
 */
#ifndef READER_EVENTS_H
#define READER_EVENTS_H

#include "drain.h"
#include "pyprof/fold.h"

enum event_kind {
	/*
	 * A ring begins. If it is the ring of the preceding EVENT_RING again, a live target was
	 * faster: all that was reported since then is invalid and follows again.
	 */
	EVENT_RING,
	EVENT_THREAD, /* what follows in this ring is of this thread; no call of it is running */
	EVENT_ENTER,  /* a call begins, or is found running */
	EVENT_LEAVE,  /* the innermost call ends */
	EVENT_BLIND,  /* a blind interval has ended; the calls around it are those that run then */
};

/* How a call ended. Only the first three have a record of their own. */
enum event_end {
	EVENT_RETURNED,
	EVENT_YIELDED, /* a generator or coroutine was suspended */
	EVENT_RAISED,  /* left by an exception */
	EVENT_CUT,     /* no return is recorded: ended with its caller or thread, or at a pause */
	EVENT_OPEN,    /* it runs at the end of the records */
};

/*
 * Times are ticks of the recording's clock, so those of several threads can be compared unless each
 * has a clock of its own. They never go back within a ring. The shim's own work since the last
 * block began (mostly under 0.1 ms) is not known, and a time is too early by that.
 */
struct event {
	enum event_kind kind;
	enum event_end end; /* EVENT_LEAVE */
	uint32_t number;    /* EVENT_RING: its index; EVENT_THREAD: the thread; ENTER: function */
	uint32_t flags;	    /* EVENT_ENTER: PYPROF_FRAME_* */
	uint64_t ticks;
	/*
	 * EVENT_ENTER: how long the call has run before, if it began before the first record.
	 * EVENT_BLIND: length of the interval, which ends at `ticks`.
	 */
	uint64_t ticks_before;
	uint64_t n_folded; /* EVENT_RING: events in the fold table, which are not reported */
	bool is_early;	   /* EVENT_ENTER: it began before the first record */
};

/*
 * Calls `use` for each event of each ring. `end` is ticks_end(): calls that are open then end
 * there, as in replay_end. Adds the losses up in `d`. 0, or the first -errno, which may be that of
 * `use`.
 */
int events_walk(struct drain *d, uint64_t end, int (*use)(void *arg, const struct event *e),
		void *arg);

#endif
