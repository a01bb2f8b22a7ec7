/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls that run in a thread when it forks, C functions included, for the recording of the
 * child. They are read back from the thread's own records, and below them from its ring's fold
 * table.
 *
 * Filled before the fork by the thread that forks, perhaps in a signal handler: must not call
 * malloc, nor read anything that another thread writes. The child's memory is a copy, and it cannot
 * reach the parent's recording, so each frame carries the parts of its name.
 */
#ifndef SHIM_FORKSTACK_H
#define SHIM_FORKSTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "intern.h"

struct forkstack {
	struct intern_origin *frame; /* the innermost first */
	size_t n, cap;
	/*
	 * True if all frames are there. Otherwise the records do not reach back far enough: the
	 * interpreter knows the Python frames further out, but C functions between them are
	 * unknown.
	 */
	bool complete;
};

/* The frames of the calling thread when it forked; the child uses them up at its first event. */
extern __thread struct forkstack forkstack_born
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Called before a fork, with the GIL held and outside of the shim's slow paths. */
void forkstack_take(struct forkstack *f);

/* Called in the parent after the fork, or when the child has used the frames. Async-signal-safe. */
void forkstack_free(struct forkstack *f);

#endif
