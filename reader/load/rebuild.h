/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables to profile: adds up the tables of all rings, checks two laws of conservation and sums up
 * what is known beside the profile. Owns the threads in its summary. load/recording.c calls it from
 * one thread. It must not print, nor subtract overhead (correct.h does). Functions that share file,
 * line and name become one, as in pstats.
 */
#ifndef READER_REBUILD_H
#define READER_REBUILD_H

#include <stdint.h>

#include "overhead/calibration.h"
#include "profile/contexts.h"
#include "profile/profile.h"
#include "recording/drain.h"
#include "recording/names.h"
#include "recording/replay.h"
#include "request.h"

struct rebuild_thread {
	uint32_t number;   /* or REPLAY_MIXED_THREADS */
	int32_t native_id; /* the kernel's; 0: not known */
	char *name; /* up to the first NUL; may contain surrogates and invalid UTF-8; "": not known */
	struct profile profile; /* of this thread, if the request splits threads; else empty */
};

/* The facts about a recording beside its profile. Ticks are those of its clock. */
struct rebuild_summary {
	uint64_t n_events;
	uint64_t n_unmatched; /* returns without a call */
	uint64_t n_closed;    /* calls without a return, ended with their caller */
	uint64_t n_open;    /* ended by a blind interval, a pause, a thread's or the records' end */
	uint64_t n_running; /* of n_open, those that ran at the end of the records */
	uint64_t n_found;   /* calls that were running when recording began or continued */
	uint64_t n_lost_here;		  /* events for which the reader had no memory */
	uint64_t first_ticks, last_ticks; /* first and last event of all threads */
	uint64_t span_ticks;		  /* sum over rings, first to last event ... */
	uint64_t skipped_ticks;		  /* ... of it, the shim's work, left out of times */
	uint64_t n_blind_intervals;	  /* blind intervals that ended */
	uint64_t blind_interval_ticks;	  /* their sum over all threads */
	uint64_t n_unnamed;	   /* functions in the records that have no name in the recording */
	uint64_t n_blind_ends;	   /* rings that saw no events after the profile hook was taken */
	uint64_t blind_from_ticks; /* the first time at which that happened */
	uint64_t blind_ticks;	   /* sum of these intervals, up to the end as far as it is known */
	/* Numbers of rings that break a law of conservation. */
	uint64_t n_time_broken;	 /* law: the self times add up to the root's time */
	uint64_t n_calls_broken; /* law: the caller edges add up to the events */
	size_t n_rings;
	size_t n_threads;
	struct rebuild_thread *thread; /* if requested: each thread once, in the order of rings */
	size_t n_listed;
};

/* Frees the threads of the summary. */
void rebuild_summary_fini(struct rebuild_summary *summary);

/* True if `id` is the native id, #number or name of the thread. Several threads may match. */
bool rebuild_is_thread(const struct rebuild_thread *t, const char *id);

/*
 * Adds all rings to `p`, and their calling contexts to `contexts` (NULL: not wanted). A tick lasts
 * `seconds_per_tick` seconds. With a calibration (NULL: none), states the overhead within each time
 * beside it. Reads `names` again if a live target has named more functions meanwhile. 0 or -errno.
 * Call rebuild_summary_fini in either case.
 */
int rebuild(struct profile *p, struct contexts *contexts, struct drain *d, struct names *names,
	    double seconds_per_tick, const struct calibration *calibration, const struct request *q,
	    struct rebuild_summary *summary);

#endif
