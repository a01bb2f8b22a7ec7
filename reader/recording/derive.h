/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tree of tree.h -> functions and caller edges, with all that pstats counts. Exact: a node is a
 * path, so it says which calls of a function and of an edge were recursive. Owns the result. load
 * calls it for each ring, in one thread. It must not change the tree.
 *
 * A node is an outermost one of its function if none above it on its path has that function. Calls
 * of the other nodes are recursive. Cumulative times are sums over outermost nodes. The same holds
 * for edges.
 */
#ifndef READER_DERIVE_H
#define READER_DERIVE_H

#include "pyprof/tree.h"

/* Times are ticks, overheads seconds. */
struct derived_counts {
	uint64_t n_calls; /* with resumes, as cProfile counts them */
	uint64_t n_recursive;
	uint64_t n_resumes;
	uint64_t n_recursive_resumes; /* of n_recursive, resumes */
	uint64_t n_exceptions;
	uint64_t self, total;
	double self_overhead_s, total_overhead_s; /* sums of `overhead_s` over the same nodes */
};

struct derived_fn {
	uint32_t number;
	uint32_t level; /* used while deriving */
	struct derived_counts counts;
};

struct derived_edge {
	uint32_t caller; /* index into fn; 0: the outermost calls */
	uint32_t callee;
	uint32_t level; /* used while deriving */
	struct derived_counts counts;
};

/* Entries are in the order of their first nodes, from index 1 on. */
struct derived {
	struct derived_fn *fn;
	struct derived_edge *edge;
	uint32_t n_fns, n_edges;
	uint32_t cap_fns, cap_edges;
	uint32_t *fn_index, *edge_index; /* open addressing; twice as large as the caps */
};

/* Zeroes: derive from all nodes, as recorded. */
struct derive_request {
	uint32_t thread;	  /* only below this node of a thread; 0: all */
	bool through_c;		  /* the caller of a C function's callee is its caller, and so on */
	const double *overhead_s; /* by node: overhead within its self time; NULL: none */
};

/* 0 or -ENOMEM. derived_fini must follow in both cases. */
int derive(struct derived *d, const struct pyprof_tree *t, const struct derive_request *q);
void derived_fini(struct derived *d);

#endif
