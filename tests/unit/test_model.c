/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subtracting the recording overhead. rebuild() and correct_apply() get a program that was recorded
 * with a known overhead. The result must equal the profile of the same program without overhead.
 */
#include <check.h>
#include <math.h>

#include "load/rebuild.h"
#include "overhead/correct.h"
#include "pyprof/table.h"
#include "recording/attach.h"
#include "recording/drain.h"
#include "recording/names.h"
#include "simulation.h"
#include "tests/run.h"

#define TOLERANCE_NS 1e-4

static struct profile is, should;
static struct rebuild_summary summary;
static struct correct_result result;

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

static void read_back(struct recording *r, const struct calibration *calibration, struct profile *p)
{
	static const struct request everything;
	struct attach a;
	struct names names;
	struct drain d;

	ck_assert_int_eq(attach_open(&a, recording_save(r)), 0);
	ck_assert_int_eq(drain_init(&d, &a), 0);
	ck_assert_int_eq(names_read(&names, &a), 0);
	ck_assert_int_eq(rebuild(p, NULL, &d, &names, 1e-9, calibration, &everything, &summary), 0);
	ck_assert_uint_eq(summary.n_time_broken + summary.n_calls_broken, 0);
	ck_assert_uint_eq(d.n_bad + names.n_bad, 0);
	names_fini(&names);
	drain_fini(&d);
	attach_close(&a);
	unlink(r->path);
}

static void correct_by(struct calibration calibration)
{
	read_back(&truth, NULL, &should);
	read_back(&recorded, &calibration, &is);
	ck_assert_int_eq(correct_apply(&is, 0, &result), 0);
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
	t.view.weight = r->header->overhead_weight;
	t.view.max_distance = r->header->max_distance;
	t.view.max_idle = r->header->max_idle;
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

/* Corrected times may differ from the true ones by `part` of the time that was added. */
static void check_time(double is_s, double should_s, double overhead_s, double part,
		       const char *what, const char *name)
{
	double differs = fabs(is_s - should_s) * 1e9, raw = is_s + overhead_s;
	double allowed = fabs(raw - should_s) * 1e9 * part + TOLERANCE_NS;

	ck_assert_msg(differs <= allowed, "%s of %s: %.6f ns, expected %.6f within %.6f", what,
		      name, is_s * 1e9, should_s * 1e9, allowed);
}

static void check_counts(const struct profile_counts *a, const struct profile_counts *b,
			 double self_part, double total_part, const char *name)
{
	ck_assert_uint_eq(a->n_calls, b->n_calls);
	ck_assert_uint_eq(a->n_primitive, b->n_primitive);
	check_time(a->self_s, b->self_s, a->self_overhead_s, self_part, "self", name);
	check_time(a->total_s, b->total_s, a->total_overhead_s, total_part, "total", name);
}

/* Self times of functions must be exact. `part` applies to times that are divided among callers. */
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
	ck_assert_double_gt(result.overhead_s, 0);
	ck_assert_uint_eq(result.n_bounded, 0);
}

START_TEST(overhead_of_python_calls_is_removed)
{
	one_caller(python, 1, 0);
}
END_TEST

START_TEST(overhead_of_calls_without_a_call_site_is_removed)
{
	one_caller(bare, 1, 0);
}
END_TEST

START_TEST(overhead_of_resumes_and_yields_is_removed)
{
	one_caller(resume, 1, 0);
}
END_TEST

START_TEST(overhead_of_thrown_exceptions_is_removed)
{
	one_caller(thrown, 1, 0);
}
END_TEST

START_TEST(overhead_of_raised_exceptions_is_removed)
{
	one_caller(raises, 1, 0);
}
END_TEST

START_TEST(overhead_of_c_calls_is_removed)
{
	one_caller(c, 3, 0);
}
END_TEST

START_TEST(overhead_of_c_calls_that_raise_is_removed)
{
	one_caller(c_raises, 3, 0);
}
END_TEST

