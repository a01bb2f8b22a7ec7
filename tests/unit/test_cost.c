/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What recording has cost is taken out of times again: what rebuild and bias_apply make of a
 * program that was recorded at a known cost must be what they make of the same program as it ran
 * bare.
 */
#include <check.h>
#include <math.h>

#include "load/rebuild.h"
#include "overhead/bias.h"
#include "pyprof/table.h"
#include "recording/attach.h"
#include "recording/drain.h"
#include "recording/names.h"
#include "simulation.h"
#include "tests/run.h"

#define TOLERANCE_NS 1e-4

static struct profile is, should;
static struct rebuild_summary summary;
static struct bias_result result;

/* --- the two profiles ------------------------------------------------------------------------- */

static void setup(void)
{
	simulation_init();
	profile_init(&is);
	profile_init(&should);
}

static void teardown(void)
{
	profile_fini(&is);
	profile_fini(&should);
	simulation_fini();
}

static void read_back(struct recording *r, const struct calib *calib, struct profile *p)
{
	static const struct request everything;
	struct attach a;
	struct names names;
	struct drain d;

	ck_assert_int_eq(attach_open(&a, recording_save(r)), 0);
	ck_assert_int_eq(drain_open(&d, &a), 0);
	ck_assert_int_eq(names_read(&names, &a), 0);
	ck_assert_int_eq(rebuild(p, &d, &names, 1e-9, calib, &everything, &summary), 0);
	ck_assert_uint_eq(summary.n_time_broken + summary.n_calls_broken, 0);
	ck_assert_uint_eq(d.n_bad + names.n_bad, 0);
	names_fini(&names);
	drain_close(&d);
	attach_close(&a);
	unlink(r->path);
}

static void correct_by(struct calib calib)
{
	read_back(&truth, NULL, &should);
	read_back(&recorded, &calib, &is);
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
}

static void correct(void)
{
	correct_by(calibration());
}

/* Folds all of a ring's blocks but the last `n_left` into a table in the recording. */
static void fold(struct recording *r, struct recording_ring *ring, int n_left)
{
	const uint32_t fns = 16, edges = 256, depth = MAX_DEPTH;
	uint64_t bytes = pyprof_table_layout(NULL, fns, edges, depth).bytes;
	struct pyprof_fold_table *table = recording_take(r, bytes);
	struct pyprof_block *b = (void *)(r->base + ring->shared->first_block);
	struct pyprof_table t = { .ring = ring->shared };

	table->extent = (struct pyprof_extent){ .kind = PYPROF_EXTENT_FOLD, .bytes = bytes };
	table->cap_fns = fns;
	table->cap_edges = edges;
	table->cap_depth = depth;
	ck_assert(pyprof_table_take_over(&t, table, bytes));
	t.view.weight = r->header->cost_weight;
	t.view.max_between = r->header->max_between;
	t.view.max_gap = r->header->max_gap;
	ring->shared->fold = recording_offset(r, table);
	while (b->sequence + (uint64_t)n_left <= ring->block->sequence) {
		pyprof_table_fold(&t, b, b->sequence, RECORDING_BLOCK_BYTES);
		pyprof_table_commit(&t, b->sequence);
		if (!b->next)
			break;
		ring->shared->first_block = b->next;
		b = (void *)(r->base + b->next);
	}
	pyprof_table_free(&t);
}

static const struct profile_counts *edge_of(const struct profile *p, const struct profile_fn *fn,
					    const struct profile_fn *caller)
{
	for (size_t i = 0; i < fn->n_callers; i++) {
		if (!profile_fn_cmp(&p->fn[fn->caller[i].caller], caller))
			return &fn->caller[i].counts;
	}
	ck_abort_msg("no such edge");
	return NULL;
}

/*
 * Corrected times may differ from the true ones by `part` of what was added to them; with 0, by
 * nothing.
 */
static void check_time(double is_s, double should_s, double cost_s, double part, const char *what,
		       const char *name)
{
	double differs = fabs(is_s - should_s) * 1e9, raw = is_s + cost_s;
	double allowed = fabs(raw - should_s) * 1e9 * part + TOLERANCE_NS;

	ck_assert_msg(differs <= allowed, "%s of %s: %.6f ns, expected %.6f within %.6f", what,
		      name, is_s * 1e9, should_s * 1e9, allowed);
}

