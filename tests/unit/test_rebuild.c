/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recordings whose true profile is known by hand, through attach, drain, names and rebuild. Times
 * are nanoseconds.
 */
#include <check.h>
#include <math.h>

#include "load/rebuild.h"
#include "recording.h"
#include "recording/attach.h"
#include "recording/drain.h"
#include "recording/names.h"
#include "tests/run.h"

enum { F = 1, G = 2, LEN = 3, GEN = 4 };

static struct recording r;
static struct recording_ring ring;
static struct profile p;
static struct rebuild_summary summary;
static struct request request;
static uint64_t n_lost, n_bad;

static void setup(void)
{
	recording_init(&r);
	recording_name(&r, F, PYPROF_NAME_CODE, "a.py", 1, "f");
	recording_name(&r, G, PYPROF_NAME_CODE, "a.py", 9, "g");
	recording_name(&r, LEN, PYPROF_NAME_C, "", 0, "<built-in method builtins.len>");
	recording_name(&r, GEN, PYPROF_NAME_CODE, "a.py", 20, "gen");
	ring = recording_ring(&r);
	profile_init(&p);
	request = (struct request){ .by_code = false };
}

static void teardown(void)
{
	profile_fini(&p);
	rebuild_summary_fini(&summary);
	recording_fini(&r);
}

static void put(unsigned kind, uint32_t fn, uint64_t ticks)
{
	recording_put(&r, &ring, kind, fn, ticks);
}

static void read_back(void)
{
	struct attach a;
	struct names names;
	struct drain d;

	ck_assert_int_eq(attach_open(&a, recording_save(&r)), 0);
	ck_assert_int_eq(drain_open(&d, &a), 0);
	ck_assert_int_eq(names_read(&names, &a), 0);
	ck_assert_int_eq(rebuild(&p, &d, &names, 1e-9, NULL, &request, &summary), 0);
	ck_assert_uint_eq(summary.n_time_broken, 0);
	ck_assert_uint_eq(summary.n_calls_broken, 0);
	n_lost = d.n_lost[PYPROF_LOST_BUDGET];
	n_bad = d.n_bad + names.n_bad;
	names_fini(&names);
	drain_close(&d);
	attach_close(&a);
}

static struct text text(const char *s)
{
	return (struct text){ s, strlen(s) };
}

static size_t fn(const char *file, int line, const char *name)
{
	size_t i = profile_find(&p, text(file), line, text(name));

	ck_assert_msg(i != SIZE_MAX, "no %s:%d(%s)", file, line, name);
	return i;
}

static size_t f(void)
{
	return fn("a.py", 1, "f");
}

static size_t g(void)
{
	return fn("a.py", 9, "g");
}

static size_t len(void)
{
	return fn("~", 0, "<built-in method builtins.len>");
}

static void check_counts(const struct profile_counts *c, uint64_t n_calls, uint64_t n_primitive,
			 double self_ns, double total_ns)
{
	ck_assert_uint_eq(c->n_calls, n_calls);
	ck_assert_uint_eq(c->n_primitive, n_primitive);
	ck_assert_double_eq_tol(c->self_s * 1e9, self_ns, 1e-6);
	ck_assert_double_eq_tol(c->total_s * 1e9, total_ns, 1e-6);
}

static void check_fn(size_t i, uint64_t n_calls, uint64_t n_primitive, double self_ns,
		     double total_ns)
{
	check_counts(&p.fn[i].counts, n_calls, n_primitive, self_ns, total_ns);
}

static void check_edge(size_t caller, size_t callee, uint64_t n_calls, uint64_t n_primitive,
		       double self_ns, double total_ns)
{
	for (size_t i = 0; i < p.fn[callee].n_callers; i++) {
		if (p.fn[callee].caller[i].caller == caller) {
			check_counts(&p.fn[callee].caller[i].counts, n_calls, n_primitive, self_ns,
				     total_ns);
			return;
		}
	}
	ck_abort_msg("no such edge");
}

