/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls that a thread has running when it forks, C functions included, for the recording of
 * the child: read back from the thread's own records, and below them from its ring's fold table.
 *
 * Filled before the fork in the thread that forks, perhaps in a signal handler: no malloc, nothing
 * that another thread writes. The child's memory is a copy, and the parent's recording is out of
 * its reach, so each frame carries what its name is made from.
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
	 * All frames are there. Else the records went back too far: then the Python frames further
	 * out are to be had from the interpreter, and C functions between them are not known.
	 */
	bool complete;
};

/* What the calling thread was running when it forked; used up by the child at its first event. */
extern __thread struct forkstack forkstack_born
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Before a fork, with the GIL held and outside of the shim's slow paths. */
void forkstack_take(struct forkstack *f);

/* In the parent afterwards, or when the child has used it. */
void forkstack_free(struct forkstack *f);

#endif
