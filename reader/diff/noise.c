/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "noise.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "student.h"

/*
 * The standard deviation of a function's time on a quiet machine: a part of it; per call, because
 * addresses and caches differ; interruptions, whose number grows with the time; and a minimum.
 */
#define PART 0.02
#define CALL_S 3e-9
#define INTERRUPT_S 1e-5 /* variance per second */
#define LEAST_S 2e-4

#define SHORT_S 1e-3	/* functions with less time do not show how noisy a run is */
#define MOST_WEIGHT .05 /* of one function, as a part of all time */

/* Single runs. */
#define LIMIT 4.	     /* standard deviations */
#define BUSY_SCALE 1.3	     /* the machine is busy if three quarters of functions differ more, ... */
#define BUSY_INTERRUPT_S 1e-4 /* ... or by more interruptions */
#define BURSTS 6.	     /* on a busy machine: bursts that may hit one function */

/* Several runs. */
#define PRIOR_FREE 8.	      /* degrees of freedom of the modelled variance */
#define FALSE_RATE .01	      /* of the functions that are named, by Benjamini and Hochberg */
#define LEAST_PART .02	      /* smaller changes are not named */
#define TOTAL_PART .03	      /* the modelled deviation of a total ... */
#define TOTAL_PRIOR_FREE 4.   /* ... and its degrees of freedom */

/* Quantiles of the normal distribution: of its absolute value, and for student_chi_square. */
#define ABS_75 1.150
#define ABS_90 1.645
#define NORMAL_75 .6745

static double square(double x)
{
	return x * x;
}

/* The variance without interruptions. */
static double variance_of_code(double seconds, double n_calls)
{
	return square(PART * seconds) + square(CALL_S * n_calls) + square(LEAST_S);
}

static double variance(double seconds, double n_calls)
{
	return variance_of_code(seconds, n_calls) + INTERRUPT_S * seconds;
}

static size_t n_runs(const struct noise_data *d)
{
	return d->n_base + d->n_new;
}

static const double *seconds_of(const struct noise_data *d, size_t fn)
{
	return &d->seconds[fn * n_runs(d)];
}

/* --- weighted quantiles ----------------------------------------------------------------------- */

struct weighted {
	double value, weight;
	double before; /* sum of the weights of smaller values */
	size_t fn;
};

struct weights {
	struct weighted *at; /* in the order of values */
	size_t n;
	double sum;
	size_t *place; /* of each function; SIZE_MAX: not here */
};

static int weighted_cmp(const void *a, const void *b)
{
	double x = ((const struct weighted *)a)->value, y = ((const struct weighted *)b)->value;

	return (x > y) - (x < y);
}

static int weights_init(struct weights *w, size_t n_fns)
{
	w->at = reallocarray(NULL, n_fns + 1, sizeof(*w->at));
	w->place = reallocarray(NULL, n_fns + 1, sizeof(*w->place));
	w->n = 0;
	return w->at && w->place ? 0 : -ENOMEM;
}

static void weights_fini(struct weights *w)
{
	free(w->at);
	free(w->place);
}

static void weights_add(struct weights *w, size_t fn, double value, double weight)
{
	w->at[w->n++] = (struct weighted){ .value = value, .weight = weight, .fn = fn };
}

static void weights_sort(struct weights *w, size_t n_fns)
{
	qsort(w->at, w->n, sizeof(*w->at), weighted_cmp);
	for (size_t i = 0; i < n_fns; i++)
		w->place[i] = SIZE_MAX;
	w->sum = 0;
	for (size_t i = 0; i < w->n; i++) {
		w->at[i].before = w->sum;
		w->sum += w->at[i].weight;
		w->place[w->at[i].fn] = i;
	}
}

/* The sum of weights up to value `i`, without that of the value at `without`. */
static double sum_without(const struct weights *w, size_t i, size_t without)
{
	double sum = w->at[i].before + w->at[i].weight;

	return without <= i ? sum - w->at[without].weight : sum;
}

/* A quantile of all functions but one, so that a change does not hide itself. 0 without others. */
static double quantile_of_others(const struct weights *w, double part, size_t fn)
{
	size_t without = fn == SIZE_MAX ? SIZE_MAX : w->place[fn], low = 0, high = w->n;
	double wanted = part * (w->sum - (without == SIZE_MAX ? 0 : w->at[without].weight));

	if (w->n < (without == SIZE_MAX ? 1 : 2))
		return 0;
	while (low < high) { /* the first value up to which the weights are enough */
		size_t middle = low + (high - low) / 2;

		if (sum_without(w, middle, without) < wanted * (1 - 1e-12))
			low = middle + 1;
		else
			high = middle;
	}
	low -= low == w->n;
	return w->at[low].value;
}