START_TEST(nested_calls)
{
	put(PYPROF_CALL, F, 1000);
	put(PYPROF_CALL, G, 1010);
	put(PYPROF_C_CALL, LEN, 1030);
	put(PYPROF_C_RETURN, LEN, 1070);
	put(PYPROF_RETURN, G, 1150);
	put(PYPROF_RETURN, F, 1310);
	read_back();
	check_fn(f(), 1, 1, 170, 310);
	check_fn(g(), 1, 1, 100, 140);
	check_fn(len(), 1, 1, 40, 40);
	check_edge(f(), g(), 1, 1, 100, 140);
	check_edge(g(), len(), 1, 1, 40, 40);
	ck_assert_uint_eq(p.fn[f()].n_callers, 0);
	ck_assert_uint_eq(summary.n_events, 6);
	ck_assert_uint_eq(summary.n_open + summary.n_closed + summary.n_unmatched, 0);
}
END_TEST

/* f -> f -> f: the two inner calls are not primitive, and cumulative time counts once. */
START_TEST(direct_recursion)
{
	put(PYPROF_CALL, F, 0);
	put(PYPROF_CALL, F, 10);
	put(PYPROF_CALL, F, 30);
	put(PYPROF_RETURN, F, 70);
	put(PYPROF_RETURN, F, 150);
	put(PYPROF_RETURN, F, 310);
	read_back();
	check_fn(f(), 3, 1, 310, 310);
	check_edge(f(), f(), 2, 1, 140, 140);
}
END_TEST

/* f -> g -> f: the edge g -> f is not recursive itself, the function f is. */
START_TEST(mutual_recursion)
{
	put(PYPROF_CALL, F, 0);
	put(PYPROF_CALL, G, 1);
	put(PYPROF_CALL, F, 3);
	put(PYPROF_RETURN, F, 7);
	put(PYPROF_RETURN, G, 15);
	put(PYPROF_RETURN, F, 31);
	read_back();
	check_fn(f(), 2, 1, 21, 31);
	check_fn(g(), 1, 1, 10, 14);
	check_edge(g(), f(), 1, 1, 4, 4);
	check_edge(f(), g(), 1, 1, 10, 14);
}
END_TEST

START_TEST(generators_count_resumes)
{
	size_t gen;

	put(PYPROF_CALL, F, 0);
	put(PYPROF_CALL, GEN, 10);
	put(PYPROF_YIELD, GEN, 15);
	put(PYPROF_RESUME, GEN, 20);
	put(PYPROF_YIELD, GEN, 22);
	put(PYPROF_THROW, GEN, 30);
	put(PYPROF_UNWIND, GEN, 34);
	put(PYPROF_RETURN, F, 40);
	read_back();
	gen = fn("a.py", 20, "gen");
	check_fn(gen, 3, 3, 11, 11);
	ck_assert_uint_eq(p.fn[gen].counts.n_exceptions, 1);
	check_fn(f(), 1, 1, 29, 40);
}
END_TEST

START_TEST(exceptions_are_counted)
{
	put(PYPROF_CALL, F, 0);
	put(PYPROF_C_CALL, LEN, 1);
	put(PYPROF_C_EXCEPTION, LEN, 2);
	put(PYPROF_UNWIND, F, 3);
	read_back();
	ck_assert_uint_eq(p.fn[f()].counts.n_exceptions, 1);
	ck_assert_uint_eq(p.fn[len()].counts.n_exceptions, 1);
}
END_TEST

/* What runs when the records end is closed at the last known time, and counts. */
START_TEST(open_frames_are_closed)
{
	put(PYPROF_CALL, F, 0);
	put(PYPROF_CALL, G, 10);
	put(PYPROF_C_CALL, LEN, 30);
	read_back();
	check_fn(f(), 1, 1, 10, 30);
	check_fn(g(), 1, 1, 20, 20);
	check_fn(len(), 1, 1, 0, 0);
	ck_assert_uint_eq(summary.n_open, 3);
}
END_TEST

/* F calls G at 0 and 10 and hangs there; another thread goes on up to 100. */
static struct recording_ring hang_beside_another(void)
{
	struct recording_ring other = recording_ring(&r);

