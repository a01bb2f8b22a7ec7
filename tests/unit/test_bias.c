/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What recording has cost is taken out of times again. Programs are simulated here twice over: as they
 * ran bare, and with a known cost of every call put into the clock, inside and outside of it. What
 * rebuild and bias_apply make of the latter must be the former. Times are nanoseconds.
 */
#include <check.h>
#include <errno.h>
#include <math.h>

#include "attach.h"
#include "bias.h"
#include "drain.h"
#include "names.h"
#include "pyprof/table.h"
#include "rebuild.h"
#include "recording.h"

#define N_FNS 12u /* numbers 1 .. */
#define N_THREADS 2
#define METHOD 7u /* a C function, by its label a method */
#define MAX_DEPTH 16u
#define TOLERANCE_NS 1e-4

struct kind {
	uint16_t name;
	unsigned enter, leave;
};

static const struct kind python = { PYPROF_NAME_CODE, PYPROF_CALL, PYPROF_RETURN },
			 raises = { PYPROF_NAME_CODE, PYPROF_CALL, PYPROF_UNWIND },
			 bare = { PYPROF_NAME_CODE, PYPROF_BARE_CALL, PYPROF_RETURN },
			 resume = { PYPROF_NAME_CODE, PYPROF_RESUME, PYPROF_YIELD },
			 thrown = { PYPROF_NAME_CODE, PYPROF_THROW, PYPROF_UNWIND },
			 c = { PYPROF_NAME_C, PYPROF_C_CALL, PYPROF_C_RETURN },
			 c_raises = { PYPROF_NAME_C, PYPROF_C_CALL, PYPROF_C_EXCEPTION };

struct cost {
	int in, out;
};

struct thread {
	struct recording_ring bare_ring, ring;
	uint64_t bare_now, now;
	struct {
		uint32_t fn;
		struct kind kind;
	} frame[MAX_DEPTH + 1];
	uint32_t depth;
};

static struct recording truth, recorded;
static struct thread thread[N_THREADS];
static struct profile is, should;
static struct rebuild_summary summary;
static struct bias_result result;

/* In and out in proportion to the weights, by which they are shared out. */
static const struct cost proportional[PYPROF_COSTS] = {
	[PYPROF_COST_PYTHON] = { 30, 60 },
	[PYPROF_COST_C] = { 10, 20 },
	[PYPROF_COST_BARE] = { -5, -10 },
	[PYPROF_COST_EXCEPTION] = { 15, 30 },
};
static const int32_t weights[PYPROF_COSTS] = { 90, 30, -15, 45 };
static struct cost cost[PYPROF_COSTS];
static int bytecode; /* how many times as long Python functions take */
static int times;    /* how many times as much calls cost that are far apart, by two */
static struct cost more[CALIB_KINDS]; /* behind PYPROF_COSTS */
static uint32_t code_bytes[N_FNS + 1];
static bool is_generator[N_FNS + 1];

/* --- a program that runs twice over -------------------------------------------------------------------- */

static uint64_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull; /* Knuth, MMIX */
	return (uint32_t)(seed >> 33) % n;
}

static bool is_c(const struct kind *k)
{
	return k->name == PYPROF_NAME_C;
}

static bool is_bare(const struct kind *k)
{
	return k->enter != PYPROF_CALL && k->enter != PYPROF_C_CALL;
}

static bool is_resume(const struct kind *k)
{
	return k->enter == PYPROF_RESUME || k->enter == PYPROF_THROW;
}

static bool is_exception(const struct kind *k)
{
	return k->leave == PYPROF_UNWIND || k->leave == PYPROF_C_EXCEPTION;
}

/* Sizes of code are such that all are whole numbers. */
static void add_cost(struct cost *to, double n, int in, int out)
{
	to->in += (int)(n * in);
	to->out += (int)(n * out);
}

