/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the functions and caller edges of a fold's tables took, and what of that recording has cost.
 *
 * The model: recording a call of kind k takes in_k between the call's two clock readings, in its
 * own time, and out_k before and behind them, in its caller's, with n * cold where n is what the
 * processor may have forgotten it over, in events. So
 *
 *	cost in self(f)  = sum over calls of f of in_k + sum over calls that f made of out_k
 *	cost in total(f) = sum over outer calls of f of in_k + sum over calls within of in_k + out_k
 *
 * What f made as a callee of each of its callers, and what lies within, is known by weight: it
 * takes its share of what f made, and of what lies within all calls of f; but for n, which is
 * counted (n_between).
 */
#ifndef READER_COST_H
#define READER_COST_H

#include "calib.h"
#include "profile/profile.h"
#include "pyprof/fold.h"
#include "recording/names.h"

struct cost {
	/* What it is about; set before cost_open, and not changed then. */
	const struct pyprof_fold *fold;
	const struct names *names;
	const struct calib *calib; /* NULL: none */
	bool monitoring;	   /* the engine */
	double seconds_per_tick;

	/* By slot, and in seconds where nothing else is said. */
	double *out;	  /* of the calls that the function made */
	double *weight;	  /* the same, in the units of header.cost_weight */
	double *n_frames; /* its own calls, which share where nothing has a weight */
	double *far;	  /* which part of its call sites' events are told from far places */
	/*
	 * For each unit of weight of what lies within the function's calls, and of these, what lies
	 * in Python functions' own time. Between calls of the function there is no difference
	 * known.
	 */
	struct cost_rate {
		double all, python;
	} * rate;
};

/* 0 or -ENOMEM. To be closed in any case. */
int cost_open(struct cost *c);
void cost_close(struct cost *c);

/* Calls, seconds and costs of an edge. */
struct profile_counts cost_edge(const struct cost *c, const struct pyprof_fold_edge *e);

/*
 * Of each function, by slot: what its slot and the edges that lead to it add up to. For free(), or
 * NULL.
 */
struct profile_counts *cost_functions(const struct cost *c);

#endif