	put(PYPROF_CALL, F, 0);
	put(PYPROF_CALL, G, 10);
	recording_put(&r, &other, PYPROF_C_CALL, LEN, 95);
	recording_put(&r, &other, PYPROF_C_RETURN, LEN, 100);
	return other;
}

static void check_hang(double until)
{
	read_back();
	check_fn(f(), 1, 1, 10, until);
	check_fn(g(), 1, 1, until - 10, until - 10);
	check_edge(f(), g(), 1, 1, until - 10, until - 10);
}

START_TEST(what_hangs_is_closed_at_the_end_of_all)
{
	hang_beside_another();
	check_hang(100);
	ck_assert_uint_eq(summary.n_running, 2);
	ck_assert_uint_eq(summary.last_ticks - summary.first_ticks, 100);
}
END_TEST

/*
 * What the other thread says may lie in blocks further on, or in a pause, and leaves out slow
 * paths.
 */
START_TEST(the_end_is_the_last_event_in_real_time)
{
	struct recording_ring other = hang_beside_another();

	for (uint64_t i = 0; i < RECORDING_BLOCK_RECORDS; i++)
		recording_put(&r, &other, PYPROF_C_CALL + i % 2, LEN, 101 + i);
	recording_put(&r, &other, PYPROF_SYNC, 0, other.block->base_ticks + 1);
	recording_put(&r, &other, PYPROF_C_CALL, LEN, other.block->base_ticks + 7);
	other.block->skipped_ticks = 1000;
	other.shared->skipped_ticks = 1600;
	ring.shared->skipped_ticks = 200;
	check_hang((double)(other.block->base_ticks + (1u << PYPROF_SYNC_SHIFT) + 7 + 1600 - 200));
	ck_assert_uint_eq(summary.skipped_ticks, 1800);
}
END_TEST

START_TEST(a_thread_that_ended_ends_there)
{
	hang_beside_another();
	ring.shared->ended_ticks = 40; /* there was no room for PYPROF_THREAD_END */
	check_hang(40);
	ck_assert_uint_eq(summary.n_running, 0);
}
END_TEST

START_TEST(a_reader_has_seen_the_end)
{
	hang_beside_another();
	r.header->end_ticks = 5000;
	check_hang(5000);
}
END_TEST

START_TEST(a_recording_that_was_stopped_ends_there)
{
	hang_beside_another();
	r.header->paused_ticks = 300;
	r.header->end_ticks = 5000;
	check_hang(300);
}
END_TEST

/* Each thread's CPU time is its own, and so is a count of its events. */
START_TEST(clocks_of_their_own_end_with_the_thread)
{
	hang_beside_another();
	r.header->clock = _i ? PYPROF_CLOCK_COUNT : PYPROF_CLOCK_THREAD;
	r.header->end_ticks = 5000;
	check_hang(10);
	ck_assert_uint_eq(summary.span_ticks, 15);
}
END_TEST

/* What ran when the buffer was full may have ended long ago. */
START_TEST(where_events_are_lost_nothing_is_known_of_the_end)
{
	hang_beside_another();
	ring.shared->n_lost[PYPROF_LOST_BUDGET] = 1;
	check_hang(10);
}
END_TEST

/* 3.8 to 3.11: nothing is known of what followed. */
START_TEST(a_thread_that_was_blinded_ends_there)
{
	r.header->engine = PYPROF_ENGINE_TRACEFUNC;
	hang_beside_another();
	put(PYPROF_GAP, PYPROF_GAP_BEGINS, 10);
	check_hang(10);
	ck_assert_uint_eq(summary.n_blind_ends, 1);
}
END_TEST

