/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Statistics of differences between runs: which changes of time are larger than noise. Works on
 * numbers only. Owns nothing between calls. diff/compare.c calls it, from one thread. It must not
 * know of functions' names or of profiles.
 *
 * docs/diff.md describes the model. In short: a run may be slower as a whole (its factor, a
 * weighted median over functions). With several runs on a side the spread of the runs is measured,
 * and a t-test with moderated variance decides. With one run on each side, a change must exceed
 * what the other functions show, and fixed minimums.
 */
#ifndef READER_NOISE_H
#define READER_NOISE_H

#include <stdbool.h>
#include <stddef.h>

#define NOISE_LEAST_SINGLE_S 4e-3 /* one run on a side: less is an interruption */
#define NOISE_LEAST_S 1e-3	  /* several runs: functions with less are not tested */
#define NOISE_TOTAL_SINGLE 0.1	  /* one run on each side: part of the total that is noise */

/* One function of all runs. */
struct noise_function {
	double n_calls; /* the most in a run */
	bool steady;	/* the same calls in all runs: its time says how fast a run was */
	bool on_both;	/* it is in both sides: else it is not tested */
};

struct noise_data {
	size_t n_base, n_new; /* runs of each side, 1 at least */
	const struct noise_function *fn;
	size_t n_fns;
	const double *seconds; /* [function][run], base runs first; 0: not in that run */
	bool exact;	       /* the clock counts events: there is no noise */
};

/* What is known of one time of one function, or of the total. Seconds. */
struct noise_value {
	double base_s;	      /* mean of the base runs, each divided by its factor */
	double new_s;	      /* ... of the new runs */
	double base_spread_s; /* standard deviation of the base runs; NAN with one run */
	double new_spread_s;
	double raw_base_s, raw_new_s; /* means as measured */
	double limit_s;		      /* changes below it are noise; NAN if p decides */
	double p;		      /* probability of such a change by noise; NAN if limit_s decides */
	bool beyond;		      /* the change is larger than noise */
};

/* How noisy the runs are. */
struct noise_level {
	double relative; /* of a long function's time: single runs: limit; else standard deviation */
	double least_s;	 /* smaller changes are noise */
	bool is_busy;	 /* single runs: many functions differ, as on a machine with other work */
};

/* The change in seconds. */
static inline double noise_change(const struct noise_value *v)
{
	return v->new_s - v->base_s;
}

/*
 * Sets factor[run] for all runs: how many times longer functions took than in the base runs'
 * medians. 1 if unknown. 0 or -ENOMEM.
 */
int noise_factors(const struct noise_data *d, double *factor);

/* Fills in v[function] and `level`. 0 or -ENOMEM. */
int noise_test(const struct noise_data *d, const double *factor, struct noise_value *v,
	       struct noise_level *level);

/* The total of each run, without factors. `seconds` has n_base + n_new numbers. */
struct noise_value noise_total(const struct noise_data *d, const double *seconds);

#endif
