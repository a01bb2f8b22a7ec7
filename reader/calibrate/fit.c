/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pyprof/format.h"

/*
 * Constants of the fit; docs/overhead.md has the formula.
 *
 * The prior of a kind is the expected deviation of its overhead in programs from that in its loop:
 * PRIOR times the kind's own overhead, and at least PRIOR or PRIOR_EXTRA of a Python call. A call
 * varies with the code around it. A surcharge varies less.
 */
#define PRIOR 0.2	 /* of a call */
#define PRIOR_EXTRA 0.03 /* of a surcharge */
#define LEAST_CALL 5e-9	 /* seconds; bounds of a Python call, also on a disturbed machine */
#define MOST_CALL 500e-9
#define LEAST_ADDED 0.1	 /* of the native time; a program with less added counts less */
#define LEAST_SIGMA 0.05 /* of the added time; the model is not more exact than this */
#define SIGMA 1.48	 /* standard deviation of a normal distribution, in median deviations */
#define HUBER_SIGMAS 2	 /* programs with a larger residual count less */
#define PASSES 20

/*
 * Prior of calibration.cold, as parts of a Python call: the expected value, and its deviation. From
 * calibrations of 3.8 to 3.13: docs/measured/2026-11-overhead.md.
 */
static const struct {
	double part, prior;
} per_distance[] = { [false] = { 0.005, 0.002 }, [true] = { 0.0008, 0.0003 } }; /* monitoring */

void fit_add(struct calibration *c, int unknown, double s)
{
	if (unknown == FIT_COLD)
		c->cold += s;
	else if (overhead_kind[unknown].callee_pays)
		c->overhead[unknown].in_s += s;
	else
		c->overhead[unknown].out_s += s;
}

/*
 * Solves a x = b by Cholesky's decomposition. `a` is positive definite and is overwritten. `x`
 * holds b before, and the solution after.
 */
static void solve_by_cholesky(double a[FIT_UNKNOWNS][FIT_UNKNOWNS], double x[FIT_UNKNOWNS])
{
	for (int i = 0; i < FIT_UNKNOWNS; i++) {
		for (int k = 0; k < i; k++) {
			for (int j = i; j < FIT_UNKNOWNS; j++)
				a[j][i] -= a[j][k] * a[i][k];
		}
		for (int j = FIT_UNKNOWNS - 1; j >= i; j--)
			a[j][i] /= sqrt(a[i][i]);
	}
	for (int i = 0; i < FIT_UNKNOWNS; i++) {
		for (int k = 0; k < i; k++)
			x[i] -= a[i][k] * x[k];
		x[i] /= a[i][i];
	}
	for (int i = FIT_UNKNOWNS; i--;) {
		for (int k = i + 1; k < FIT_UNKNOWNS; k++)
			x[i] -= a[k][i] * x[k];
		x[i] /= a[i][i];
	}
}

/*
 * Overhead of a Python call, in seconds: the unit of priors. It is the fitted one of the last pass,
 * because a loop estimate that is too low would also make its own prior too low.
 */
static double call_overhead(const struct calibration *c, const double *x)
{
	const struct overhead *python = &c->overhead[OVERHEAD_PYTHON];
	double s = python->in_s + python->out_s + x[OVERHEAD_PYTHON];

	return !(s > LEAST_CALL) ? LEAST_CALL : s > MOST_CALL ? MOST_CALL : s;
}

/* Scale of a program's residual, in 1/seconds: 1 / max(added, native / 10). */
static double weight_of(const struct fit_program *p)
{
	double least = LEAST_ADDED * p->native_s;

	return 1 / (p->added_s > least ? p->added_s : least);
}

/* Prior of a kind: the expected deviation, in seconds. */
static double prior_of(const struct calibration *c, int kind, double call)
{
	double own = PRIOR * fabs(c->overhead[kind].in_s + c->overhead[kind].out_s);
	double least = (overhead_kind[kind].is_call ? PRIOR : PRIOR_EXTRA) * call;

	return own > least ? own : least;
}

/*
 * One pass of ridge regression, by the normal equations. Changes of unknowns are scaled by their
 * priors, residuals by `sigma`. `huber`: weight of each program, at most 1. `x` holds the solution
 * of the last pass before, and the new one after.
 */
static void least_squares(const struct calibration *c, bool monitoring, const struct fit_program *p,
			  int n, double sigma, const double *huber, double *x)
{
	double a[FIT_UNKNOWNS][FIT_UNKNOWNS] = { 0 }, call = call_overhead(c, x);
	double prior = per_distance[monitoring].prior * call;

	memset(x, 0, FIT_UNKNOWNS * sizeof(*x));
	for (int k = 0; k < OVERHEAD_KINDS; k++)
		a[k][k] = 1 / (prior_of(c, k, call) * prior_of(c, k, call));
	a[FIT_COLD][FIT_COLD] = 1 / (prior * prior);
	x[FIT_COLD] = (per_distance[monitoring].part * call - c->cold) * a[FIT_COLD][FIT_COLD];
	for (int i = 0; i < n; i++) {
		double weight = weight_of(&p[i]) / sigma, squared = weight * weight * huber[i];

		for (int k = 0; k < FIT_UNKNOWNS; k++) {
			x[k] += p[i].by[k] * (p[i].added_s - p[i].known_s) * squared;
			for (int l = 0; l <= k; l++)
				a[k][l] += p[i].by[k] * p[i].by[l] * squared;
		}
	}
	solve_by_cholesky(a, x);
}

/* Residual of a program with the changes `x`, as a part of the added time. */
static double residual_of(const struct fit_program *p, const double *x)
{
	double off = p->added_s - p->known_s;

	for (int k = 0; k < FIT_UNKNOWNS; k++)
		off -= p->by[k] * x[k];
	return fabs(off) * weight_of(p);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_residual(const struct fit_program *p, int n, const double *x)
{
	double residual[FIT_MAX_PROGRAMS];

	for (int i = 0; i < n; i++)
		residual[i] = residual_of(&p[i], x);
	qsort(residual, (size_t)n, sizeof(*residual), compare);
	return residual[n / 2];
}

/*
 * Least squares with Huber's weights (Huber, 1964), repeated: programs with a residual of more than
 * HUBER_SIGMAS sigma count linearly instead of by the square.
 */
double fit(struct calibration *c, bool monitoring, const struct fit_program *p, int n)
{
	double x[FIT_UNKNOWNS] = { 0 }, huber[FIT_MAX_PROGRAMS], sigma = LEAST_SIGMA, median = 0;

	for (int i = 0; i < n; i++)
		huber[i] = 1;
	for (int pass = 0; pass < PASSES; pass++) {
		least_squares(c, monitoring, p, n, sigma, huber, x);
		median = median_residual(p, n, x);
		sigma = median * SIGMA > LEAST_SIGMA ? median * SIGMA : LEAST_SIGMA;
		for (int i = 0; i < n; i++) {
			double excess = residual_of(&p[i], x) / (HUBER_SIGMAS * sigma);

			huber[i] = excess > 1 ? 1 / excess : 1;
		}
	}
	for (int k = 0; k < FIT_UNKNOWNS; k++)
		fit_add(c, k, x[k]);
	c->cold = c->cold > 0 ? c->cold : 0;
	return median;
}