/* Frames that were closed at a gap, or with their thread, are not running at the end. */
START_TEST(only_what_runs_at_the_end_is_running)
{
	put(PYPROF_CALL, F, 0);
	put(PYPROF_CALL, G, 10);
	put(PYPROF_GAP, 0, 20);
	put(PYPROF_THREAD, 0, 20);
	put(PYPROF_OPEN, F, 20);
	put(PYPROF_RETURN, F, 30);
	put(PYPROF_CALL, F, 30);
	put(PYPROF_THREAD_END, 1, 40);
	put(PYPROF_THREAD, 2, 50);
	put(PYPROF_CALL, G, 50);
	read_back();
	ck_assert_uint_eq(summary.n_running, 1);
	ck_assert_uint_eq(summary.n_open, 4);
	ck_assert_uint_eq(summary.n_found, 1);
}
END_TEST

/* Frames that ran before recording began take time, and their callees have a caller; no calls. */
START_TEST(frames_found_running)
{
	put(PYPROF_THREAD, 1, 5);
	put(PYPROF_OPEN, F, 5);
	put(PYPROF_OPEN, G, 5);
	put(PYPROF_C_CALL, LEN, 10);
	put(PYPROF_C_RETURN, LEN, 14);
	put(PYPROF_RETURN, G, 20);
	put(PYPROF_CALL, G, 21);
	put(PYPROF_RETURN, G, 23);
	read_back();
	check_fn(f(), 0, 0, 1, 18);
	check_fn(g(), 1, 1, 13, 17);
	check_edge(g(), len(), 1, 1, 4, 4);
	check_edge(f(), g(), 1, 1, 13, 17);
	ck_assert_uint_eq(summary.n_threads, 1);
}
END_TEST

/* A return from below, as after a start in the midst: it is nobody's, and nothing is popped. */
START_TEST(unmatched_returns_are_ignored)
{
	put(PYPROF_C_RETURN, LEN, 0);
	put(PYPROF_RETURN, G, 5);
	put(PYPROF_CALL, F, 10);
	put(PYPROF_C_RETURN, LEN, 12);
	put(PYPROF_RETURN, G, 13);
	put(PYPROF_RETURN, F, 20);
	read_back();
	check_fn(f(), 1, 1, 10, 10);
	ck_assert_uint_eq(summary.n_unmatched, 4);
	ck_assert_uint_eq(profile_find(&p, text("a.py"), 9, text("g")), SIZE_MAX);
}
END_TEST

/* The returns of g and len are missing: they end with f. */
START_TEST(missing_returns_are_closed_with_the_caller)
{
	put(PYPROF_CALL, F, 0);
	put(PYPROF_CALL, G, 1);
	put(PYPROF_C_CALL, LEN, 3);
	put(PYPROF_RETURN, F, 7);
	read_back();
	check_fn(f(), 1, 1, 1, 7);
	check_fn(g(), 1, 1, 2, 6);
	check_fn(len(), 1, 1, 4, 4);
	ck_assert_uint_eq(summary.n_closed, 2);
	ck_assert_uint_eq(summary.n_open, 0);
}
END_TEST

/* Each thread has a stack of its own, in a ring of its own or one after the other in one. */
START_TEST(threads_have_their_own_stacks)
{
	struct recording_ring other = recording_ring(&r);

	put(PYPROF_THREAD, 1, 0);
	put(PYPROF_CALL, F, 0);
	recording_put(&r, &other, PYPROF_THREAD, 2, 1);
	recording_put(&r, &other, PYPROF_CALL, F, 1);
	recording_put(&r, &other, PYPROF_RETURN, F, 4);
	recording_put(&r, &other, PYPROF_THREAD_END, 2, 6);
	recording_put(&r, &other, PYPROF_THREAD, 3, 100);
	recording_put(&r, &other, PYPROF_CALL, G, 100);
	recording_put(&r, &other, PYPROF_THREAD_END, 3, 107);
	put(PYPROF_RETURN, F, 50);
	read_back();
	check_fn(f(), 2, 2, 53, 53); /* not recursive, though they overlapped */
	check_fn(g(), 1, 1, 7, 7);
	ck_assert_uint_eq(p.fn[g()].n_callers, 0);
	ck_assert_uint_eq(summary.n_threads, 3);
	ck_assert_uint_eq(summary.n_open, 1);
}
END_TEST

