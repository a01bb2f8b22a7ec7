/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Simulates a program into two recordings: a native run, and a run in which a known overhead is
 * added to the clock inside and outside of each call. Times are in nanoseconds.
 */
#ifndef TESTS_SIMULATION_H
#define TESTS_SIMULATION_H

#include <stdbool.h>
#include <stdint.h>

#include "overhead/calibration.h"
#include "recording.h"

#define N_FNS 12u /* numbers 1 .. */
#define N_THREADS 2
#define METHOD 7u /* a C function with the label of a method */
#define MAX_DEPTH 16u
#define MAX_BETWEEN 1000u

struct kind {
	uint16_t name;
	unsigned enter, leave;
};

static const struct kind python = { PYPROF_NAME_CODE, PYPROF_CALL, PYPROF_RETURN },
			 raises = { PYPROF_NAME_CODE, PYPROF_CALL, PYPROF_UNWIND },
			 bare = { PYPROF_NAME_CODE, PYPROF_DIRECT_CALL, PYPROF_RETURN },
			 resume = { PYPROF_NAME_CODE, PYPROF_RESUME, PYPROF_YIELD },
			 thrown = { PYPROF_NAME_CODE, PYPROF_THROW, PYPROF_UNWIND },
			 c = { PYPROF_NAME_C, PYPROF_C_CALL, PYPROF_C_RETURN },
			 c_raises = { PYPROF_NAME_C, PYPROF_C_CALL, PYPROF_C_EXCEPTION };

struct simulated {
	int in, out;
};

struct thread {
	struct recording_ring bare_ring, ring;
	uint64_t bare_now, now;
	struct {
		uint32_t fn;
		struct kind kind;
		struct simulated cost;
		unsigned cold; /* cache-miss overhead, added after the call */
	} frame[MAX_DEPTH + 1];
	uint64_t last_time;
	uint32_t depth;
	unsigned n_records, last_record[N_FNS + 1]; /* by callee */
};

static struct recording truth, recorded;
static struct thread thread[N_THREADS];

/* Inside and outside overhead in proportion to the weights, because weights divide it. */
static const struct simulated proportional[PYPROF_OVERHEADS] = {
	[PYPROF_OVERHEAD_PYTHON] = { 30, 60 },
	[PYPROF_OVERHEAD_C] = { 10, 20 },
	[PYPROF_OVERHEAD_DIRECT] = { -5, -10 },
	[PYPROF_OVERHEAD_EXCEPTION] = { 15, 30 },
};
static const int32_t weights[PYPROF_OVERHEADS] = { 90, 30, -15, 45 };
static struct simulated cost[PYPROF_OVERHEADS];
static int bytecode; /* slowdown of Python functions */
static int cold;     /* ns of cache-miss overhead per event of reuse distance */
static struct simulated more[OVERHEAD_KINDS]; /* indexed by the kinds after PYPROF_OVERHEADS */
static uint32_t code_bytes[N_FNS + 1];
static bool is_far[N_FNS + 1]; /* its events have high offsets, with sys.monitoring */
static bool far_sites; /* these functions make C calls, so their call sites are known to be high */
static bool is_generator[N_FNS + 1];

/* --- a program in two recordings -------------------------------------------------------------- */

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

/* Code sizes are chosen so that all results are whole numbers. */
static void add_overhead(struct simulated *to, double n, int in, int out)
{
	to->in += (int)(n * in);
	to->out += (int)(n * out);
}