/* --- factors ---------------------------------------------------------------------------------- */

static int double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the numbers. */
static double median(double *x, size_t n)
{
	qsort(x, n, sizeof(*x), double_cmp);
	return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* Fills in the median of the base runs for each function. */
static int references(const struct noise_data *d, double *reference)
{
	double *run = reallocarray(NULL, d->n_base, sizeof(*run));

	if (!run)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_fns; i++) {
		for (size_t r = 0; r < d->n_base; r++)
			run[r] = seconds_of(d, i)[r];
		reference[i] = median(run, d->n_base);
	}
	free(run);
	return 0;
}

/*
 * The weighted median of logarithms of ratios, or if half of the weights are on either side of a
 * pair, the number between the two that is nearest to 0.
 */
static double median_ratio(const struct weights *w)
{
	size_t low = 0, high;

	if (!w->n)
		return 0;
	while (low + 1 < w->n && sum_without(w, low, SIZE_MAX) < w->sum / 2 * (1 - 1e-12))
		low++;
	high = low;
	while (high + 1 < w->n && sum_without(w, high, SIZE_MAX) <= w->sum / 2 * (1 + 1e-12))
		high++;
	if (w->at[low].value > 0)
		return w->at[low].value;
	return w->at[high].value < 0 ? w->at[high].value : 0;
}

/*
 * The weights are inverse variances, which hardly grow with the time of a long function: one that
 * has most of the time, and has changed, is not taken for the machine's speed.
 */
static double factor_of_run(const struct noise_data *d, size_t run, const double *reference,
			    struct weights *w)
{
	w->n = 0;
	for (size_t i = 0; i < d->n_fns; i++) {
		double was = reference[i], is = seconds_of(d, i)[run];
		double mean = sqrt(was * is);

		if (!d->fn[i].steady || !(was > 0 && is > 0))
			continue;
		weights_add(w, i, log(is / was), square(mean) / variance(mean, d->fn[i].n_calls));
	}
	weights_sort(w, d->n_fns);
	return exp(median_ratio(w));
}

int noise_factors(const struct noise_data *d, double *factor)
{
	double *reference = reallocarray(NULL, d->n_fns + 1, sizeof(*reference));
	struct weights w;
	int err = weights_init(&w, d->n_fns);

	if (!reference)
		err = -ENOMEM;
	if (!err)
		err = references(d, reference);
	for (size_t r = 0; r < n_runs(d) && !err; r++)
		factor[r] = d->exact ? 1 : factor_of_run(d, r, reference, &w);
	weights_fini(&w);
	free(reference);
	return err;
}

/* --- means and spreads ------------------------------------------------------------------------ */

/* Mean and standard deviation; NAN with one number. */
static double mean_of(const double *x, const double *factor, size_t n, double *spread)
{
	double sum = 0, squares = 0;

	for (size_t r = 0; r < n; r++)
		sum += x[r] / (factor ? factor[r] : 1);
	for (size_t r = 0; r < n; r++)
		squares += square(x[r] / (factor ? factor[r] : 1) - sum / (double)n);
	if (spread)
		*spread = n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
	return sum / (double)n;
}

static void fill_in(const struct noise_data *d, const double *x, const double *factor,
		    struct noise_value *v)
{
	size_t b = d->n_base;

	v->base_s = mean_of(x, factor, b, &v->base_spread_s);
	v->new_s = mean_of(x + b, factor ? factor + b : NULL, d->n_new, &v->new_spread_s);
	v->raw_base_s = mean_of(x, NULL, b, NULL);
	v->raw_new_s = mean_of(x + b, NULL, d->n_new, NULL);
	v->limit_s = v->p = NAN;
}

static double middle_s(const struct noise_value *v)
{
	return (v->base_s + v->new_s) / 2;
}

/* The variance of runs within their sides. Precondition: more than two runs. */
static double pooled_variance(const struct noise_data *d, const struct noise_value *v)
{
	double sum = 0;

	if (d->n_base > 1)
		sum += square(v->base_spread_s) * (double)(d->n_base - 1);
	if (d->n_new > 1)
		sum += square(v->new_spread_s) * (double)(d->n_new - 1);
	return sum / (double)(n_runs(d) - 2);
}

/* The t-test: `prior` is the modelled variance, with `prior_free` degrees of freedom. */
static double probability(const struct noise_data *d, const struct noise_value *v, double prior,
			  double prior_free)
{
	double n_free = (double)(n_runs(d) - 2);
	double moderated = (prior_free * prior + n_free * pooled_variance(d, v)) /
			   (prior_free + n_free);
	double error = sqrt(moderated * (1 / (double)d->n_base + 1 / (double)d->n_new));

	return student_two_sided(noise_change(v) / error, prior_free + n_free);
}