/* What thread `i` of the summary did with a function; 0 calls: nothing. */
static void check_share(size_t i, uint32_t number, const char *name, int line, uint64_t n_calls,
			double self_ns)
{
	const struct rebuild_thread *t = &summary.thread[i];
	size_t at = profile_find(&t->profile, text("a.py"), line, text(name));

	ck_assert_uint_eq(t->number, number);
	ck_assert_int_eq(at != SIZE_MAX, n_calls > 0);
	if (n_calls)
		check_counts(&t->profile.fn[at].counts, n_calls, n_calls, self_ns, self_ns);
}

/* Three in one ring, of which one runs on in another; what was running ends with its thread. */
START_TEST(threads_are_told_apart)
{
	struct recording_ring other = recording_ring(&r);

	request.threads = true;
	recording_name(&r, 2, PYPROF_NAME_THREAD, "", 77, "two");
	put(PYPROF_THREAD, 1, 0);
	put(PYPROF_CALL, F, 0);
	put(PYPROF_RETURN, F, 50);
	put(PYPROF_THREAD, 2, 60);
	put(PYPROF_CALL, F, 61);
	put(PYPROF_RETURN, F, 64);
	put(PYPROF_CALL, G, 70);
	put(PYPROF_THREAD_END, 2, 77);
	put(PYPROF_THREAD, 3, 90);
	for (int i = 0; i < RECORDING_BLOCK_RECORDS; i++) {
		put(PYPROF_CALL, G, 100 + (uint64_t)i * 10);
		put(PYPROF_RETURN, G, 101 + (uint64_t)i * 10);
	}
	recording_put(&r, &other, PYPROF_THREAD, 2, 500);
	recording_put(&r, &other, PYPROF_CALL, F, 500);
	recording_put(&r, &other, PYPROF_RETURN, F, 502);
	read_back();
	ck_assert_uint_eq(summary.n_listed, 3);
	ck_assert_uint_eq(summary.n_threads, 4); /* each time that one began in a ring */
	ck_assert_uint_eq(summary.n_rings, 2);
	ck_assert_uint_eq(summary.n_open, 1);
	check_share(0, 1, "f", 1, 1, 50);
	check_share(0, 1, "g", 9, 0, 0);
	check_share(1, 2, "f", 1, 2, 5);
	check_share(1, 2, "g", 9, 1, 7);
	check_share(2, 3, "f", 1, 0, 0);
	check_share(2, 3, "g", 9, RECORDING_BLOCK_RECORDS, RECORDING_BLOCK_RECORDS);
	ck_assert_int_eq(summary.thread[1].native_id, 77);
	ck_assert_str_eq(summary.thread[1].name, "two");
	ck_assert_str_eq(summary.thread[2].name, "");
	check_fn(f(), 3, 3, 55, 55);
	check_fn(g(), RECORDING_BLOCK_RECORDS + 1, RECORDING_BLOCK_RECORDS + 1,
		 RECORDING_BLOCK_RECORDS + 7, RECORDING_BLOCK_RECORDS + 7);
}
END_TEST

/* As it was: a thread that is not wished for leaves no trace in the summary. */
START_TEST(threads_are_listed_where_that_is_wished)
{
	put(PYPROF_THREAD, 1, 0);
	put(PYPROF_CALL, F, 0);
	read_back();
	ck_assert_uint_eq(summary.n_listed, 0);
}
END_TEST

/* f calls len, which calls g, which calls len, which calls f: C functions pass the calls on. */
START_TEST(calls_through_c_functions)
{
	request.no_builtins = true;
	put(PYPROF_C_CALL, LEN, 0);
	put(PYPROF_CALL, F, 1);
	put(PYPROF_C_CALL, LEN, 3);
	put(PYPROF_C_CALL, LEN, 6);
	put(PYPROF_CALL, G, 10);
	put(PYPROF_RETURN, G, 15);
	put(PYPROF_C_RETURN, LEN, 16);
	put(PYPROF_C_RETURN, LEN, 18);
	put(PYPROF_RETURN, F, 21);
	put(PYPROF_C_RETURN, LEN, 22);
	read_back();
	check_fn(f(), 1, 1, 5, 20);
	check_fn(g(), 1, 1, 5, 5);
	check_fn(len(), 3, 1, 12, 22);
	check_edge(f(), g(), 1, 1, 5, 5);
	check_edge(f(), len(), 2, 1, 10, 15);
	ck_assert_uint_eq(p.fn[g()].n_callers, 1);
	check_edge(len(), f(), 1, 1, 5, 20); /* nobody else */
}
END_TEST