static void check_counts(const struct profile_counts *a, const struct profile_counts *b,
			 double self_part, double total_part, const char *name)
{
	ck_assert_uint_eq(a->n_calls, b->n_calls);
	ck_assert_uint_eq(a->n_primitive, b->n_primitive);
	check_time(a->self_s, b->self_s, a->self_cost_s, self_part, "self", name);
	check_time(a->total_s, b->total_s, a->total_cost_s, total_part, "total", name);
}

/* Of functions, own times are exact; `part` is for what is shared out. */
static void check_profile(double part)
{
	ck_assert_uint_eq(is.n_fns, should.n_fns);
	for (size_t i = 0; i < is.n_fns; i++) {
		const struct profile_fn *fn = &is.fn[i];
		size_t k = profile_find(&should, fn->file, fn->line, fn->name);
		char name[32];

		ck_assert(k != SIZE_MAX);
		snprintf(name, sizeof(name), "%.*s", (int)fn->name.n, fn->name.bytes);
		check_counts(&fn->counts, &should.fn[k].counts, 0, part, name);
		ck_assert_uint_eq(fn->n_callers, should.fn[k].n_callers);
		for (size_t n = 0; n < fn->n_callers; n++)
			check_counts(&fn->caller[n].counts,
				     edge_of(&should, &should.fn[k], &is.fn[fn->caller[n].caller]),
				     part, part, name);
	}
}

/* --- each kind of call ------------------------------------------------------------------------ */

static void one_caller(struct kind kind, uint32_t callee, double part)
{
	struct thread *t = &thread[0];

	begin(t, 4, python);
	for (int i = 0; i < 50; i++) {
		work(t, 7);
		call(t, callee, kind, 100);
	}
	end(t);
	correct();
	check_profile(part);
	ck_assert_double_gt(result.cost_s, 0);
	ck_assert_uint_eq(result.n_bounded, 0);
}

START_TEST(python_calls)
{
	one_caller(python, 1, 0);
}
END_TEST

START_TEST(bare_calls)
{
	one_caller(bare, 1, 0);
}
END_TEST

START_TEST(resumes_and_yields)
{
	one_caller(resume, 1, 0);
}
END_TEST

START_TEST(throws)
{
	one_caller(thrown, 1, 0);
}
END_TEST

START_TEST(exceptions)
{
	one_caller(raises, 1, 0);
}
END_TEST

START_TEST(c_calls)
{
	one_caller(c, 3, 0);
}
END_TEST

START_TEST(c_exceptions)
{
	one_caller(c_raises, 3, 0);
}
END_TEST

/* sorted(key=f): a C function is the caller, and pays what lies outside. */
START_TEST(calls_from_c)
{
	struct thread *t = &thread[0];

	begin(t, 1, python);
	begin(t, 3, c);
	for (int i = 0; i < 50; i++)
		call(t, 2, bare, 20);
	work(t, 500);
	end(t);
	end(t);
	correct();
	check_profile(0);
}
END_TEST

/* One function, called by two, which differ in what they let it call. */
START_TEST(callers_that_differ)
{
	struct thread *t = &thread[0];

	for (uint32_t caller = 1; caller <= 2; caller++) {
		begin(t, caller, python);
		for (int i = 0; i < 10; i++) {
			begin(t, 4, python);
			for (uint32_t k = 0; k < caller * 5; k++)
				call(t, 3, c, 10);
			work(t, 40);
			end(t);
		}
		end(t);
	}
	correct();
	check_profile(0);
}
END_TEST

static void recurse(struct thread *t, uint32_t fn, uint32_t other, int depth)
{
	begin(t, fn, python);
	work(t, 30);
	if (depth) {
		recurse(t, other, fn, depth - 1);
		call(t, 3, c, 9);
		recurse(t, fn, other, depth - 1);
	}
	end(t);
}

START_TEST(direct_recursion)
{
	recurse(&thread[0], 1, 1, 5);
	correct();
	check_profile(0);
}
END_TEST

START_TEST(mutual_recursion)
{
	recurse(&thread[0], 1, 2, 6);
	correct();
	check_profile(0);
}
END_TEST