static void add_more(struct cost *sum, const struct kind *k, uint32_t callee, uint32_t caller)
{
	bool monitoring = recorded.header->engine == PYPROF_ENGINE_MONITORING;
	double of_callee = calib_largeness(monitoring, code_bytes[callee]);
	double of_caller = calib_largeness(monitoring, code_bytes[caller]);
	const struct cost *large = &more[CALIB_LARGE], *site = &more[CALIB_LARGE_SITE];

	if (is_c(k)) {
		add_cost(sum, of_caller, site->in, site->out);
		add_cost(sum, callee == METHOD, more[CALIB_METHOD].in, more[CALIB_METHOD].out);
		return;
	}
	add_cost(sum, of_callee, large->in, large->out);
	if (is_resume(k))
		add_cost(sum, of_callee, large->out, large->in);
	if (monitoring && !is_bare(k))
		add_cost(sum, of_caller, 0, (site->in + site->out) / 2);
}

static struct cost cost_of(const struct kind *k, uint32_t callee, uint32_t caller)
{
	struct cost sum = cost[is_c(k) ? PYPROF_COST_C : PYPROF_COST_PYTHON];
	const struct cost *exception = &cost[PYPROF_COST_EXCEPTION];
	const struct cost *goes_on = &more[CALIB_RESUME], *without_site = &cost[PYPROF_COST_BARE];

	add_cost(&sum, is_exception(k), exception->in, exception->out);
	add_cost(&sum, is_resume(k), goes_on->in, goes_on->out);
	add_cost(&sum, is_bare(k) && !is_resume(k) && !is_generator[callee], without_site->in,
		 without_site->out);
	add_more(&sum, k, callee, caller);
	sum.in = sum.in * times / 2;
	sum.out = sum.out * times / 2;
	return sum;
}

static void work(struct thread *t, uint64_t ns)
{
	bool slowed = t->depth && !is_c(&t->frame[t->depth].kind);

	t->bare_now += ns;
	t->now += slowed ? ns * (unsigned)bytecode : ns;
}

/* Of what lies outside, a third comes before the call and the rest behind; inside as well. */
static void begin(struct thread *t, uint32_t fn, struct kind kind)
{
	struct cost each = cost_of(&kind, fn, t->depth ? t->frame[t->depth].fn : 0);

	t->now += (uint64_t)(each.out / 3);
	recording_put(&truth, &t->bare_ring, kind.enter, fn, t->bare_now);
	recording_put(&recorded, &t->ring, kind.enter, fn, t->now);
	t->now += (uint64_t)(each.in / 3);
	t->frame[++t->depth].fn = fn;
	t->frame[t->depth].kind = kind;
}

static void end(struct thread *t)
{
	struct kind kind = t->frame[t->depth].kind;
	uint32_t fn = t->frame[t->depth--].fn;
	struct cost each = cost_of(&kind, fn, t->depth ? t->frame[t->depth].fn : 0);

	t->now += (uint64_t)(each.in - each.in / 3);
	recording_put(&truth, &t->bare_ring, kind.leave, fn, t->bare_now);
	recording_put(&recorded, &t->ring, kind.leave, fn, t->now);
	t->now += (uint64_t)(each.out - each.out / 3);
}

static void call(struct thread *t, uint32_t fn, struct kind kind, uint64_t ns)
{
	begin(t, fn, kind);
	work(t, ns);
	end(t);
}

/* So many calls of what is no function, which are told without a time. */
static void call_others(struct thread *t, unsigned n)
{
	bool full = !t->ring.block || t->ring.n == RECORDING_BLOCK_RECORDS;

	t->now += n * (unsigned)more[CALIB_OTHER].out;
	recording_put(&recorded, &t->ring, PYPROF_SYNC, n,
		      full ? t->now : t->ring.block->base_ticks);
}

/* Which names are there: those of C functions are told apart by their kind. */
static uint16_t name_of(uint32_t fn)
{
	return fn % 4 == 3 ? PYPROF_NAME_C : PYPROF_NAME_CODE;
}

/* Always called in the same way. */
static struct kind only_kind(uint32_t fn)
{
	const struct kind of_code[] = { python, raises, bare, resume, thrown };

	if (name_of(fn) == PYPROF_NAME_C)
		return fn % 8 == 3 ? c : c_raises;
	return of_code[fn % 5];
}

static struct kind any_kind(uint32_t fn)
{
	const struct kind of_code[] = { python, python, raises, bare, resume, thrown };

