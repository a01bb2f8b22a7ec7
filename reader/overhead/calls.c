/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"

#include <string.h>

static bool is_c(const struct name *n)
{
	return n && n->kind == PYPROF_NAME_C;
}

/* cProfile's label of a C function says that it is a method of a C type. */
static bool is_method(const struct name *n)
{
	return is_c(n) && n->name.n > 8 && !memcmp(n->name.bytes, "<method ", 8);
}

static void add_overhead(struct overhead *to, double n, double in_s, double out_s)
{
	to->in_s += n * in_s;
	to->out_s += n * out_s;
}

static double largeness(bool monitoring, const struct name *n)
{
	return n ? calibration_largeness(monitoring, n->code_bytes) : 0;
}

/*
 * Adds the surcharges for large code of callee and caller. `n` is the number of ends with a high
 * offset; before 3.12 it is the calls times the largeness of the code.
 *
 * - C functions: both events have the call site's offset, so the caller's code counts.
 * - Python functions: the return has an offset in the callee. Its overhead is mostly `in`.
 * - Resumes also start at a high offset, that of the yield. There `in` and `out` are exchanged.
 * - Call sites report Python functions only from 3.12 on: one event, half of a C function's two. It
 *   comes before the call, so its overhead is `out`.
 */
static void add_largeness(struct overhead *to, const struct calibration *calibration,
			  bool monitoring, const struct calls *c)
{
	const struct overhead *large = &calibration->overhead[OVERHEAD_LARGE];
	const struct overhead *site = &calibration->overhead[OVERHEAD_LARGE_SITE];
	bool by_caller = is_c(c->callee);
	double n = monitoring ? (double)c->n_high
			      : (double)c->n *
					largeness(monitoring, by_caller ? c->caller : c->callee);

	if (by_caller) {
		add_overhead(to, n, site->in_s, site->out_s);
		return;
	}
	add_overhead(to, n, large->in_s, large->out_s);
	if (c->n_resumes && c->n)
		add_overhead(to, n * (double)c->n_resumes / (double)c->n, large->out_s,
			     large->in_s);
	if (monitoring)
		add_overhead(to, ((double)c->n - (double)c->n_direct) * c->high_sites, 0,
			     (site->in_s + site->out_s) / 2);
}

/*
 * 3.12 and later: a generator's call site reports an event when the generator is made. The next
 * event is the first start, which has no call-site event just before it. Both together have the
 * overhead of an ordinary call, so the surcharge for a direct call does not apply.
 */
static bool starts_after_call_site(bool monitoring, const struct name *callee)
{
	return monitoring && callee->flags & PYPROF_NAME_GENERATOR;
}

/* --- counts of calls by kind: the last column of kinds.def ------------------------------------ */

static double count_python(bool monitoring, const struct calls *c)
{
	(void)monitoring;
	return is_c(c->callee) ? 0 : (double)c->n;
}

static double count_c(bool monitoring, const struct calls *c)
{
	(void)monitoring;
	return is_c(c->callee) ? (double)c->n : 0;
}

static double count_direct(bool monitoring, const struct calls *c)
{
	return starts_after_call_site(monitoring, c->callee)
		       ? 0
		       : (double)c->n_direct - (double)c->n_resumes;
}

static double count_resumes(bool monitoring, const struct calls *c)
{
	(void)monitoring;
	return (double)c->n_resumes;
}

static double count_exceptions(bool monitoring, const struct calls *c)
{
	(void)monitoring;
	return (double)c->n_exceptions;
}

static double count_c_exceptions(bool monitoring, const struct calls *c)
{
	(void)monitoring;
	return is_c(c->callee) ? (double)c->n_exceptions : 0;
}

static double count_methods(bool monitoring, const struct calls *c)
{
	(void)monitoring;
	return is_method(c->callee) ? (double)c->n : 0;
}

typedef double count_kind(bool monitoring, const struct calls *c);

#define KIND(id, name, title, loop, less, attributed, engines, prior, payer, count) \
	[OVERHEAD_##id] = count,
static count_kind *const count_of_kind[OVERHEAD_KINDS] = {
#include "kinds.def"
};
#undef KIND

struct overhead calls_overhead(const struct calibration *calibration, bool monitoring,
			       const struct calls *calls)
{
	struct overhead sum = { 0 };

	for (int k = 0; k < OVERHEAD_KINDS; k++) {
		if (count_of_kind[k])
			add_overhead(&sum, count_of_kind[k](monitoring, calls),
				     calibration->overhead[k].in_s, calibration->overhead[k].out_s);
	}
	add_largeness(&sum, calibration, monitoring, calls);
	return sum;
}

double calls_high_sites(bool monitoring, const struct name *caller, double n_high, double n_all)
{
	return n_all > 0 ? n_high / n_all : largeness(monitoring, caller);
}

double calls_class_overhead(const struct calibration *calibration, uint64_t n_units,
			    uint64_t n_high)
{
	const struct overhead *site = &calibration->overhead[OVERHEAD_LARGE_SITE];

	return (double)n_units / PYPROF_CLASS_UNITS *
		       calibration->overhead[OVERHEAD_CLASS_CALL].out_s +
	       (double)n_high * (site->in_s + site->out_s);
}