static bool has_single_side(const struct noise_data *d)
{
	return d->n_base == 1 || d->n_new == 1;
}

/* The least change of a function that is in both sides, or the least time of one that is not. */
static double least_s(const struct noise_data *d)
{
	if (d->exact)
		return 0;
	return has_single_side(d) ? NOISE_LEAST_SINGLE_S : NOISE_LEAST_S;
}

/* --- one run on each side --------------------------------------------------------------------- */

/* What functions differ by: in standard deviations, and as variance by interruptions per second. */
struct residuals {
	struct weights scale, interrupts;
};

static int residuals_init(struct residuals *r, size_t n_fns)
{
	int err = weights_init(&r->scale, n_fns);
	int err_too = weights_init(&r->interrupts, n_fns);

	return err ? err : err_too;
}

static void residuals_fini(struct residuals *r)
{
	weights_fini(&r->scale);
	weights_fini(&r->interrupts);
}

static double sum_of_times(const struct noise_data *d, const struct noise_value *v)
{
	double sum = 0;

	for (size_t i = 0; i < d->n_fns; i++)
		sum += d->fn[i].on_both ? middle_s(&v[i]) : 0;
	return sum;
}

static void residuals_collect(struct residuals *r, const struct noise_data *d,
			      const struct noise_value *v)
{
	double most = MOST_WEIGHT * sum_of_times(d, v);

	for (size_t i = 0; i < d->n_fns; i++) {
		double s = middle_s(&v[i]), n = d->fn[i].n_calls, change = noise_change(&v[i]);
		double excess = square(change) / 2 - variance_of_code(s, n);

		if (!d->fn[i].steady || !(s >= SHORT_S))
			continue;
		weights_add(&r->scale, i, fabs(change) / sqrt(2 * variance(s, n)), fmin(s, most));
		weights_add(&r->interrupts, i, fmax(excess, 0) / s, fmin(s, most));
	}
	weights_sort(&r->scale, d->n_fns);
	weights_sort(&r->interrupts, d->n_fns);
}

/* How much noisier than a quiet machine the other functions are. */
struct estimate {
	double scale;	    /* of the standard deviation, 1 at least */
	double interrupt_s; /* variance per second */
	double burst_s;	    /* the longest interruption to expect */
	bool is_busy;
};

/*
 * Three quarters of the functions say whether the machine is busy. If it is not, functions that
 * differ more have changed. If it is, the tails count: nine tenths are taken.
 */
static struct estimate estimate(const struct residuals *r, size_t fn)
{
	struct estimate e = {
		.scale = quantile_of_others(&r->scale, .75, fn) / ABS_75,
		.interrupt_s = quantile_of_others(&r->interrupts, .75, fn) / square(ABS_75),
	};

	e.is_busy = e.scale > BUSY_SCALE || e.interrupt_s > BUSY_INTERRUPT_S;
	if (e.is_busy) {
		e.scale = quantile_of_others(&r->scale, .9, fn) / ABS_90;
		e.interrupt_s =
			quantile_of_others(&r->interrupts, .9, fn) / square(ABS_75);
		e.burst_s = BURSTS * e.interrupt_s;
	}
	e.scale = fmax(e.scale, 1);
	e.interrupt_s = fmax(e.interrupt_s, INTERRUPT_S);
	return e;
}

/* The larger of two explanations: everything is noisier, or there are more interruptions. */
static double limit_of(const struct estimate *e, double s, double n_calls)
{
	double noisier = LIMIT * e->scale * sqrt(2 * variance(s, n_calls));
	double interrupted =
		LIMIT * sqrt(2 * (variance_of_code(s, n_calls) + e->interrupt_s * s)) + e->burst_s;

	return fmax(fmax(noisier, interrupted), NOISE_LEAST_SINGLE_S);
}

static int test_single(const struct noise_data *d, struct noise_value *v, struct noise_level *level)
{
	struct residuals r;
	struct estimate all;
	int err = residuals_init(&r, d->n_fns);

	if (err)
		goto out;
	residuals_collect(&r, d, v);
	for (size_t i = 0; i < d->n_fns; i++) {
		struct estimate e = estimate(&r, i);

		if (!d->fn[i].on_both)
			continue;
		v[i].limit_s = limit_of(&e, middle_s(&v[i]), d->fn[i].n_calls);
		v[i].beyond = fabs(noise_change(&v[i])) > v[i].limit_s;
	}
	all = estimate(&r, SIZE_MAX);
	level->is_busy = all.is_busy;
	level->relative = LIMIT * sqrt(2) * PART * all.scale;
	level->least_s = fmax(NOISE_LEAST_SINGLE_S, all.burst_s);
out:
	residuals_fini(&r);
	return err;
}