static void add_more(struct simulated *sum, const struct kind *k, uint32_t callee, uint32_t caller)
{
	bool monitoring = recorded.header->engine == PYPROF_ENGINE_MONITORING;
	double of_callee =
		monitoring ? is_far[callee] : calibration_largeness(false, code_bytes[callee]);
	double of_caller =
		monitoring ? is_far[caller] : calibration_largeness(false, code_bytes[caller]);
	double of_site = far_sites ? of_caller : calibration_largeness(true, code_bytes[caller]);
	const struct simulated *large = &more[OVERHEAD_LARGE], *site = &more[OVERHEAD_LARGE_SITE];

	if (is_c(k)) {
		add_overhead(sum, of_caller, site->in, site->out);
		add_overhead(sum, callee == METHOD, more[OVERHEAD_METHOD].in,
			     more[OVERHEAD_METHOD].out);
		return;
	}
	add_overhead(sum, of_callee, large->in, large->out);
	if (is_resume(k))
		add_overhead(sum, of_callee, large->out, large->in);
	if (monitoring && !is_bare(k))
		add_overhead(sum, of_site, 0, (site->in + site->out) / 2);
}

static struct simulated overhead_of(const struct kind *k, uint32_t callee, uint32_t caller)
{
	struct simulated sum = cost[is_c(k) ? PYPROF_OVERHEAD_C : PYPROF_OVERHEAD_PYTHON];
	const struct simulated *exception = &cost[OVERHEAD_EXCEPTION];
	const struct simulated *resumed = &more[OVERHEAD_RESUME],
			       *without_site = &cost[OVERHEAD_DIRECT];
	const struct simulated *of_c = &more[OVERHEAD_EXCEPTION_C];
	bool begins_bare = is_bare(k) && !is_resume(k) && !is_generator[callee];

	add_overhead(&sum, is_exception(k), exception->in, exception->out);
	add_overhead(&sum, is_resume(k), resumed->in, resumed->out);
	add_overhead(&sum, is_exception(k) && is_c(k), of_c->in, of_c->out);
	add_overhead(&sum, begins_bare, without_site->in, without_site->out);
	add_more(&sum, k, callee, caller);
	return sum;
}

/* Counts an event. Returns the part of the time since the last event that counts. */
static unsigned gap_before(struct thread *t)
{
	uint64_t n = t->now - t->last_time, most = recorded.header->max_idle;

	t->n_records++;
	t->last_time = t->now;
	return (unsigned)(n < most ? n : most) / 2;
}

/* Starts a call. Returns the number of events since the function's last call. */
static unsigned since_last(struct thread *t, uint32_t callee)
{
	unsigned *last = &t->last_record[callee], n = t->n_records - *last;

	*last = t->n_records;
	return n < MAX_BETWEEN ? n : MAX_BETWEEN;
}

static void work(struct thread *t, uint64_t ns)
{
	bool slowed = t->depth && !is_c(&t->frame[t->depth].kind);

	t->bare_now += ns;
	t->now += slowed ? ns * (unsigned)bytecode : ns;
}

/*
 * A third of the outside overhead comes before the call, the rest after it. The inside overhead is
 * split in the same way. Cache-miss overhead comes after the call.
 */
static void begin(struct thread *t, uint32_t fn, struct kind kind)
{
	uint32_t caller = t->depth ? t->frame[t->depth].fn : 0;
	struct simulated each = overhead_of(&kind, fn, caller);
	unsigned n;

	t->now += (uint64_t)(each.out / 3);
	n = gap_before(t);
	n += since_last(t, fn);
	recording_put(&truth, &t->bare_ring, kind.enter, fn, t->bare_now);
	recording_put(&recorded, &t->ring, kind.enter, fn, t->now);
	t->now += (uint64_t)(each.in / 3);
	t->frame[++t->depth].fn = fn;
	t->frame[t->depth].kind = kind;
	t->frame[t->depth].cost = each;
	t->frame[t->depth].cold = kind.enter == PYPROF_OPEN ? 0 : n * (unsigned)cold;
}

