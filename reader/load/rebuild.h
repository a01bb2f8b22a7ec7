/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables -> profile: adds the rings up, and checks them. Functions
 * that share file, line and name become one, as pstats knows them.
 */
#ifndef READER_REBUILD_H
#define READER_REBUILD_H

#include <stdint.h>

#include "overhead/calib.h"
#include "profile/profile.h"
#include "recording/drain.h"
#include "recording/names.h"
#include "recording/replay.h"
#include "request.h"

struct rebuild_thread {
	uint32_t number;   /* or REPLAY_MIXED_THREADS */
	int32_t native_id; /* the kernel's; 0: not known */
	char *name; /* not known: "". UTF-8, without NUL, surrogates and what is none passed */
	struct profile profile; /* where threads are split: what it did; else empty */
};

/* What is to be said about a recording beside its profile. */
struct rebuild_summary {
	uint64_t n_events;
	uint64_t n_unmatched;
	uint64_t n_closed;
	uint64_t n_open;      /* at a gap, a pause, the end of a thread, or of the records ... */
	uint64_t n_running;   /* ... and of these, those that ran at the end of the records */
	uint64_t n_found;     /* calls that were running when recording began, or went on */
	uint64_t n_lost_here; /* for want of memory in the reader */
	uint64_t first_ticks, last_ticks; /* the clock; of all threads */
	uint64_t span_ticks;		  /* first to last, of each thread, added up ... */
	uint64_t skipped_ticks; /* ... and of it, the shim's own work, left out of times */
	uint64_t n_gaps;
	uint64_t gap_ticks; /* of all threads */
	uint64_t n_unnamed; /* functions in the records that have no name in the recording */
	uint64_t
		n_blind_ends; /* threads that were not seen any more when the profile hook was taken */
	uint64_t blind_from_ticks; /* the first of these, from then on */
	uint64_t blind_ticks;	   /* of all of these, up to the end as far as it is known */
	/* Laws that hold for each ring; how many rings break them. */
	uint64_t n_time_broken;	 /* the self times add up to the root's time */
	uint64_t n_calls_broken; /* the caller edges add up to the events */
	size_t n_rings;
	size_t n_threads;
	struct rebuild_thread *thread; /* where they are wanted: each once, in the order of rings */
	size_t n_listed;
};

/* Frees what rebuild() has put into it. */
void rebuild_summary_fini(struct rebuild_summary *summary);

/*
 * Adds all rings to `p`. A tick lasts `seconds_per_tick`. What recording has cost in each time is
 * stated beside it, where a calibration is given. `names` is read anew where a live target has
 * named more meanwhile. 0 or -errno.
 */
int rebuild(struct profile *p, struct drain *d, struct names *names, double seconds_per_tick,
	    const struct calib *calib, const struct request *q, struct rebuild_summary *summary);

#endif
