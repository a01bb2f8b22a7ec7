/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Batches -> tables: runs fold.h over each ring's fold table and records. Rings are independent of each
 * other: several are replayed at once where there are processors, with their results in the rings' order.
 */
#ifndef READER_REPLAY_H
#define READER_REPLAY_H

#include "drain.h"
#include "pyprof/fold.h"

/* What one ring says. */
struct replay {
	struct pyprof_fold f;  /* with what is still open on its stack */
	uint64_t n_lost_there; /* events for which the target found no space in its table */
};

/*
 * Calls `use` for every ring in turn, in the calling thread; what it is given is gone when it returns.
 * Losses are added up in `d`. 0, or the first -errno of its own or of `use`.
 */
int replay_rings(struct drain *d, int (*use)(void *arg, struct replay *ring), void *arg);

#endif
