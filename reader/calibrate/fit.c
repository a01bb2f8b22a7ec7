/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pyprof/format.h"

/*
 * How far a cost in programs may be from that in its loop, as a part of it or of a Python
 * function's call, whichever is more: of a kind of call it varies by what surrounds the call, of
 * what some of them have in addition less, and less than that of a call; what a program must have
 * added to count in full, in its bare time; and how right the model is at best for a program, as a
 * part of what recording adds to it.
 */
#define PRIOR 0.2
#define PRIOR_IN_ADDITION 0.03
#define LEAST_CALL 5e-9 /* whatever the machine was busy with */
#define MOST_CALL 500e-9
#define LEAST_ADDED 0.1
#define LEAST_ERROR 0.05
#define SIGMA 1.48  /* a normal distribution's, in its median deviations */
#define FAR_ERROR 2 /* from there on, programs count less */
#define PASSES 20

/*
 * What an event between two calls costs the second, as a part of a Python function's call, and how
 * far that may be off (calibrations of 3.8 to 3.13: docs/measured/2026-11-overhead.md).
 */
static const struct {
	double part, prior;
} expected_cold[] = { [false] = { 0.005, 0.002 }, [true] = { 0.0008, 0.0003 } }; /* monitoring */

void fit_add(struct calib *c, int unknown, double s)
{
	if (unknown == FIT_COLD)
		c->cold += s;
	else if (calib_kind[unknown].callee_pays)
		c->cost[unknown].in_s += s;
	else
		c->cost[unknown].out_s += s;
}

/* Of a positive definite matrix, by Cholesky's decomposition; x is the right side before. */
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
 * By what is found so far: a loop that says too little of a Python call must not say how far it may
 * be off, too.
 */
static double call_of(const struct calib *c, const double *x)
{
	const struct calib_cost *python = &c->cost[CALIB_PYTHON];
	double s = python->in_s + python->out_s + x[CALIB_PYTHON];

	return !(s > LEAST_CALL) ? LEAST_CALL : s > MOST_CALL ? MOST_CALL : s;
}

/* How much a program counts, by a second of what it is off. */
static double weight_of(const struct fit_program *p)
{
	double least = LEAST_ADDED * p->bare_s;

	return 1 / (p->added_s > least ? p->added_s : least);
}

/* How far a kind's cost may be off, in seconds. */
static double prior_of(const struct calib *c, int kind, double call)
{
	double own = PRIOR * fabs(c->cost[kind].in_s + c->cost[kind].out_s);
	double least = (calib_kind[kind].is_call ? PRIOR : PRIOR_IN_ADDITION) * call;

	return own > least ? own : least;
}

/*
 * What costs are off is measured by their priors, what programs are by `error`. `trust`: how much
 * each counts. `x`: as it was found in the last pass; the new one.
 */
static void least_squares(const struct calib *c, bool monitoring, const struct fit_program *p,
			  int n, double error, const double *trust, double *x)
{
	double a[FIT_UNKNOWNS][FIT_UNKNOWNS] = { 0 }, call = call_of(c, x);
	double prior = expected_cold[monitoring].prior * call;

	memset(x, 0, FIT_UNKNOWNS * sizeof(*x));
	for (int k = 0; k < CALIB_KINDS; k++)
		a[k][k] = 1 / (prior_of(c, k, call) * prior_of(c, k, call));
	a[FIT_COLD][FIT_COLD] = 1 / (prior * prior);
	x[FIT_COLD] = (expected_cold[monitoring].part * call - c->cold) * a[FIT_COLD][FIT_COLD];
	for (int i = 0; i < n; i++) {
		double weight = weight_of(&p[i]) / error, squared = weight * weight * trust[i];

		for (int k = 0; k < FIT_UNKNOWNS; k++) {
			x[k] += p[i].by[k] * (p[i].added_s - p[i].known_s) * squared;
			for (int l = 0; l <= k; l++)
				a[k][l] += p[i].by[k] * p[i].by[l] * squared;
		}
	}
	solve_by_cholesky(a, x);
}

/* What is left unexplained with so much more of the unknowns. */
static double error_of(const struct fit_program *p, const double *x)
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

static double median_error(const struct fit_program *p, int n, const double *x)
{
	double error[FIT_MAX_PROGRAMS];

	for (int i = 0; i < n; i++)
		error[i] = error_of(&p[i], x);
	qsort(error, (size_t)n, sizeof(*error), compare);
	return error[n / 2];
}

/*
 * Programs that the model is far from, by what it is off at the median, count less than by the
 * square (Huber, 1964).
 */
double fit(struct calib *c, bool monitoring, const struct fit_program *p, int n)
{
	double x[FIT_UNKNOWNS] = { 0 }, trust[FIT_MAX_PROGRAMS], error = LEAST_ERROR, median = 0;

	for (int i = 0; i < n; i++)
		trust[i] = 1;
	for (int pass = 0; pass < PASSES; pass++) {
		least_squares(c, monitoring, p, n, error, trust, x);
		median = median_error(p, n, x);
		error = median * SIGMA > LEAST_ERROR ? median * SIGMA : LEAST_ERROR;
		for (int i = 0; i < n; i++) {
			double far = error_of(&p[i], x) / (FAR_ERROR * error);

			trust[i] = far > 1 ? 1 / far : 1;
		}
	}
	for (int k = 0; k < FIT_UNKNOWNS; k++)
		fit_add(c, k, x[k]);
	c->cold = c->cold > 0 ? c->cold : 0;
	return median;
}
