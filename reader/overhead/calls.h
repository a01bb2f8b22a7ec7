/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The overhead of calls by one caller of one function, by their kinds (kinds.def). Without state.
 * model.c calls it, from any thread.
 */
#ifndef READER_CALLS_H
#define READER_CALLS_H

#include "calibration.h"
#include "recording/names.h"

/* Counts of calls, of which some are of several kinds. */
struct calls {
	uint64_t n; /* with resumes */
	uint64_t n_direct, n_resumes, n_exceptions, n_high;
	const struct name *callee, *caller; /* caller: NULL for outermost calls */
	double high_sites;		    /* calls_high_sites() of the caller; 3.12 and later */
};

/* The overhead of all these calls in seconds, except that of class calls and reuse distance. */
struct overhead calls_overhead(const struct calibration *calibration, bool monitoring,
			       const struct calls *calls);

/*
 * The part of a function's call-site events that had a high offset: 0 to 1. The recording marks
 * ends of calls (PYPROF_HIGH_OFFSET), and ends of C functions and class calls have the offset of
 * their call site: `n_high` of `n_all` of them. A function without such calls gets a guess from the
 * size of its code. `caller`: NULL for none.
 */
double calls_high_sites(bool monitoring, const struct name *caller, double n_high, double n_all);

/* Seconds of class calls, in parts of PYPROF_CLASS_UNITS. All of them are their caller's `out`. */
double calls_class_overhead(const struct calibration *calibration, uint64_t n_units,
			    uint64_t n_high);

#endif
