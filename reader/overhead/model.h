/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model of overhead: the fold tables of a ring -> calls and seconds of functions and caller
 * edges, with the overhead that each time contains. Subtracting it is up to correct.h.
 *
 * Called by load/rebuild.c, once for each ring, in one thread. Owns arrays by slot. The tables,
 * names and calibration belong to the caller. It must not change them, read files or print.
 *
 * docs/overhead.md, "The formula", has the model. For a function f:
 *
 *	in self(f)	in(k) of the calls of f
 *			+ out(k) of the calls that f made, and their reuse distances * cold
 *	in total(f)	in(k) of the calls of f that are not recursive
 *			+ in(k) + out(k) of the calls within these, and their reuse distances * cold
 *
 * Self times of functions, calls and reuse distances are exact: fold tables count them. Two things
 * are divided by weight instead: the overhead of the calls that f made, among the callers of f; and
 * the overhead within a call, at the mean rate of all calls of f.
 */
#ifndef READER_MODEL_H
#define READER_MODEL_H

#include "calibration.h"
#include "profile/profile.h"
#include "pyprof/fold.h"
#include "recording/names.h"

struct model {
	/* Set by the caller before model_init, and unchanged until model_fini. */
	const struct pyprof_fold *fold;
	const struct names *names;
	const struct calibration *calibration; /* NULL: state no overhead */
	bool monitoring;		       /* the engine is that of 3.12 and later */
	double seconds_per_tick;

	/* Owned, and indexed by slot of the function. */
	double *out;	    /* seconds: `out` overhead of the calls that it made */
	double *weight;	    /* weight of the same calls, in units of header.overhead_weight */
	double *n_frames;   /* calls of it, which divide `out` where nothing has a weight */
	double *high_sites; /* estimated part of its call-site events with a high offset */
	/*
	 * Seconds of overhead for each unit of weight within its calls. `python`: the part that
	 * lies in self times of Python functions. All calls of a function have one rate, because
	 * the tables do not distinguish them.
	 */
	struct model_rate {
		double all, python;
	} * rate;
};

/* 0 or -ENOMEM. model_fini must follow in both cases. */
int model_init(struct model *c);
void model_fini(struct model *c);

/* Calls, seconds and overhead of an edge. */
struct profile_counts model_edge(const struct model *c, const struct pyprof_fold_edge *e);

/*
 * The same for each function, by slot up to fold->s.n_fns: the sum of the edges into it, and what
 * the table counts for the function alone. For free(), or NULL if memory is exhausted.
 */
struct profile_counts *model_functions(const struct model *c);

#endif
