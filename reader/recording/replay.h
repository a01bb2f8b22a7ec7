/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Batches -> tables: runs fold.h over each ring's fold table and records. Rings are independent of
 * each other: several are replayed at once where there are processors, with their results in the
 * rings' order.
 */
#ifndef READER_REPLAY_H
#define READER_REPLAY_H

#include "drain.h"
#include "pyprof/fold.h"

/*
 * Instead of a thread's number (1, 2, ...): of several threads that went on in each other's ring
 * and were folded there together, so that nobody knows what each of them did.
 */
#define REPLAY_MIXED_THREADS 0u

/* How rings are to be replayed; zeros: as they are. */
struct replay_request {
	bool through_c; /* what C functions called is put down to who called them: fold.h */
	bool by_thread; /* tables of its own for each thread */
};

/* What a ring says of one thread. */
struct replay_piece {
	uint32_t thread;
	struct pyprof_fold f; /* closed; to be read only: without index and stack */
};

/* What one ring says. */
struct replay {
	struct pyprof_fold f;  /* with what is still open on its stack */
	uint64_t last_record;  /* of the last thread; 0: all are in the table */
	uint64_t n_lost_there; /* events for which the target found no space in its table */
	bool ended;	       /* its thread has, at ... */
	uint64_t ended_ticks;
	bool lost; /* the target has lost events of this ring: nobody knows what ran at the end */
	/* by_thread: `f` is of the last one, and ... */
	uint32_t thread;
	struct replay_piece *before; /* ... these are of those who had the ring before it */
	size_t n_before;
};

/*
 * The ring's table at `table`, as of block r->folded: drain_next goes on behind it. 0, -ENOMEM, or
 * -EAGAIN where a live target was faster; one that makes no sense is counted in `r`, and empty. To
 * be freed by replay_fini.
 */
int replay_table(struct replay *out, struct drain_ring *r, uint64_t table);
void replay_fini(struct replay *ring);

/*
 * Calls `use` for every ring in turn, in the calling thread; what it is given is gone when it
 * returns. Losses are added up in `d`. 0, or the first -errno of its own or of `use`.
 */
int replay_rings(struct drain *d, const struct replay_request *q,
		 int (*use)(void *arg, struct replay *ring), void *arg);

#endif