static void end(struct thread *t)
{
	struct kind kind = t->frame[t->depth].kind;
	uint32_t fn = t->frame[t->depth--].fn, caller = t->depth ? t->frame[t->depth].fn : 0;
	struct simulated each = t->frame[t->depth + 1].cost;
	unsigned late = t->frame[t->depth + 1].cold;
	unsigned far = is_far[is_c(&kind) ? caller : fn] ? PYPROF_HIGH_OFFSET : 0;

	t->now += (uint64_t)(each.in - each.in / 3);
	late += gap_before(t) * (unsigned)cold;
	recording_put(&truth, &t->bare_ring, kind.leave, fn, t->bare_now);
	recording_put(&recorded, &t->ring, kind.leave | far, fn, t->now);
	t->now += (uint64_t)(each.out - each.out / 3) + late;
}

static void call(struct thread *t, uint32_t fn, struct kind kind, uint64_t ns)
{
	begin(t, fn, kind);
	work(t, ns);
	end(t);
}

/*
 * Puts a class call of `n` overhead units (PYPROF_CLASS_UNITS is a call of object()). It has no
 * time.
 */
static void call_other(struct thread *t, unsigned n)
{
	bool full = !t->ring.block || t->ring.n == RECORDING_BLOCK_RECORDS;

	t->now += n * (unsigned)more[OVERHEAD_CLASS_CALL].out / PYPROF_CLASS_UNITS;
	recording_put(&recorded, &t->ring,
		      is_far[t->frame[t->depth].fn] ? PYPROF_SYNC | PYPROF_HIGH_OFFSET
						    : PYPROF_SYNC,
		      n, full ? t->now : t->ring.block->base_ticks);
}

/* Returns the kind of name that a function has. */
static uint16_t name_of(uint32_t fn)
{
	return fn % 4 == 3 ? PYPROF_NAME_C : PYPROF_NAME_CODE;
}

/* Returns one fixed kind of call for each function. */
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

/* Makes random calls and returns, with recursion. C functions call back. */
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

static void name_functions(struct recording *r)
{
	char name[32];

	for (uint32_t i = 1; i <= N_FNS; i++) {
		snprintf(name, sizeof(name), i == METHOD ? "<method 'f%u'>" : "f%u", i);
		recording_name(r, i, name_of(i), name_of(i) == PYPROF_NAME_C ? "" : "a.py",
			       name_of(i) == PYPROF_NAME_C ? 0 : (int32_t)i, name);
	}
}

static void simulation_init(void)
{
	recording_init(&truth);
	recording_init(&recorded);
	name_functions(&truth);
	name_functions(&recorded);
	memcpy(recorded.header->overhead_weight, weights, sizeof(weights));
	recorded.header->max_distance = MAX_BETWEEN;
	memcpy(cost, proportional, sizeof(cost));
	memset(thread, 0, sizeof(thread));
	memset(more, 0, sizeof(more));
	memset(code_bytes, 0, sizeof(code_bytes));
	memset(is_far, 0, sizeof(is_far));
	far_sites = false;
	memset(is_generator, 0, sizeof(is_generator));
	more[OVERHEAD_RESUME] = proportional[PYPROF_OVERHEAD_DIRECT];
	bytecode = 1;
	cold = 0;
	seed = 20260101;
	for (int i = 0; i < N_THREADS; i++) {
		thread[i].bare_ring = recording_ring(&truth);
		thread[i].ring = recording_ring(&recorded);
		thread[i].bare_now = thread[i].now = 1000;
	}
}

static void simulation_fini(void)
{
	recording_fini(&truth);
	recording_fini(&recorded);
}

/* Returns the calibration that matches the simulated overhead. */
static struct calibration calibration(void)
{
	struct calibration calibration = { .bytecode = bytecode, .cold = cold * 1e-9 };

	for (int i = 0; i < OVERHEAD_KINDS; i++) {
		const struct simulated *each = i < PYPROF_OVERHEADS ? &cost[i] : &more[i];

		calibration.overhead[i].in_s = each->in * 1e-9;
		calibration.overhead[i].out_s = each->out * 1e-9;
	}
	return calibration;
}

#endif
