/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calling contexts -> functions and caller edges, where several functions may count as one. Owns
 * nothing between calls. profile/group.c calls it, from one thread. It must not name functions.
 *
 * A node is an outermost one of its function if none above it on its path has that function. Calls
 * of the other nodes are recursive, and cumulative times are sums over outermost nodes. The same
 * holds for edges. So the numbers of functions that count as one are exact, which cannot be had
 * from their own numbers: a cumulative time contains those of nested calls.
 */
#ifndef READER_CONTEXTS_SUM_H
#define READER_CONTEXTS_SUM_H

#include "contexts.h"

/*
 * Adds all nodes to `to`, with function fn[] of it instead of their own; CONTEXTS_LEAVE_OUT: their
 * callees have the next caller above them. Functions below CONTEXT_FOLDED are left out: their paths
 * are not known. Precondition: contexts_finish. 0 or -ENOMEM.
 */
int contexts_sum(struct profile *to, const struct contexts *c, const uint32_t *fn);

/* True if the contexts of some calls are not known. */
bool contexts_any_folded(const struct contexts *c);

#endif