/* --- what depends on more than the kind ------------------------------------------------------- */

/* Entries are in the order of their numbers. */
static struct pyprof_name *name_entry(uint32_t fn)
{
	char *at = (char *)(recorded.names + 1);

	while (((struct pyprof_name *)at)->number != fn)
		at += ((struct pyprof_name *)at)->bytes;
	return (void *)at;
}

static void make_large(uint32_t fn, uint32_t bytes)
{
	code_bytes[fn] = name_entry(fn)->code_bytes = bytes;
}

static void large_code(uint32_t engine, struct kind kind, uint32_t callee)
{
	recorded.header->engine = engine;
	more[CALIB_LARGE] = (struct cost){ 40, 16 };
	more[CALIB_LARGE_SITE] = (struct cost){ 8, 24 };
	make_large(4, 1024);
	make_large(1, 512);
	is_far[4] = is_far[1] = true;
	one_caller(kind, callee,
		   0); /* the weights know nothing of sizes, but are the same for all */
}

START_TEST(large_code_monitored)
{
	const struct kind kinds[] = { python, raises, bare, resume, thrown };

	large_code(PYPROF_ENGINE_MONITORING, kinds[_i], 1);
}
END_TEST

START_TEST(large_code_traced)
{
	const struct kind kinds[] = { python, raises, bare, resume, thrown };

	large_code(PYPROF_ENGINE_TRACEFUNC, kinds[_i], 1);
}
END_TEST

START_TEST(c_calls_from_large_code)
{
	large_code(_i ? PYPROF_ENGINE_MONITORING : PYPROF_ENGINE_TRACEFUNC, c, 3);
}
END_TEST

START_TEST(c_methods)
{
	more[CALIB_METHOD] = (struct cost){ 5, 9 };
	one_caller(c, METHOD, 0);
	ck_assert_double_eq_tol(result.cost_s, (50 * (15 + 29) + 30) * 1e-9, 1e-13);
}
END_TEST

START_TEST(resumes_that_cost_less)
{
	more[CALIB_RESUME] = (struct cost){ 3, -21 };
	one_caller(_i ? thrown : resume, 1, 0);
}
END_TEST

START_TEST(exceptions_of_c_functions)
{
	more[CALIB_EXCEPTION_C] = (struct cost){ 7, -5 };
	one_caller(_i ? raises : c_raises, _i ? 1 : 3, 0);
}
END_TEST

/* Its call site tells of a generator when it is made: it is nothing that no call site told of. */
START_TEST(generators_begin)
{
	recorded.header->engine = PYPROF_ENGINE_MONITORING;
	name_entry(1)->flags = PYPROF_NAME_GENERATOR;
	is_generator[1] = true;
	one_caller(bare, 1, 0);
}
END_TEST

START_TEST(generators_begin_traced)
{
	recorded.header->engine = PYPROF_ENGINE_TRACEFUNC;
	name_entry(1)->flags = PYPROF_NAME_GENERATOR;
	one_caller(bare, 1, 0);
}
END_TEST

/* In the midst of functions and in none at all; folded and not. */
static void call_all_others(void)
{
	struct thread *t = &thread[0];

	more[CALIB_OTHER].out = 48;
	call(t, 2, python, 5);
	call_other(t, PYPROF_OTHERS);
	for (unsigned i = 0; i < 40; i++) {
		begin(t, 4, python);
		work(t, 11);
		call_other(t, PYPROF_OTHERS / 2 * (1 + i % 3));
		begin(t, 8, python);
		call_other(t, 2 * PYPROF_OTHERS);
		call(t, 1, python, 30);
		work(t, 70);
		end(t);
		call_other(t, 5 * PYPROF_OTHERS);
		end(t);
	}
}

START_TEST(other_calls)
{
	call_all_others();
	fold(&recorded, &thread[0].ring, _i ? 3 : 1 << 20);
	correct();
	check_profile(0);
	ck_assert_uint_eq(summary.n_events, 2 + 40 * 6);
}
END_TEST