	if (name_of(fn) == PYPROF_NAME_C)
		return roll(4) ? c : c_raises;
	return of_code[roll(6)];
}

/* A walk over the tree of calls, recursion and all; C functions call back. */
static void wander(struct thread *t, int n_steps, struct kind (*kind_of)(uint32_t), bool with_c)
{
	while (n_steps-- || t->depth) {
		bool deeper = n_steps > 0 && t->depth < MAX_DEPTH && roll(100) < 55;
		uint32_t fn = 1 + roll(N_FNS);

		work(t, roll(200));
		if (n_steps < 0)
			n_steps = 0;
		if (!deeper && t->depth)
			end(t);
		else if (deeper && (with_c || name_of(fn) == PYPROF_NAME_CODE))
			begin(t, fn, kind_of(fn));
	}
}

/* --- the two profiles ---------------------------------------------------------------------------------- */

static void name_functions(struct recording *r)
{
	char name[32];

	for (uint32_t i = 1; i <= N_FNS; i++) {
		snprintf(name, sizeof(name), i == METHOD ? "<method 'f%u'>" : "f%u", i);
		recording_name(r, i, name_of(i), name_of(i) == PYPROF_NAME_C ? "" : "a.py",
			       name_of(i) == PYPROF_NAME_C ? 0 : (int32_t)i, name);
	}
}

static void setup(void)
{
	recording_init(&truth);
	recording_init(&recorded);
	name_functions(&truth);
	name_functions(&recorded);
	memcpy(recorded.header->cost_weight, weights, sizeof(weights));
	memcpy(cost, proportional, sizeof(cost));
	memset(thread, 0, sizeof(thread));
	memset(more, 0, sizeof(more));
	memset(code_bytes, 0, sizeof(code_bytes));
	memset(is_generator, 0, sizeof(is_generator));
	more[CALIB_RESUME] = proportional[PYPROF_COST_BARE];
	bytecode = 1;
	times = 2;
	seed = 20260101;
	for (int i = 0; i < N_THREADS; i++) {
		thread[i].bare_ring = recording_ring(&truth);
		thread[i].ring = recording_ring(&recorded);
		thread[i].bare_now = thread[i].now = 1000;
	}
	profile_init(&is);
	profile_init(&should);
}

static void teardown(void)
{
	profile_fini(&is);
	profile_fini(&should);
	recording_fini(&truth);
	recording_fini(&recorded);
}

static struct calib calibration(void)
{
	struct calib calib = { .bytecode = bytecode, .sparse = 1 };

	for (int i = 0; i < CALIB_KINDS; i++) {
		const struct cost *each = i < PYPROF_COSTS ? &cost[i] : &more[i];

		calib.cost[i].in_s = each->in * 1e-9;
		calib.cost[i].out_s = each->out * 1e-9;
	}
	return calib;
}