/* The second function with the same file, line and name, by number, is called #2. */
START_TEST(functions_stay_apart_by_code)
{
	request.by_code = true;
	recording_name(&r, 5, PYPROF_NAME_CODE, "a.py", 1, "f");
	recording_name(&r, 6, PYPROF_NAME_CODE, "a.py", 2, "f");
	put(PYPROF_CALL, 5, 0);
	put(PYPROF_RETURN, 5, 3);
	put(PYPROF_CALL, 6, 10);
	put(PYPROF_RETURN, 6, 14);
	put(PYPROF_CALL, F, 20);
	put(PYPROF_RETURN, F, 25);
	read_back();
	check_fn(f(), 1, 1, 5, 5);
	check_fn(fn("a.py", 1, "f#2"), 1, 1, 3, 3);
	check_fn(fn("a.py", 2, "f"), 1, 1, 4, 4);
}
END_TEST

/*
 * gen is called, and calls itself once; each is resumed once, while the outer one runs or not. Of
 * f's edge to gen there is one call; within gen, one that is recursive.
 */
START_TEST(true_calls_leave_resumes_out)
{
	size_t gen;

	request.true_calls = true;
	put(PYPROF_CALL, F, 0);
	put(PYPROF_CALL, GEN, 10);
	put(PYPROF_CALL, GEN, 12);
	put(PYPROF_YIELD, GEN, 15);
	put(PYPROF_RESUME, GEN, 16);
	put(PYPROF_RETURN, GEN, 18);
	put(PYPROF_YIELD, GEN, 20);
	put(PYPROF_RESUME, GEN, 22);
	put(PYPROF_RETURN, GEN, 25);
	put(PYPROF_RETURN, F, 40);
	read_back();
	gen = fn("a.py", 20, "gen");
	check_fn(gen, 2, 1, 13, 13);
	check_edge(f(), gen, 1, 1, 8, 13);
	check_edge(gen, gen, 1, 1, 5, 5);
	check_fn(f(), 1, 1, 27, 40);
}
END_TEST

/* 1,000 calls over many blocks; the stack goes on from block to block. */
START_TEST(blocks_are_one_stream)
{
	put(PYPROF_CALL, F, 0);
	for (int i = 0; i < 1000; i++) {
		put(PYPROF_CALL, G, 1 + (uint64_t)i * 10);
		put(PYPROF_RETURN, G, 5 + (uint64_t)i * 10);
	}
	put(PYPROF_RETURN, F, 20000);
	read_back();
	check_fn(g(), 1000, 1000, 4000, 4000);
	check_fn(f(), 1, 1, 16000, 20000);
	check_edge(f(), g(), 1000, 1000, 4000, 4000);
}
END_TEST

/* Thousands of functions and callers: the tables grow. */
START_TEST(tables_grow)
{
	for (uint32_t i = 0; i < 3000; i++) {
		put(PYPROF_CALL, 100 + i, i * 4);
		put(PYPROF_CALL, F, i * 4 + 1);
		put(PYPROF_RETURN, F, i * 4 + 2);
		put(PYPROF_RETURN, 100 + i, i * 4 + 3);
	}
	read_back();
	check_fn(f(), 3000, 3000, 3000, 3000);
	check_fn(fn("~", 0, "<unknown function>"), 3000, 3000, 6000, 9000);
	check_edge(fn("~", 0, "<unknown function>"), f(), 3000, 3000, 3000, 3000);
}
END_TEST

