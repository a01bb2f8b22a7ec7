/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the forking thread was in the midst of, C functions included, for the recording of the child:
 * read back from the thread's own records, and below them from its ring's fold table.
 */
#ifndef SHIM_FORKSTACK_H
#define SHIM_FORKSTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct forkstack {
	uint32_t *fn; /* function numbers, the innermost first */
	bool *is_c;
	size_t n, cap;
	/*
	 * All frames are there. Else the records went back too far: then the Python frames further out
	 * are to be had from the interpreter, and C functions between them are not known.
	 */
	bool complete;
};

/* Before a fork, in the thread that forks. Nothing is known where it has no ring. */
void forkstack_take(struct forkstack *f);

/* In the parent afterwards, or when the child has used it. */
void forkstack_free(struct forkstack *f);

#endif