static void read_back(struct recording *r, const struct calib *calib, struct profile *p)
{
	static const struct rebuild_view everything;
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

/* --- each kind of call --------------------------------------------------------------------------------- */

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

/* --- what depends on more than the kind ------------------------------------------------------------------- */

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

	more[CALIB_OTHER].out = 41;
	call(t, 2, python, 5);
	call_others(t, 1);
	for (unsigned i = 0; i < 40; i++) {
		begin(t, 4, python);
		work(t, 11);
		call_others(t, 1 + i % 3);
		begin(t, 8, python);
		call_others(t, 2);
		call(t, 1, python, 30);
		work(t, 70);
		end(t);
		call_others(t, 5);
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

	more[CALIB_OTHER].out = 41;
	for (uint32_t caller = 4; caller <= 8; caller += 4) {
		begin(t, caller, python);
		begin(t, 1, python);
		work(t, 100);
		if (caller == 8)
			call_others(t, 3);
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
	make_large(4, 512);
	begin(&thread[0], 4, python);
	work(&thread[0], 100);
	call_others(&thread[0], 6);
	thread[0].now += 6 * (8 + 12) / 2;
	end(&thread[0]);
	more[CALIB_OTHER].out = 0;
	correct();
	check_profile(0);
}
END_TEST

/*
 * One function calls Python functions, another C functions, which the weights take for what they are not:
 * each has what lies within its own calls.
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

/* 60 ns from one call or return to the next but one: half way between near and far. */
START_TEST(calls_that_are_apart)
{
	struct calib calib = calibration();
	struct thread *t = &thread[0];

	calib.sparse = 2;
	calib.near_s = 10e-9;
	calib.far_s = 110e-9;
	times = 3;
	begin(t, 4, python);
	for (int i = 0; i < 50; i++) {
		work(t, 30);
		call(t, 1, python, 30);
	}
	work(t, 30);
	end(t);
	correct_by(calib);
	check_profile(0.02); /* nobody knows how far apart the root's calls are */
}
END_TEST

START_TEST(sparseness)
{
	struct calib calib = { .sparse = 3, .near_s = 10e-9, .far_s = 30e-9 };

	ck_assert_double_eq(calib_sparseness(&calib, -1, 0), 1);
	ck_assert_double_eq(calib_sparseness(&calib, 10e-9, 0), 1);
	ck_assert_double_eq_tol(calib_sparseness(&calib, 15e-9, 0), 1.5, 1e-12);
	ck_assert_double_eq_tol(calib_sparseness(&calib, 15e-9, -5e-9), 1.5, 1e-12);
	ck_assert_double_eq_tol(calib_sparseness(&calib, 25e-9, 5e-9), 5.0 / 3, 1e-12);
	ck_assert_double_eq(calib_sparseness(&calib, 60e-9, 5e-9), 3);
	ck_assert_double_eq(calib_sparseness(&calib, 1, 0), 3);
	calib.far_s = calib.near_s;
	ck_assert_double_eq(calib_sparseness(&calib, 11e-9, 0), 1);
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

/* --- all of them --------------------------------------------------------------------------------------- */

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
	struct kind found = { PYPROF_NAME_CODE, PYPROF_OPEN, PYPROF_RETURN };

	memset(cost, 0, sizeof(cost));
	begin(t, 1, found);
	memcpy(cost, proportional, sizeof(cost));
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

/* --- bias_apply ---------------------------------------------------------------------------------------- */

static struct text text(const char *s)
{
	return (struct text){ s, strlen(s) };
}

static size_t add(const char *name, double self, double self_cost, double total, double total_cost)
{
	struct profile_counts counts = { .n_calls = 10,
					 .self_s = self,
					 .self_cost_s = self_cost,
					 .total_s = total,
					 .total_cost_s = total_cost };
	size_t i = profile_fn_add(&is, text("a.py"), 1, text(name), text(""));

	profile_counts_add(&is.fn[i].counts, &counts);
	return i;
}

static void add_edge(size_t caller, size_t callee, uint64_t n, double self, double self_cost)
{
	struct profile_counts counts = { .n_calls = n,
					 .self_s = self,
					 .self_cost_s = self_cost,
					 .total_s = self,
					 .total_cost_s = self_cost };

	ck_assert_int_eq(profile_edge_add(&is, caller, callee, &counts), 0);
}

static void check_corrected(size_t i, double self, double self_cost, double total)
{
	ck_assert_double_eq_tol(is.fn[i].counts.self_s, self, 1e-9);
	ck_assert_double_eq_tol(is.fn[i].counts.self_cost_s, self_cost, 1e-9);
	ck_assert_double_eq_tol(is.fn[i].counts.total_s, total, 1e-9);
}

static double sum_of_self(void)
{
	double sum = 0;

	for (size_t i = 0; i < is.n_fns; i++)
		sum += is.fn[i].counts.self_s;
	return sum;
}

/* The leaf lacks 2 s: its callers give them, by the calls that they made. */
START_TEST(deficits_go_to_callers)
{
	size_t a = add("a", 10, 1, 14, 5), b = add("b", 20, 1, 22, 5);
	size_t leaf = add("leaf", 3, 5, 3, 5);

	add_edge(a, leaf, 7, 2, 3.5);
	add_edge(b, leaf, 3, 1, 1.5);
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(leaf, 0, 3, 0);
	check_corrected(a, 10 - 1 - 1.4, 2.4, 9);
	check_corrected(b, 20 - 1 - 0.6, 1.6, 18.4); /* not 17, which its own time exceeds */
	ck_assert_uint_eq(result.n_bounded, 1);
	ck_assert_double_eq_tol(result.moved_s, 2, 1e-9);
	ck_assert_double_eq(result.left_s, 0);
	ck_assert_double_eq_tol(sum_of_self(), 33 - 7, 1e-9);
	ck_assert_double_eq_tol(result.raw_s, 33, 1e-9);
	ck_assert_double_eq_tol(result.cost_s, 7, 1e-9);
	ck_assert_double_eq(is.fn[leaf].caller[0].counts.self_s, 0);
	ck_assert_double_eq(is.fn[leaf].caller[1].counts.self_s, 0);
}
END_TEST

/* Up the whole chain, through a function that calls itself, whatever their order in the profile. */
START_TEST(deficits_go_on_upwards)
{
	size_t fn[3], order[2][3] = { { 0, 1, 2 }, { 2, 1, 0 } };
	static const char *const name[] = { "root", "middle", "leaf" };
	static const double self[] = { 10, 1, 1 }, takes[] = { 1, 2, 4 };

	for (int i = 0; i < 3; i++) {
		size_t n = order[_i][i];

		fn[n] = add(name[n], self[n], takes[n], self[n], takes[n]);
	}
	add_edge(fn[0], fn[1], 5, 0.5, 1);
	add_edge(fn[1], fn[1], 5, 0.5, 1);
	add_edge(fn[1], fn[2], 10, 1, 4);
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(fn[2], 0, 1, 0);
	check_corrected(fn[1], 0, 1, 0);
	check_corrected(fn[0], 5, 5, 9);
	ck_assert_uint_eq(result.n_bounded, 2);
	ck_assert_double_eq_tol(result.moved_s, 4, 1e-9);
	ck_assert_double_eq_tol(result.left_s, 0, 1e-9);
	ck_assert_double_eq_tol(sum_of_self(), 12 - 7, 1e-9);
}
END_TEST

/* As fib does: next to all of its calls are its own, which have nothing to give. */
START_TEST(deficits_of_a_recursion)
{
	size_t a = add("a", 10, 0, 12, 5), fib = add("fib", 2, 5, 2, 5);

	add_edge(a, fib, 1, 0.01, 0.01);
	add_edge(fib, fib, 100000, 1.99, 4.99);
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(fib, 0, 2, 0);
	check_corrected(a, 7, 3, 7);
	ck_assert_double_eq(result.left_s, 0);
}
END_TEST

/* Nobody to take it from: the sum is too long by that, which is told. */
START_TEST(deficits_that_stay)
{
	size_t lone = add("lone", 1, 3, 1, 3), a = add("a", 1, 0, 2, 2),
	       leaf = add("leaf", 1, 5, 1, 5);

	add_edge(a, leaf, 10, 1, 5);
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(lone, 0, 1, 0);
	check_corrected(leaf, 0, 1, 0);
	check_corrected(a, 0, 1, 0);
	ck_assert_uint_eq(result.n_bounded, 3);
	ck_assert_double_eq_tol(result.moved_s, 1, 1e-9);
	ck_assert_double_eq_tol(result.left_s, 2 + 3, 1e-9);
	ck_assert_double_eq_tol(sum_of_self(), 3 - 8 + result.left_s, 1e-9);
	ck_assert_double_eq_tol(result.cost_s, 3, 1e-9);
}
END_TEST

/* Two functions that call each other, and nobody else: it ends, and nothing is lost from the sum. */
START_TEST(deficits_in_a_circle)
{
	size_t a = add("a", 1, 3, 2, 6), b = add("b", 1, 2, 2, 6);

	add_edge(a, b, 10, 1, 2);
	add_edge(b, a, 10, 1, 3);
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(a, 0, 1, 0);
	check_corrected(b, 0, 1, 0);
	ck_assert_double_eq_tol(result.left_s, 3, 1e-9);
}
END_TEST

/* Callers that are known by their number of calls only, or not at all, add up to the function. */
START_TEST(callers_add_up)
{
	size_t a = add("a", 5, 0, 5, 0), f = add("f", 8, 2, 8, 2);

	add_edge(a, f, 5, 4, 1); /* the rest came from the root */
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	check_corrected(f, 6, 2, 6);
	ck_assert_double_eq_tol(is.fn[f].caller[0].counts.self_s, 3, 1e-9);
	ck_assert_double_eq_tol(is.fn[f].caller[0].counts.self_cost_s, 1, 1e-9);
}
END_TEST

START_TEST(bare_time_scales)
{
	size_t a = add("a", 10, 2, 14, 4), b = add("b", 4, 2, 4, 2);

	ck_assert_int_eq(bias_apply(&is, 12, &result), 0);
	ck_assert_double_eq_tol(result.scale, 0.5, 1e-12);
	check_corrected(a, 9, 1, 12);
	check_corrected(b, 3, 1, 3);
	ck_assert_double_eq_tol(sum_of_self(), 12, 1e-9);
}
END_TEST

/* Scaled up, the leaf falls short: what it lacks comes from its caller, and the total is met. */
START_TEST(bare_time_scales_up)
{
	size_t a = add("a", 10, 2, 14, 4), leaf = add("leaf", 4, 2, 4, 2);

	add_edge(a, leaf, 10, 4, 2);
	ck_assert_int_eq(bias_apply(&is, 2, &result), 0);
	ck_assert_double_eq_tol(result.scale, 3, 1e-12);
	check_corrected(leaf, 0, 4, 0);
	check_corrected(a, 2, 8, 2);
	ck_assert_double_eq_tol(sum_of_self(), 2, 1e-9);
}
END_TEST

START_TEST(bare_times_that_cannot_be)
{
	size_t a = add("a", 10, 2, 10, 2);

	ck_assert_int_eq(bias_apply(&is, 10.5, &result), -ERANGE);
	ck_assert_double_eq(result.raw_s, 10);
	check_corrected(a, 10, 2, 10); /* as it was */
	is.fn[a].counts.self_cost_s = 0;
	ck_assert_int_eq(bias_apply(&is, 5, &result), -ERANGE);
}
END_TEST

START_TEST(nothing_at_all)
{
	ck_assert_int_eq(bias_apply(&is, 0, &result), 0);
	ck_assert_double_eq(result.cost_s, 0);
	ck_assert_int_eq(bias_apply(&is, 1, &result), -ERANGE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bias");
	TCase *t = tcase_create("bias");
	SRunner *runner;
	int n_failed;

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
	tcase_add_test(t, generators_begin);
	tcase_add_test(t, generators_begin_traced);
	tcase_add_loop_test(t, other_calls, 0, 2);
	tcase_add_test(t, other_calls_by_caller);
	tcase_add_test(t, other_calls_from_large_code);
	tcase_add_test(t, own_rates);
	tcase_add_test(t, calls_that_are_apart);
	tcase_add_test(t, sparseness);
	tcase_add_test(t, largeness);
	tcase_add_loop_test(t, any_program, 0, 10);
	tcase_add_loop_test(t, any_program_folded, 0, 10);
	tcase_add_loop_test(t, any_program_of_slow_bytecode, 0, 10);
	tcase_add_loop_test(t, c_functions_beside_slow_bytecode, 0, 10);
	tcase_add_loop_test(t, other_weights, 0, 10);
	tcase_add_test(t, no_weights);
	tcase_add_loop_test(t, flat_program, 1, 3);
	tcase_add_test(t, frames_without_calls);
	tcase_add_test(t, deficits_go_to_callers);
	tcase_add_loop_test(t, deficits_go_on_upwards, 0, 2);
	tcase_add_test(t, deficits_of_a_recursion);
	tcase_add_test(t, deficits_that_stay);
	tcase_add_test(t, deficits_in_a_circle);
	tcase_add_test(t, callers_add_up);
	tcase_add_test(t, bare_time_scales);
	tcase_add_test(t, bare_time_scales_up);
	tcase_add_test(t, bare_times_that_cannot_be);
	tcase_add_test(t, nothing_at_all);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed != 0;
}