/* --- several runs ----------------------------------------------------------------------------- */

static bool is_tested(const struct noise_data *d, const struct noise_value *v, size_t fn)
{
	return d->fn[fn].on_both && middle_s(&v[fn]) >= NOISE_LEAST_S;
}

/* How many times larger the measured variances are than those of the model; 1 at least. */
static int scale_of_model(const struct noise_data *d, const struct noise_value *v, double *scale)
{
	double n_free = (double)(n_runs(d) - 2), most = MOST_WEIGHT * sum_of_times(d, v);
	struct weights w;
	int err = weights_init(&w, d->n_fns);

	for (size_t i = 0; i < d->n_fns && !err; i++) {
		double s = middle_s(&v[i]), model = variance(s, d->fn[i].n_calls);

		if (is_tested(d, v, i))
			weights_add(&w, i, pooled_variance(d, &v[i]) / model, fmin(s, most));
	}
	if (!err) {
		weights_sort(&w, d->n_fns);
		*scale = fmax(1, quantile_of_others(&w, .75, SIZE_MAX) /
					 student_chi_square(NORMAL_75, n_free));
	}
	weights_fini(&w);
	return err;
}

/* The largest p that is not noise, so that FALSE_RATE of those below it are (Benjamini, Hochberg). */
static double largest_p(const struct weights *w)
{
	double largest = -1;

	for (size_t i = 0; i < w->n; i++) {
		if (w->at[i].value <= FALSE_RATE * (double)(i + 1) / (double)w->n)
			largest = w->at[i].value;
	}
	return largest;
}

static bool is_beyond(const struct noise_data *d, const struct noise_value *v, double largest)
{
	double change = fabs(noise_change(v));

	return v->p <= largest && change > LEAST_PART * middle_s(v) &&
	       (!has_single_side(d) || change > NOISE_LEAST_SINGLE_S);
}

static int test_several(const struct noise_data *d, struct noise_value *v, struct noise_level *level)
{
	struct weights w;
	double scale = 1;
	int err = weights_init(&w, d->n_fns);

	if (!err)
		err = scale_of_model(d, v, &scale);
	for (size_t i = 0; i < d->n_fns && !err; i++) {
		double model = variance(middle_s(&v[i]), d->fn[i].n_calls);

		if (!is_tested(d, v, i))
			continue;
		v[i].p = probability(d, &v[i], scale * model, PRIOR_FREE);
		weights_add(&w, i, v[i].p, 1);
	}
	if (!err) {
		double largest;

		weights_sort(&w, d->n_fns);
		largest = largest_p(&w);
		for (size_t i = 0; i < d->n_fns; i++)
			v[i].beyond = is_beyond(d, &v[i], largest);
		level->relative = PART * sqrt(scale);
		level->least_s = least_s(d);
	}
	weights_fini(&w);
	return err;
}

/* --- all -------------------------------------------------------------------------------------- */

int noise_test(const struct noise_data *d, const double *factor, struct noise_value *v,
	       struct noise_level *level)
{
	int err = 0;

	*level = (struct noise_level){ .relative = 0 };
	for (size_t i = 0; i < d->n_fns; i++) {
		v[i] = (struct noise_value){ .beyond = false };
		fill_in(d, seconds_of(d, i), factor, &v[i]);
	}
	if (!d->exact)
		err = n_runs(d) == 2 ? test_single(d, v, level) : test_several(d, v, level);
	for (size_t i = 0; i < d->n_fns && !err; i++) {
		if (d->exact || !d->fn[i].on_both)
			v[i].beyond = fabs(noise_change(&v[i])) > least_s(d);
	}
	return err;
}

struct noise_value noise_total(const struct noise_data *d, const double *seconds)
{
	struct noise_value v = { .beyond = false };
	double change;

	fill_in(d, seconds, NULL, &v);
	change = fabs(noise_change(&v));
	if (d->exact) {
		v.beyond = change > 0;
	} else if (n_runs(d) == 2) {
		v.limit_s = fmax(NOISE_TOTAL_SINGLE * middle_s(&v), NOISE_LEAST_SINGLE_S);
		v.beyond = change > v.limit_s;
	} else {
		v.p = probability(d, &v, square(TOTAL_PART * middle_s(&v)), TOTAL_PRIOR_FREE);
		v.beyond = v.p < FALSE_RATE && change > least_s(d);
	}
	return v;
}
