/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Batches to tables: runs fold.h over each ring's fold table and records. Owns the tables of the
 * rings that are being replayed. load calls replay_rings and snapshot calls replay_table, from one
 * thread. It must not change the recording.
 *
 * Rings are independent of each other, so replay_rings replays several at once in threads of its
 * own if there are processors for that. The results are delivered in the order of the rings.
 */
#ifndef READER_REPLAY_H
#define READER_REPLAY_H

#include "drain.h"
#include "pyprof/fold.h"
#include "pyprof/tree.h"

/*
 * Stands for a thread's number (1, 2, ...) if several threads used a ring one after the other and
 * were folded together, so that their shares are unknown.
 */
#define REPLAY_MIXED_THREADS 0u

/* The way in which rings are replayed. Zeroes: as recorded. */
struct replay_request {
	bool through_c; /* calls by C functions count for the Python caller of these: fold.h */
	bool by_thread; /* each thread gets tables of its own */
	bool contexts;	/* `tree` is made too */
};

/* The part of a ring that belongs to one thread. */
struct replay_piece {
	uint32_t thread;
	struct pyprof_fold f; /* closed and read-only: without index and stack */
};

/* The result of one ring. */
struct replay {
	struct pyprof_fold f;  /* its stack holds the calls that are still open */
	uint64_t last_record;  /* 0: no records, all are in the table */
	uint64_t n_lost_there; /* events for which the target had no space in its table */
	bool ended;	       /* the thread of the ring has ended ... */
	uint64_t ended_ticks;  /* ... at this time */
	bool lost; /* the target has lost events of this ring: the calls at its end are unknown */
	/* With by_thread, `f` is of this thread, and `before` of the earlier ones. */
	uint32_t thread;
	struct replay_piece *before;
	size_t n_before;
	struct pyprof_tree tree; /* the calling contexts, if requested; calls at its end are open */
};

/*
 * Loads the ring's table at offset `table`, as of block r->folded; drain_next continues after it.
 * An invalid table is counted in `r` and gives an empty one. 0, -ENOMEM, -EAGAIN if a live target
 * was faster, or -EBUSY if it always was. Call replay_fini in either case.
 */
int replay_table(struct replay *out, struct drain_ring *r, uint64_t table);
void replay_fini(struct replay *ring);

/* Does the same for a ring that may have no table, after drain_ring_start or drain_ring_restart. */
int replay_start(struct replay *out, struct drain_ring *r, uint64_t table);

/* Call it after the last record: takes over the end of the ring, its time and losses before it. */
void replay_note_end(struct replay *out, const struct pyprof_ring *ring);

/* True if the program took the profile hook and no event was seen after that. */
bool replay_ends_blind(const struct replay *ring);

/*
 * Returns the time, in ticks of the thread's own time as f.s.now, at which the calls that are still
 * open end. `end` is ticks_end(). If that is known and no events are missing, they end with the
 * thread or, if it still ran, with the recording. Else they end at the last event of the ring.
 */
uint64_t replay_end(const struct replay *ring, uint64_t end);

/*
 * Calls `use` for each ring in turn, in the calling thread. Its argument is freed when it returns.
 * Adds the losses up in `d`. 0, or the first -errno, which may be that of `use`.
 */
int replay_rings(struct drain *d, const struct replay_request *q,
		 int (*use)(void *arg, struct replay *ring), void *arg);

#endif