/* One of the function's callers has it make such calls, the other has not. */
START_TEST(other_calls_by_caller)
{
	struct thread *t = &thread[0];

	more[CALIB_OTHER].out = 48;
	for (uint32_t caller = 4; caller <= 8; caller += 4) {
		begin(t, caller, python);
		begin(t, 1, python);
		work(t, 100);
		if (caller == 8)
			call_other(t, 3 * PYPROF_OTHERS);
		end(t);
		end(t);
	}
	correct();
	check_profile(0);
}
END_TEST

START_TEST(other_calls_from_large_code)
{
	recorded.header->engine = PYPROF_ENGINE_MONITORING;
	more[CALIB_LARGE_SITE] = (struct cost){ 8, 12 };
	is_far[4] = true;
	begin(&thread[0], 4, python);
	work(&thread[0], 100);
	for (int i = 0; i < 6; i++) {
		call_other(&thread[0], PYPROF_OTHERS * 5 / 2);
		thread[0].now += 8 + 12;
	}
	end(&thread[0]);
	more[CALIB_OTHER].out = 0;
	correct();
	check_profile(0);
}
END_TEST

/*
 * One function calls Python functions, another C functions, which the weights take for what they
 * are not: each has what lies within its own calls.
 */
START_TEST(own_rates)
{
	const int32_t other[PYPROF_COSTS] = { 45, 60, -15, 45 };
	struct thread *t = &thread[0];

	memcpy(recorded.header->cost_weight, other, sizeof(other));
	for (int i = 0; i < 20; i++) {
		begin(t, 4, python);
		begin(t, 5, python);
		call(t, 1, python, 30);
		end(t);
		end(t);
		begin(t, 8, python);
		call(t, 3, c, 30);
		call(t, 3, c, 40);
		end(t);
	}
	correct();
	check_profile(0);
}
END_TEST

/* What was running when recording began: no call, and no cost. */
static void begin_found(struct thread *t, uint32_t fn)
{
	struct kind found = { PYPROF_NAME_CODE, PYPROF_OPEN, PYPROF_RETURN };

	memset(cost, 0, sizeof(cost));
	begin(t, fn, found);
	memcpy(cost, proportional, sizeof(cost));
}

/*
 * Three calls in a loop, of which one comes every tenth time: what the others push out of the
 * processor's memory. And what the work between them does, less and more of it than counts.
 */
START_TEST(calls_that_are_apart)
{
	struct thread *t = &thread[0];

	cold = 6;
	recorded.header->max_gap = _i ? 200 : 0;
	begin(t, 4, python);
	for (int i = 0; i < 2000; i++) {
		work(t, 30);
		call(t, 1, python, (uint64_t)i % 300);
		call(t, 3, c, 30);
		if (i % 10 == 9)
			call(t, 5, python, 10);
	}
	end(t);
	if (_i == 2)
		fold(&recorded, &t->ring, 3);
	correct();
	check_profile(0);
}
END_TEST

/* An edge that is taken three times, with more between than counts. */
START_TEST(calls_that_are_as_far_apart_as_can_be)
{
	struct thread *t = &thread[0];

	cold = 3;
	begin(t, 4, python);
	for (unsigned i = 0; i <= 2 * MAX_BETWEEN; i++) {
		call(t, 1, python, 30);
		if (i % MAX_BETWEEN == 0)
			call(t, 3, c, 500);
	}
	end(t);
	correct();
	check_profile(0);
}
END_TEST

START_TEST(largeness)
{
	ck_assert_double_eq(calib_largeness(true, 0), 0);
	ck_assert_double_eq(calib_largeness(true, 256), 0);
	ck_assert_double_eq(calib_largeness(true, 512), 0.5);
	ck_assert_double_eq(calib_largeness(false, 0), 0);
	ck_assert_double_eq(calib_largeness(false, 1536), 1.5);
	ck_assert_double_eq(calib_largeness(false, UINT32_MAX), 8);
}
END_TEST

/* --- all of them ------------------------------------------------------------------------------ */

static void wander_all(struct kind (*kind_of)(uint32_t), bool with_c)
{
	for (int i = 0; i < N_THREADS; i++)
		wander(&thread[i], 3000, kind_of, with_c);
}

/*
 * Any program. Where no function ever takes less than nothing, which the walk above sees to by its
 * many steps, all is exact.
 */
