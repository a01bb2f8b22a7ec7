/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "correct.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_ROUNDS 64 /* of moving deficits to callers: those left after it count as `left_s` */

static int choose_scale(const struct profile *p, double bare_s, struct correct_result *result)
{
	double overhead_s = 0;

	for (size_t i = 0; i < p->n_fns; i++) {
		result->raw_s += p->fn[i].counts.self_s;
		overhead_s += p->fn[i].counts.self_overhead_s;
	}
	result->scale = 1;
	if (bare_s > 0) {
		if (!(overhead_s > 0) || bare_s > result->raw_s)
			return -ERANGE;
		result->scale = (result->raw_s - bare_s) / overhead_s;
	}
	return 0;
}

/*
 * Takes a function's deficit from its callers, in proportion to their calls. The function itself is
 * not one of them: its recursive calls cannot pay. Returns the seconds that were taken.
 */
static double take_from_callers(double *self, const struct profile *p, size_t fn, double deficit)
{
	const struct profile_edge *caller = p->fn[fn].caller;
	double n = 0, taken = 0;

	for (size_t i = 0; i < p->fn[fn].n_callers; i++)
		n += caller[i].caller == fn ? 0 : (double)caller[i].counts.n_calls;
	for (size_t i = 0; i < p->fn[fn].n_callers && n > 0; i++) {
		double share = deficit * (double)caller[i].counts.n_calls / n;

		if (caller[i].caller == fn)
			continue;
		self[caller[i].caller] -= share;
		taken += share;
	}
	return taken;
}

/* One round over all functions with a negative self time. False: no function had one. */
static bool move_once(const struct profile *p, double *self, bool *bounded, double *left)
{
	bool any = false;

	for (size_t i = 0; i < p->n_fns; i++) {
		double deficit = -self[i];

		if (!(deficit > 0))
			continue;
		self[i] = 0;
		*left += deficit - take_from_callers(self, p, i, deficit);
		bounded[i] = any = true;
	}
	return any;
}

/* Repeats that until no self time is negative, or MAX_ROUNDS times. */
static int move_deficits(const struct profile *p, double *self, struct correct_result *result)
{
	bool *bounded = calloc(p->n_fns + 1, sizeof(*bounded));
	double deficits = 0;
	int round = 0;

	if (!bounded)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_fns; i++)
		deficits += self[i] < 0 ? -self[i] : 0;
	while (round < MAX_ROUNDS && move_once(p, self, bounded, &result->left_s))
		round++;
	for (size_t i = 0; i < p->n_fns; i++) {
		if (self[i] < 0) {
			result->left_s -= self[i];
			self[i] = 0;
		}
		result->n_bounded += bounded[i];
	}
	result->moved_s = deficits - result->left_s;
	free(bounded);
	return 0;
}

/*
 * Sets the corrected times. A cumulative time is never less than its self time, nor more than it
 * was.
 */
static void correct(struct profile_counts *c, double self, double scale)
{
	double total = c->total_s - c->total_overhead_s * scale;

	if (total < self)
		total = self < c->total_s ? self : c->total_s;
	c->self_overhead_s = c->self_s - self;
	c->total_overhead_s = c->total_s - total;
	c->self_s = self;
	c->total_s = total;
}

/*
 * Keeps the callers' self times summing up to the function's, `self`. `rest` is the self time of
 * calls without a caller in the profile: it takes part, but has no edge.
 */
static void correct_callers(struct profile_fn *fn, double self, double scale)
{
	double rest = fn->counts.self_s, sum = 0;
	double rest_overhead = fn->counts.self_overhead_s;

	for (size_t i = 0; i < fn->n_callers; i++) {
		const struct profile_counts *c = &fn->caller[i].counts;
		double left = c->self_s - c->self_overhead_s * scale;

		rest -= c->self_s;
		rest_overhead -= c->self_overhead_s;
		sum += left > 0 ? left : 0;
	}
	rest -= rest_overhead * scale;
	if (rest > 1e-12)
		sum += rest;
	for (size_t i = 0; i < fn->n_callers; i++) {
		struct profile_counts *c = &fn->caller[i].counts;
		double left = c->self_s - c->self_overhead_s * scale;

		correct(c, left > 0 && sum > 0 ? left * self / sum : 0, scale);
	}
}

int correct_apply(struct profile *p, double bare_s, struct correct_result *result)
{
	double *self = calloc(p->n_fns + 1, sizeof(*self));
	int err;

	*result = (struct correct_result){ 0 };
	if (!self)
		return -ENOMEM;
	err = choose_scale(p, bare_s, result);
	for (size_t i = 0; i < p->n_fns && !err; i++)
		self[i] = p->fn[i].counts.self_s - p->fn[i].counts.self_overhead_s * result->scale;
	if (!err)
		err = move_deficits(p, self, result);
	if (!err) {
		result->overhead_s = result->raw_s;
		for (size_t i = 0; i < p->n_fns; i++) {
			correct_callers(&p->fn[i], self[i], result->scale);
			correct(&p->fn[i].counts, self[i], result->scale);
			result->overhead_s -= self[i];
		}
	}
	free(self);
	return err;
}