START_TEST(labels_are_added_up)
{
	recording_name(&r, 5, PYPROF_NAME_CODE, "a.py", 1, "f");
	put(PYPROF_CALL, F, 0);
	put(PYPROF_RETURN, F, 4);
	put(PYPROF_CALL, 5, 10);
	put(PYPROF_RETURN, 5, 17);
	read_back();
	check_fn(f(), 2, 2, 11, 11);
}
END_TEST

/* A pause longer than a record's tick field holds. */
START_TEST(long_pauses)
{
	uint64_t pause = (1ull << 40) + 5;

	put(PYPROF_CALL, F, 0);
	recording_put(&r, &ring, PYPROF_SYNC, 0, pause >> PYPROF_SYNC_SHIFT);
	recording_put(&r, &ring, PYPROF_RETURN, F, pause & ((1 << PYPROF_SYNC_SHIFT) - 1));
	read_back();
	check_fn(f(), 1, 1, (double)pause, (double)pause);
}
END_TEST

START_TEST(a_clock_that_goes_back_stands_still)
{
	put(PYPROF_CALL, F, 100);
	put(PYPROF_CALL, G, 150);
	ring.block->record[ring.n++] = pyprof_record(PYPROF_RETURN, G, 20);
	put(PYPROF_RETURN, F, 200);
	read_back();
	check_fn(g(), 1, 1, 0, 0);
	check_fn(f(), 1, 1, 100, 100);
}
END_TEST

START_TEST(losses_are_told)
{
	struct recording_ring other = recording_ring(&r);

	put(PYPROF_CALL, F, 0);
	ring.shared->n_lost[PYPROF_LOST_BUDGET] = 3;
	other.shared->n_lost[PYPROF_LOST_BUDGET] = 4;
	r.header->n_lost[PYPROF_LOST_BUDGET] = 10;
	read_back();
	ck_assert_uint_eq(n_lost, 17);
}
END_TEST

/*
 * Threads that came and went without room for their names leave high numbers to those that come
 * later.
 */
START_TEST(names_behind_a_high_number_are_read)
{
	recording_name(&r, 1u << 23, PYPROF_NAME_THREAD, "", 77, "late");
	recording_name(&r, 1u << 23, PYPROF_NAME_CODE, "b.py", 1, "far");
	recording_name(&r, UINT32_MAX, PYPROF_NAME_CODE, "b.py", 2, "impossible");
	recording_name(&r, 5, PYPROF_NAME_CODE, "b.py", 3, "behind");
	recording_name(&r, F, PYPROF_NAME_CODE, "b.py", 4, "renamed");
	for (uint32_t i = 0; i < 2; i++) {
		put(PYPROF_CALL, i ? 5 : 1u << 23, 10 * i);
		put(PYPROF_RETURN, i ? 5 : 1u << 23, 10 * i + 4);
	}
	put(PYPROF_CALL, F, 30);
	put(PYPROF_RETURN, F, 31);
	read_back();
	check_fn(fn("b.py", 1, "far"), 1, 1, 4, 4);
	check_fn(fn("b.py", 3, "behind"), 1, 1, 4, 4);
	check_fn(fn("b.py", 4, "renamed"), 1, 1, 1, 1);
	ck_assert_uint_eq(n_bad, 1);
}
END_TEST

START_TEST(chains_that_go_round_end)
{
	put(PYPROF_CALL, F, 0);
	put(PYPROF_RETURN, F, 1);
	ring.block->next = ring.shared->first_block;
	r.names->next = r.header->names;
	r.rings->next = r.header->rings;
	read_back();
	ck_assert_uint_gt(n_bad, 0);
}
END_TEST

START_TEST(wild_offsets_are_no_place)
{
	static const uint64_t wild[] = { 1, 4, RECORDING_BYTES - 8, RECORDING_BYTES,
					 UINT64_MAX - 7 };

	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		ring.shared->first_block = wild[i];
		r.names->next = wild[i];
		r.rings->next = wild[i];
		read_back();
		ck_assert_uint_ge(n_bad, 3);
		unlink(r.path);
	}
}
END_TEST