/* sorted(key=f): the C function is the caller and has the outside overhead. */
START_TEST(overhead_of_calls_from_c_is_removed)
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

/* One function has two callers. It makes 5 C calls for the first and 10 for the second. */
START_TEST(callers_keep_the_overhead_of_their_own_calls)
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

START_TEST(overhead_of_a_direct_recursion_is_removed)
{
	recurse(&thread[0], 1, 1, 5);
	correct();
	check_profile(0);
}
END_TEST

START_TEST(overhead_of_a_mutual_recursion_is_removed)
{
	recurse(&thread[0], 1, 2, 6);
	correct();
	check_profile(0);
}
END_TEST

/* --- overhead that depends on more than the kind ---------------------------------------------- */

/* Finds the entry of a function. Entries are in the order of their numbers. */
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
	more[OVERHEAD_LARGE] = (struct simulated){ 40, 16 };
	more[OVERHEAD_LARGE_SITE] = (struct simulated){ 8, 24 };
	make_large(4, 1024);
	make_large(1, 512);
	is_far[4] = is_far[1] = true;
	one_caller(kind, callee,
		   0); /* the weights ignore sizes, but all calls have the same size */
}

START_TEST(large_code_costs_more_with_monitoring)
{
	const struct kind kinds[] = { python, raises, bare, resume, thrown };

	large_code(PYPROF_ENGINE_MONITORING, kinds[_i], 1);
}
END_TEST

START_TEST(large_code_costs_more_with_a_trace_function)
{
	const struct kind kinds[] = { python, raises, bare, resume, thrown };

	large_code(PYPROF_ENGINE_TRACEFUNC, kinds[_i], 1);
}
END_TEST

START_TEST(c_calls_from_large_code_cost_more)
{
	large_code(_i ? PYPROF_ENGINE_MONITORING : PYPROF_ENGINE_TRACEFUNC, c, 3);
}
END_TEST

START_TEST(c_methods_cost_more_than_c_functions)
{
	more[OVERHEAD_METHOD] = (struct simulated){ 5, 9 };
	one_caller(c, METHOD, 0);
	ck_assert_double_eq_tol(result.overhead_s, (50 * (15 + 29) + 30) * 1e-9, 1e-13);
}
END_TEST

START_TEST(resumes_have_an_overhead_of_their_own)
{
	more[OVERHEAD_RESUME] = (struct simulated){ 3, -21 };
	one_caller(_i ? thrown : resume, 1, 0);
}
END_TEST

START_TEST(c_exceptions_have_an_overhead_of_their_own)
{
	more[OVERHEAD_EXCEPTION_C] = (struct simulated){ 7, -5 };
	one_caller(_i ? raises : c_raises, _i ? 1 : 3, 0);
}
END_TEST

/* The call site reports the generator when it is created, so its first run has a call site too. */
START_TEST(a_new_generator_has_a_call_site_with_monitoring)
{
	recorded.header->engine = PYPROF_ENGINE_MONITORING;
	name_entry(1)->flags = PYPROF_NAME_GENERATOR;
	is_generator[1] = true;
	one_caller(bare, 1, 0);
}
END_TEST

START_TEST(a_new_generator_has_no_call_site_with_tracing)
{
	recorded.header->engine = PYPROF_ENGINE_TRACEFUNC;
	name_entry(1)->flags = PYPROF_NAME_GENERATOR;
	one_caller(bare, 1, 0);
}
END_TEST

/* Makes class calls inside of functions and outside of all, to be folded or not. */
static void make_class_calls(void)
{
	struct thread *t = &thread[0];

	more[OVERHEAD_CLASS_CALL].out = 48;
	call(t, 2, python, 5);
	call_other(t, PYPROF_CLASS_UNITS);
	for (unsigned i = 0; i < 40; i++) {
		begin(t, 4, python);
		work(t, 11);
		call_other(t, PYPROF_CLASS_UNITS / 2 * (1 + i % 3));
		begin(t, 8, python);
		call_other(t, 2 * PYPROF_CLASS_UNITS);
		call(t, 1, python, 30);
		work(t, 70);
		end(t);
		call_other(t, 5 * PYPROF_CLASS_UNITS);
		end(t);
	}
}