START_TEST(any_program)
{
	seed += (uint64_t)_i;
	wander_all(only_kind, true);
	correct();
	ck_assert_uint_eq(result.n_bounded, 0);
	check_profile(0);
}
END_TEST

/*
 * What is called seldom costs more. All is exact but the callers' shares of a function's own time,
 * for its calls may be seldom for one of them and frequent for another; and cumulative times that
 * such a share is more than, which are made as long.
 */
START_TEST(any_program_with_distances)
{
	size_t n_edges = 0, n_exact = 0;

	cold = 2;
	recorded.header->max_gap = _i & 2 ? 100 : 0;
	seed += (uint64_t)_i;
	wander_all(only_kind, true);
	if (_i % 2)
		fold(&recorded, &thread[0].ring, 1);
	correct();
	for (size_t i = 0; i < is.n_fns; i++) {
		const struct profile_fn *fn = &is.fn[i];
		size_t k = profile_find(&should, fn->file, fn->line, fn->name);

		ck_assert(k != SIZE_MAX);
		check_counts(&fn->counts, &should.fn[k].counts, 0, 0, "a function");
		for (size_t n = 0; n < fn->n_callers; n++) {
			const struct profile_counts *edge = &fn->caller[n].counts;
			const struct profile_fn *caller = &is.fn[fn->caller[n].caller];

			n_edges++;
			if (edge->total_s <= edge->self_s)
				continue;
			n_exact++;
			check_time(edge->total_s, edge_of(&should, &should.fn[k], caller)->total_s,
				   edge->total_cost_s, 0, "total", "an edge");
		}
	}
	ck_assert_uint_gt(n_exact, n_edges / 2);
}
END_TEST

START_TEST(any_program_folded)
{
	seed += (uint64_t)_i;
	wander_all(only_kind, true);
	fold(&recorded, &thread[0].ring, 3);
	fold(&recorded, &thread[1].ring, 0);
	correct();
	check_profile(0);
}
END_TEST

/* Own times are exact; the weights know nothing of far places. */
START_TEST(any_program_from_far_places)
{
	seed += (uint64_t)_i;
	recorded.header->engine = PYPROF_ENGINE_MONITORING;
	more[CALIB_LARGE] = (struct cost){ 9, 6 };
	more[CALIB_LARGE_SITE] = (struct cost){ 14, 12 };
	far_sites = true;
	for (uint32_t fn = 1; fn <= N_FNS; fn++)
		is_far[fn] = name_of(fn) == PYPROF_NAME_CODE && roll(2);
	wander_all(only_kind, true);
	if (_i & 1)
		fold(&recorded, &thread[0].ring, 3);
	correct();
	check_profile(0.25);
}
END_TEST

START_TEST(any_program_of_slow_bytecode)
{
	seed += (uint64_t)_i;
	bytecode = 3;
	wander_all(only_kind, false);
	correct();
	check_profile(0);
}
END_TEST

/* C functions are as quick as ever; how much of the cost within a call is theirs is estimated. */
START_TEST(c_functions_beside_slow_bytecode)
{
	seed += (uint64_t)_i;
	bytecode = 3;
	wander_all(only_kind, true);
	correct();
	check_profile(0.125);
}
END_TEST

/*
 * Where a kind's cost is not to another's as their weights are, what is shared out is wrong by no
 * more than that: here by a third of the cost in it. Own times stay exact, and so does the sum.
 */
START_TEST(other_weights)
{
	const int32_t other[PYPROF_COSTS] = { 90, 40, -15, 45 };
	double self = 0, true_self = 0;

	seed += (uint64_t)_i;
	memcpy(recorded.header->cost_weight, other, sizeof(other));
	wander_all(any_kind, true);
	correct();
	check_profile(1.0 / 3);
	for (size_t i = 0; i < is.n_fns; i++) {
		self += is.fn[i].counts.self_s;
		true_self += should.fn[i].counts.self_s;
	}
	ck_assert_double_eq_tol(self, true_self, 1e-12);
	ck_assert_double_eq_tol(result.raw_s - result.cost_s, true_self, 1e-12);
}
END_TEST