/* --- attach ----------------------------------------------------------------------------------- */

static void check_refused(size_t bytes, const char *words)
{
	struct attach a;

	ck_assert_int_lt(attach_open(&a, recording_save_part(&r, bytes)), 0);
	ck_assert_msg(strstr(a.error.text, words) != NULL, "'%s' lacks '%s'", a.error.text, words);
	unlink(r.path);
}

START_TEST(other_files_are_refused)
{
	check_refused(0, "empty file");
	check_refused(7, "found 7 bytes, expected a recording");
	check_refused(100, "truncated");
	check_refused(RECORDING_BYTES - 1, "truncated");
	r.header->major++;
	check_refused(RECORDING_BYTES, "expected 4.x");
	r.header->major--;
	r.header->required = 2;
	check_refused(RECORDING_BYTES, "required features 0x2");
	r.header->required = 0;
	r.header->optional = 2; /* unknown, and none of our business */
	r.header->block_bytes = 12;
	check_refused(RECORDING_BYTES, "impossible");
	r.header->block_bytes = RECORDING_BLOCK_BYTES;
	r.header->clock = 77;
	check_refused(RECORDING_BYTES, "impossible");
	r.header->magic = __builtin_bswap64(PYPROF_MAGIC);
	check_refused(RECORDING_BYTES, "byte order");
	r.header->magic = 0x1234;
	check_refused(RECORDING_BYTES, "another kind of file");
	r.header->magic = 0;
	check_refused(RECORDING_BYTES, "never begun");
}
END_TEST

START_TEST(unknown_optional_features_are_ignored)
{
	r.header->optional = 1ull << 63;
	r.header->minor = 99;
	put(PYPROF_CALL, F, 0);
	read_back();
	check_fn(f(), 1, 1, 0, 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("rebuild");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, nested_calls);
	tcase_add_test(t, direct_recursion);
	tcase_add_test(t, mutual_recursion);
	tcase_add_test(t, generators_count_resumes);
	tcase_add_test(t, exceptions_are_counted);
	tcase_add_test(t, open_frames_are_closed);
	tcase_add_test(t, what_hangs_is_closed_at_the_end_of_all);
	tcase_add_test(t, the_end_is_the_last_event_in_real_time);
	tcase_add_test(t, a_thread_that_ended_ends_there);
	tcase_add_test(t, a_reader_has_seen_the_end);
	tcase_add_test(t, a_recording_that_was_stopped_ends_there);
	tcase_add_loop_test(t, clocks_of_their_own_end_with_the_thread, 0, 2);
	tcase_add_test(t, where_events_are_lost_nothing_is_known_of_the_end);
	tcase_add_test(t, a_thread_that_was_blinded_ends_there);
	tcase_add_test(t, only_what_runs_at_the_end_is_running);
	tcase_add_test(t, frames_found_running);
	tcase_add_test(t, unmatched_returns_are_ignored);
	tcase_add_test(t, missing_returns_are_closed_with_the_caller);
	tcase_add_test(t, threads_have_their_own_stacks);
	tcase_add_test(t, threads_are_told_apart);
	tcase_add_test(t, threads_are_listed_where_that_is_wished);
	tcase_add_test(t, calls_through_c_functions);
	tcase_add_test(t, functions_stay_apart_by_code);
	tcase_add_test(t, true_calls_leave_resumes_out);
	tcase_add_test(t, blocks_are_one_stream);
	tcase_add_test(t, tables_grow);
	tcase_add_test(t, labels_are_added_up);
	tcase_add_test(t, long_pauses);
	tcase_add_test(t, a_clock_that_goes_back_stands_still);
	tcase_add_test(t, losses_are_told);
	tcase_add_test(t, chains_that_go_round_end);
	tcase_add_test(t, names_behind_a_high_number_are_read);
	tcase_add_test(t, wild_offsets_are_no_place);
	tcase_add_test(t, other_files_are_refused);
	tcase_add_test(t, unknown_optional_features_are_ignored);
	return run_case("rebuild", t);
}