START_TEST(overhead_of_class_calls_is_removed)
{
	make_class_calls();
	fold(&recorded, &thread[0].ring, _i ? 3 : 1 << 20);
	correct();
	check_profile(0);
	ck_assert_uint_eq(summary.n_events, 2 + 40 * 6);
}
END_TEST

/* The function makes class calls for one of its callers and none for the other. */
START_TEST(class_calls_are_charged_to_the_caller_that_causes_them)
{
	struct thread *t = &thread[0];

	more[OVERHEAD_CLASS_CALL].out = 48;
	for (uint32_t caller = 4; caller <= 8; caller += 4) {
		begin(t, caller, python);
		begin(t, 1, python);
		work(t, 100);
		if (caller == 8)
			call_other(t, 3 * PYPROF_CLASS_UNITS);
		end(t);
		end(t);
	}
	correct();
	check_profile(0);
}
END_TEST

START_TEST(class_calls_from_large_code_cost_more)
{
	recorded.header->engine = PYPROF_ENGINE_MONITORING;
	more[OVERHEAD_LARGE_SITE] = (struct simulated){ 8, 12 };
	is_far[4] = true;
	begin(&thread[0], 4, python);
	work(&thread[0], 100);
	for (int i = 0; i < 6; i++) {
		call_other(&thread[0], PYPROF_CLASS_UNITS * 5 / 2);
		thread[0].now += 8 + 12;
	}
	end(&thread[0]);
	more[OVERHEAD_CLASS_CALL].out = 0;
	correct();
	check_profile(0);
}
END_TEST

/*
 * One function calls Python functions, another C functions. The weights are wrong, but each
 * function still has the inside overhead of its own calls.
 */
