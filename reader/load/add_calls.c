/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "add_calls.h"

#include <errno.h>
#include <stdlib.h>

#include "overhead/model.h"
#include "overhead/tree_model.h"
#include "recording/derive.h"

static uint64_t less(uint64_t n, uint64_t by)
{
	return n > by ? n - by : 0;
}

static bool is_empty(const struct profile_counts *c)
{
	return !c->n_calls && c->self_s == 0 && c->total_s == 0;
}

static void leave_out_resumes(struct profile_counts *c, uint64_t n_resumes, uint64_t n_recursive)
{
	c->n_calls = less(c->n_calls, n_resumes);
	c->n_primitive = less(c->n_calls, n_recursive);
}

static void leave_out_edge_resumes(const struct add_calls *a, const struct pyprof_fold_edge *e,
				   struct profile_counts *counts)
{
	if (a->request->true_calls && e->n_resumes)
		leave_out_resumes(counts, e->n_resumes, less(e->n_recursive, e->n_resumes));
}

static int leave_out_function_resumes(const struct add_calls *a, const struct pyprof_fold *f,
				      struct profile_counts *sum)
{
	uint64_t *n_resumes;

	if (!a->request->true_calls)
		return 0;
	n_resumes = calloc(f->s.n_fns + 1ull, sizeof(*n_resumes));
	if (!n_resumes)
		return -ENOMEM;
	for (uint32_t i = 1; i <= f->s.n_edges; i++)
		n_resumes[f->edge[i].callee] += f->edge[i].n_resumes;
	for (uint32_t slot = 1; slot <= f->s.n_fns; slot++) {
		const struct pyprof_fold_fn *fn = &f->fn[slot];

		if (n_resumes[slot])
			leave_out_resumes(&sum[slot], n_resumes[slot],
					  less(fn->n_recursive, fn->n_recursive_resumes));
	}
	free(n_resumes);
	return 0;
}

static void count_unnamed(const struct add_calls *a, uint32_t number)
{
	if (a->n_unnamed)
		*a->n_unnamed += !names_has(a->names, number);
}

/* --- a table ---------------------------------------------------------------------------------- */

static int add_functions(const struct add_calls *a, const struct model *c, struct profile *p,
			 size_t *place)
{
	const struct pyprof_fold *f = c->fold;
	struct profile_counts *sum = model_functions(c);
	int err = sum ? leave_out_function_resumes(a, f, sum) : -ENOMEM;

	for (uint32_t slot = 1; slot <= f->s.n_fns && !err; slot++) {
		count_unnamed(a, f->fn[slot].number);
		place[slot] = SIZE_MAX;
		if (is_empty(&sum[slot]))
			continue;
		place[slot] = labels_add(a->labels, a->names, p, f->fn[slot].number);
		if (place[slot] == SIZE_MAX)
			err = -ENOMEM;
		else
			profile_counts_add(&p->fn[place[slot]].counts, &sum[slot]);
	}
	free(sum);
	return err;
}

int add_calls_of_table(const struct add_calls *a, const struct pyprof_fold *f, struct profile *p)
{
	size_t *place = malloc((f->s.n_fns + 1ull) * sizeof(*place));
	struct model c = {
		.fold = f,
		.names = a->names,
		.calibration = a->calibration,
		.monitoring = a->monitoring,
		.seconds_per_tick = a->seconds_per_tick,
	};
	int err = model_init(&c);

	if (!err)
		err = place ? add_functions(a, &c, p, place) : -ENOMEM;

	for (uint32_t i = 1; i <= f->s.n_edges && !err; i++) {
		const struct pyprof_fold_edge *e = &f->edge[i];
		struct profile_counts counts = model_edge(&c, e);

		leave_out_edge_resumes(a, e, &counts);
		if (!e->caller || place[e->callee] == SIZE_MAX || place[e->caller] == SIZE_MAX)
			continue;
		if (is_empty(&counts))
			continue;
		err = profile_edge_add(p, place[e->caller], place[e->callee], &counts);
	}
	free(place);
	model_fini(&c);
	return err;
}

/* --- a tree ----------------------------------------------------------------------------------- */

double *add_calls_overhead(const struct add_calls *a, const struct pyprof_tree *t, int *err)
{
	const struct tree_model model = { .names = a->names,
					  .calibration = a->calibration,
					  .monitoring = a->monitoring,
					  .seconds_per_tick = a->seconds_per_tick };
	double *overhead_s = a->calibration && t->node ? tree_model(&model, t) : NULL;

	if (a->calibration && t->node && !overhead_s)
		*err = -ENOMEM;
	return overhead_s;
}

static struct profile_counts counts_of(const struct add_calls *a, const struct derived_counts *d)
{
	uint64_t n_left_out = a->request->true_calls ? d->n_resumes : 0;
	uint64_t n_recursive = d->n_recursive;

	if (a->request->true_calls)
		n_recursive -= d->n_recursive_resumes;
	return (struct profile_counts){
		.n_calls = d->n_calls - n_left_out,
		.n_primitive = d->n_calls - n_left_out - n_recursive,
		.n_exceptions = d->n_exceptions,
		.self_s = (double)d->self * a->seconds_per_tick,
		.total_s = (double)d->total * a->seconds_per_tick,
		.self_overhead_s = d->self_overhead_s,
		.total_overhead_s = d->total_overhead_s,
	};
}

static int add_derived_functions(const struct add_calls *a, const struct derived *d,
				 struct profile *p, size_t *place)
{
	for (uint32_t i = 1; i <= d->n_fns; i++) {
		struct profile_counts counts = counts_of(a, &d->fn[i].counts);

		count_unnamed(a, d->fn[i].number);
		place[i] = SIZE_MAX;
		if (is_empty(&counts))
			continue;
		place[i] = labels_add(a->labels, a->names, p, d->fn[i].number);
		if (place[i] == SIZE_MAX)
			return -ENOMEM;
		profile_counts_add(&p->fn[place[i]].counts, &counts);
	}
	return 0;
}

static int add_derived_edges(const struct add_calls *a, const struct derived *d, struct profile *p,
			     const size_t *place)
{
	int err = 0;

	for (uint32_t i = 1; i <= d->n_edges && !err; i++) {
		const struct derived_edge *e = &d->edge[i];
		struct profile_counts counts = counts_of(a, &e->counts);

		if (!e->caller || place[e->callee] == SIZE_MAX || place[e->caller] == SIZE_MAX ||
		    is_empty(&counts))
			continue;
		err = profile_edge_add(p, place[e->caller], place[e->callee], &counts);
	}
	return err;
}

int add_calls_of_tree(const struct add_calls *a, const struct pyprof_tree *t,
		      const double *overhead_s, uint32_t thread, struct profile *p)
{
	const struct derive_request request = { .thread = thread,
						.through_c = a->request->no_builtins,
						.overhead_s = overhead_s };
	struct derived d;
	size_t *place = NULL;
	int err = derive(&d, t, &request);

	if (!err) {
		place = calloc(d.n_fns + 1ull, sizeof(*place));
		err = place ? add_derived_functions(a, &d, p, place) : -ENOMEM;
	}
	if (!err)
		err = add_derived_edges(a, &d, p, place);
	free(place);
	derived_fini(&d);
	return err;
}
