/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Batches to trees: loads each ring's fold table, and runs tree.h over its records. Owns the tables
 * and trees of the rings that are being replayed. load calls replay_rings and snapshot calls
 * replay_table, from one thread. It must not change the recording.
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

/* The result of one ring. */
struct replay {
	/*
	 * The part that the target has folded: up to the first block that is still there. No table:
	 * zeroes. From replay_rings, its running calls are counted and closed as of that block;
	 * `tree` has them open.
	 */
	struct pyprof_fold f;
	/* The records. Calls that run at the end are open. No records and no table: zeroes. */
	struct pyprof_tree tree;
	uint64_t last_record; /* 0: no records, all are in the table */
	uint64_t n_lost;      /* events for which the target had no space in its table */
	bool ended;	      /* the thread of the ring has ended ... */
	uint64_t ended_ticks; /* ... at this time */
	bool lost; /* the target has lost events of this ring: the calls at its end are unknown */
	uint32_t thread; /* of the table, or REPLAY_MIXED_THREADS */
};

/*
 * Loads the ring's table at offset `table`, as of block r->folded; drain_next continues after it.
 * An invalid table is counted in `r` and gives an empty one. 0, -ENOMEM, -EAGAIN if a live target
 * was faster, or -EBUSY if it always was. Call replay_fini in either case.
 */
int replay_table(struct replay *out, struct drain_ring *r, uint64_t table);
void replay_fini(struct replay *ring);

/*
 * Calls `use` for each ring in turn, in the calling thread. Its argument is freed when it returns.
 * Adds the losses up in `d`. 0, or the first -errno, which may be that of `use`.
 */
int replay_rings(struct drain *d, int (*use)(void *arg, struct replay *ring), void *arg);

#endif