START_TEST(functions_keep_the_inside_overhead_of_their_own_calls)
{
	const int32_t other[PYPROF_OVERHEADS] = { 45, 60, -15, 45 };
	struct thread *t = &thread[0];

	memcpy(recorded.header->overhead_weight, other, sizeof(other));
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

/* Starts a frame that was running when recording began. It has no call and no overhead. */
static void begin_found(struct thread *t, uint32_t fn)
{
	struct kind found = { PYPROF_NAME_CODE, PYPROF_OPEN, PYPROF_RETURN };

	memset(cost, 0, sizeof(cost));
	begin(t, fn, found);
	memcpy(cost, proportional, sizeof(cost));
}

/*
 * A loop makes three calls, one of them every tenth time, so its reuse distance is longer. The work
 * between two events is less, or more, than `max_idle`.
 */
START_TEST(cache_misses_grow_with_the_reuse_distance)
{
	struct thread *t = &thread[0];

	cold = 6;
	recorded.header->max_idle = _i ? 200 : 0;
	begin(t, 4, python);
	for (int i = 0; i < 2000; i++) {
		work(t, 30);
		call(t, 1, python, (uint64_t)i % 300);
		call(t, 3, c, 30);
		if (i % 10 == 9)
			call(t, 5, python, 10);
	}
	end(t);
	correct();
	check_profile(0);
}
END_TEST

/* The reuse distance of a function exceeds MAX_BETWEEN. */
START_TEST(cache_misses_are_limited_to_the_largest_distance)
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

START_TEST(largeness_grows_with_the_bytes_of_code)
{
	ck_assert_double_eq(calibration_largeness(true, 0), 0);
	ck_assert_double_eq(calibration_largeness(true, 256), 0);
	ck_assert_double_eq(calibration_largeness(true, 512), 0.5);
	ck_assert_double_eq(calibration_largeness(false, 0), 0);
	ck_assert_double_eq(calibration_largeness(false, 1536), 1.5);
	ck_assert_double_eq(calibration_largeness(false, UINT32_MAX), 8);
}
END_TEST

/* --- random programs -------------------------------------------------------------------------- */

static void wander_all(struct kind (*kind_of)(uint32_t), bool with_c)
{
	for (int i = 0; i < N_THREADS; i++)
		wander(&thread[i], 3000, kind_of, with_c);
}

/* Results are exact if no self time becomes negative. wander() makes enough steps for that. */
START_TEST(random_programs_are_corrected_exactly)
{
	seed += (uint64_t)_i;
	wander_all(only_kind, true);
	correct();
	ck_assert_uint_eq(result.n_bounded, 0);
	check_profile(0);
}
END_TEST

/* Rare calls cost more. */
START_TEST(random_programs_with_cache_misses_are_corrected)
{
	cold = 2;
	recorded.header->max_idle = _i & 2 ? 100 : 0;
	seed += (uint64_t)_i;
	wander_all(only_kind, true);
	correct();
	check_profile(0);
}
END_TEST

/* Cumulative times of calls that run where a table ends are divided at that point. */
START_TEST(random_programs_are_corrected_after_folding)
{
	seed += (uint64_t)_i;
	wander_all(only_kind, true);
	fold(&recorded, &thread[0].ring, 3);
	fold(&recorded, &thread[1].ring, 0);
	correct();
	check_profile(0.001);
}
END_TEST

START_TEST(random_programs_with_high_offsets_are_corrected)
{
	seed += (uint64_t)_i;
	recorded.header->engine = PYPROF_ENGINE_MONITORING;
	more[OVERHEAD_LARGE] = (struct simulated){ 9, 6 };
	more[OVERHEAD_LARGE_SITE] = (struct simulated){ 14, 12 };
	far_sites = true;
	for (uint32_t fn = 1; fn <= N_FNS; fn++)
		is_far[fn] = name_of(fn) == PYPROF_NAME_CODE && roll(2);
	wander_all(only_kind, true);
	correct();
	check_profile(0);
}
END_TEST

START_TEST(random_programs_with_slow_bytecode_are_corrected)
{
	seed += (uint64_t)_i;
	bytecode = 3;
	wander_all(only_kind, false);
	correct();
	check_profile(0);
}
END_TEST

/* Only Python code is slower. */
START_TEST(c_functions_are_not_scaled_with_slow_bytecode)
{
	seed += (uint64_t)_i;
	bytecode = 3;
	wander_all(only_kind, true);
	correct();
	check_profile(0);
}
END_TEST

/* Functions whose calls are of different kinds, with overheads that have no common ratio. */
START_TEST(random_mixtures_of_kinds_are_corrected_exactly)
{
	seed += (uint64_t)_i;
	cost[PYPROF_OVERHEAD_C] = (struct simulated){ 7, 41 };
	cost[PYPROF_OVERHEAD_EXCEPTION] = (struct simulated){ 33, 0 };
	more[OVERHEAD_METHOD] = (struct simulated){ 5, 9 };
	more[OVERHEAD_EXCEPTION_C] = (struct simulated){ 12, -3 };
	wander_all(any_kind, true);
	correct();
	check_profile(0);
}
END_TEST

/* Without weights in the header, overhead is divided by calls. Self times and sums stay exact. */
START_TEST(missing_weights_divide_overhead_by_calls)
{
	struct profile_counts edges = { 0 };

	memset(recorded.header->overhead_weight, 0, sizeof(weights));
	wander_all(only_kind, true);
	fold(&recorded, &thread[0].ring, 0);
	fold(&recorded, &thread[1].ring, 0);
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

/* A program without calls has nothing to correct but slow bytecode. */
START_TEST(a_program_without_calls_keeps_its_time)
{
	bytecode = _i;
	call(&thread[0], 1, python, 1000000);
	correct();
	ck_assert_double_eq_tol(is.fn[0].counts.self_s, 1e-3, 1e-12);
	ck_assert_double_eq_tol(is.fn[0].counts.total_s, 1e-3, 1e-12);
	ck_assert_double_eq_tol(result.overhead_s, (_i - 1) * 1e-3 + 30e-9, 1e-12);
}
END_TEST

/* Frames that ran before recording began, and those that run at its end, have time but no calls. */
START_TEST(frames_without_calls_have_no_overhead)
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
	/* The running call counts with the overhead of a complete one. */
	ck_assert_double_eq_tol(result.raw_s - result.overhead_s, 605e-9 - 30e-9, 1e-13);
	ck_assert_double_eq_tol(is.fn[0].counts.self_s, 505e-9 - 30e-9, 1e-13);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("cost");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, overhead_of_python_calls_is_removed);
	tcase_add_test(t, overhead_of_calls_without_a_call_site_is_removed);
	tcase_add_test(t, overhead_of_resumes_and_yields_is_removed);
	tcase_add_test(t, overhead_of_thrown_exceptions_is_removed);
	tcase_add_test(t, overhead_of_raised_exceptions_is_removed);
	tcase_add_test(t, overhead_of_c_calls_is_removed);
	tcase_add_test(t, overhead_of_c_calls_that_raise_is_removed);
	tcase_add_test(t, overhead_of_calls_from_c_is_removed);
	tcase_add_test(t, callers_keep_the_overhead_of_their_own_calls);
	tcase_add_test(t, overhead_of_a_direct_recursion_is_removed);
	tcase_add_test(t, overhead_of_a_mutual_recursion_is_removed);
	tcase_add_loop_test(t, large_code_costs_more_with_monitoring, 0, 5);
	tcase_add_loop_test(t, large_code_costs_more_with_a_trace_function, 0, 5);
	tcase_add_loop_test(t, c_calls_from_large_code_cost_more, 0, 2);
	tcase_add_test(t, c_methods_cost_more_than_c_functions);
	tcase_add_loop_test(t, resumes_have_an_overhead_of_their_own, 0, 2);
	tcase_add_loop_test(t, c_exceptions_have_an_overhead_of_their_own, 0, 2);
	tcase_add_test(t, a_new_generator_has_a_call_site_with_monitoring);
	tcase_add_test(t, a_new_generator_has_no_call_site_with_tracing);
	tcase_add_loop_test(t, overhead_of_class_calls_is_removed, 0, 2);
	tcase_add_test(t, class_calls_are_charged_to_the_caller_that_causes_them);
	tcase_add_test(t, class_calls_from_large_code_cost_more);
	tcase_add_test(t, functions_keep_the_inside_overhead_of_their_own_calls);
	tcase_add_loop_test(t, cache_misses_grow_with_the_reuse_distance, 0, 2);
	tcase_add_test(t, cache_misses_are_limited_to_the_largest_distance);
	tcase_add_test(t, largeness_grows_with_the_bytes_of_code);
	tcase_add_loop_test(t, random_programs_are_corrected_exactly, 0, 10);
	tcase_add_loop_test(t, random_programs_with_cache_misses_are_corrected, 0, 10);
	tcase_add_loop_test(t, random_programs_are_corrected_after_folding, 0, 10);
	tcase_add_loop_test(t, random_programs_with_high_offsets_are_corrected, 0, 10);
	tcase_add_loop_test(t, random_programs_with_slow_bytecode_are_corrected, 0, 10);
	tcase_add_loop_test(t, c_functions_are_not_scaled_with_slow_bytecode, 0, 10);
	tcase_add_loop_test(t, random_mixtures_of_kinds_are_corrected_exactly, 0, 10);
	tcase_add_test(t, missing_weights_divide_overhead_by_calls);
	tcase_add_loop_test(t, a_program_without_calls_keeps_its_time, 1, 3);
	tcase_add_test(t, frames_without_calls_have_no_overhead);
	return run_case("cost", t);
}