/* A recording whose header has no weights: shared out by calls. Own times and sums are right. */
START_TEST(no_weights)
{
	struct profile_counts edges = { 0 };

	memset(recorded.header->cost_weight, 0, sizeof(weights));
	wander_all(only_kind, true);
	correct();
	for (size_t i = 0; i < is.n_fns; i++) {
		size_t k = profile_find(&should, is.fn[i].file, is.fn[i].line, is.fn[i].name);

		ck_assert_double_eq_tol(is.fn[i].counts.self_s, should.fn[k].counts.self_s, 1e-12);
		edges.self_s = 0;
		for (size_t n = 0; n < is.fn[i].n_callers; n++)
			edges.self_s += is.fn[i].caller[n].counts.self_s;
		ck_assert_double_le(edges.self_s, is.fn[i].counts.self_s + 1e-12);
	}
}
END_TEST

/* Nothing but work: nothing to take out. With slow bytecode, that alone. */
START_TEST(flat_program)
{
	bytecode = _i;
	call(&thread[0], 1, python, 1000000);
	correct();
	ck_assert_double_eq_tol(is.fn[0].counts.self_s, 1e-3, 1e-12);
	ck_assert_double_eq_tol(is.fn[0].counts.total_s, 1e-3, 1e-12);
	ck_assert_double_eq_tol(result.cost_s, (_i - 1) * 1e-3 + 30e-9, 1e-12);
}
END_TEST

/* What was found running when recording began, and what ran at its end, is time without calls. */
START_TEST(frames_without_calls)
{
	struct thread *t = &thread[0];

	begin_found(t, 1);
	work(t, 500);
	call(t, 2, python, 100);
	work(t, 5);
	recording_put(&truth, &t->bare_ring, PYPROF_C_CALL, 3, t->bare_now);
	recording_put(&recorded, &t->ring, PYPROF_C_CALL, 3, t->now);
	correct();
	ck_assert_uint_eq(summary.n_open, 2);
	/* The call that was running is held to have cost what a whole one does. */
	ck_assert_double_eq_tol(result.raw_s - result.cost_s, 605e-9 - 30e-9, 1e-13);
	ck_assert_double_eq_tol(is.fn[0].counts.self_s, 505e-9 - 30e-9, 1e-13);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("cost");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, python_calls);
	tcase_add_test(t, bare_calls);
	tcase_add_test(t, resumes_and_yields);
	tcase_add_test(t, throws);
	tcase_add_test(t, exceptions);
	tcase_add_test(t, c_calls);
	tcase_add_test(t, c_exceptions);
	tcase_add_test(t, calls_from_c);
	tcase_add_test(t, callers_that_differ);
	tcase_add_test(t, direct_recursion);
	tcase_add_test(t, mutual_recursion);
	tcase_add_loop_test(t, large_code_monitored, 0, 5);
	tcase_add_loop_test(t, large_code_traced, 0, 5);
	tcase_add_loop_test(t, c_calls_from_large_code, 0, 2);
	tcase_add_test(t, c_methods);
	tcase_add_loop_test(t, resumes_that_cost_less, 0, 2);
	tcase_add_loop_test(t, exceptions_of_c_functions, 0, 2);
	tcase_add_test(t, generators_begin);
	tcase_add_test(t, generators_begin_traced);
	tcase_add_loop_test(t, other_calls, 0, 2);
	tcase_add_test(t, other_calls_by_caller);
	tcase_add_test(t, other_calls_from_large_code);
	tcase_add_test(t, own_rates);
	tcase_add_loop_test(t, calls_that_are_apart, 0, 3);
	tcase_add_test(t, calls_that_are_as_far_apart_as_can_be);
	tcase_add_test(t, largeness);
	tcase_add_loop_test(t, any_program, 0, 10);
	tcase_add_loop_test(t, any_program_with_distances, 0, 10);
	tcase_add_loop_test(t, any_program_folded, 0, 10);
	tcase_add_loop_test(t, any_program_from_far_places, 0, 10);
	tcase_add_loop_test(t, any_program_of_slow_bytecode, 0, 10);
	tcase_add_loop_test(t, c_functions_beside_slow_bytecode, 0, 10);
	tcase_add_loop_test(t, other_weights, 0, 10);
	tcase_add_test(t, no_weights);
	tcase_add_loop_test(t, flat_program, 1, 3);
	tcase_add_test(t, frames_without_calls);
	return run_case("cost", t);
}
