/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recordings with a profile that is known by hand, through attach, drain, names and rebuild. Times
 * are in nanoseconds.
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
	ck_assert_int_eq(drain_init(&d, &a), 0);
	ck_assert_int_eq(names_read(&names, &a), 0);
	ck_assert_int_eq(rebuild(&p, NULL, &d, &names, 1e-9, NULL, &request, &summary), 0);
	ck_assert_uint_eq(summary.n_time_broken, 0);
	ck_assert_uint_eq(summary.n_calls_broken, 0);
	n_lost = d.n_lost[PYPROF_LOST_BUDGET];
	n_bad = d.n_bad + names.n_bad;
	names_fini(&names);
	drain_fini(&d);
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

START_TEST(nested_calls_have_self_and_cumulative_times)
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

/* f -> f -> f: the two inner calls are not primitive. The cumulative time counts once. */
START_TEST(direct_recursion_counts_time_once)
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

/* f -> g -> f: the edge g -> f is not recursive, but the function f is. */
START_TEST(mutual_recursion_counts_time_once)
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

START_TEST(resumes_of_generators_are_calls)
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

/* Frames that are still open after the last record end at the last known time. */
START_TEST(open_frames_end_with_the_last_event)
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

/* F calls G at 0 and 10 and hangs there. Another thread runs until 100. */
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

START_TEST(hanging_calls_end_with_the_recording)
{
	hang_beside_another();
	check_hang(100);
	ck_assert_uint_eq(summary.n_running, 2);
	ck_assert_uint_eq(summary.last_ticks - summary.first_ticks, 100);
}
END_TEST

/*
 * The other thread's last event may be in a later block or in a pause. Skipped ticks do not count.
 */
START_TEST(the_end_is_the_last_event_of_any_thread)
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

START_TEST(calls_of_an_ended_thread_end_with_it)
{
	hang_beside_another();
	ring.shared->ended_ticks = 40; /* no space for PYPROF_THREAD_END */
	check_hang(40);
	ck_assert_uint_eq(summary.n_running, 0);
}
END_TEST

START_TEST(the_end_seen_by_a_waiting_reader_is_used)
{
	hang_beside_another();
	r.header->end_ticks = 5000;
	check_hang(5000);
}
END_TEST

START_TEST(calls_end_where_the_recording_was_stopped)
{
	hang_beside_another();
	r.header->paused_ticks = 300;
	r.header->end_ticks = 5000;
	check_hang(300);
}
END_TEST

/* CPU time is per thread, and so is a clock that counts the thread's events. */
START_TEST(with_thread_clocks_calls_end_with_the_thread)
{
	hang_beside_another();
	r.header->clock = _i ? PYPROF_CLOCK_COUNT : PYPROF_CLOCK_THREAD;
	r.header->end_ticks = 5000;
	check_hang(10);
	ck_assert_uint_eq(summary.span_ticks, 15);
}
END_TEST

/* Calls that ran when the buffer was full may have ended long ago. */
START_TEST(after_lost_events_calls_are_not_extended)
{
	hang_beside_another();
	ring.shared->n_lost[PYPROF_LOST_BUDGET] = 1;
	check_hang(10);
}
END_TEST

/* 3.8 to 3.11: a thread that lost its hook records no more events. */
START_TEST(calls_end_where_a_thread_lost_its_hook)
{
	r.header->engine = PYPROF_ENGINE_TRACEFUNC;
	hang_beside_another();
	put(PYPROF_BLIND, PYPROF_BLIND_BEGINS, 10);
	check_hang(10);
	ck_assert_uint_eq(summary.n_blind_ends, 1);
}
END_TEST

/* Frames closed by a blind interval or by the end of their thread do not run at the end. */
START_TEST(only_calls_open_at_the_end_count_as_running)
{
	put(PYPROF_CALL, F, 0);
	put(PYPROF_CALL, G, 10);
	put(PYPROF_BLIND, 0, 20);
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

/* Frames that ran before recording began have time and are callers, but have no calls. */
START_TEST(frames_found_running_have_time_but_no_calls)
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

/* The return of a frame from before the start has no call on the stack, so nothing is popped. */
START_TEST(returns_without_a_call_are_ignored)
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

/* The returns of g and len are missing. Both end with f. */
START_TEST(calls_without_a_return_end_with_their_caller)
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

/* Each thread has its own stack, whether it has its own ring or uses one after another thread. */
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
	check_fn(f(), 2, 2, 53, 53); /* not recursive, although they overlapped */
	check_fn(g(), 1, 1, 7, 7);
	ck_assert_uint_eq(p.fn[g()].n_callers, 0);
	ck_assert_uint_eq(summary.n_threads, 3);
	ck_assert_uint_eq(summary.n_open, 1);
}
END_TEST

/* Checks the calls that thread `i` of the summary made of a function; 0 calls: it is absent. */
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

/*
 * Three threads use one ring, and one of them continues in another. Open calls end with their
 * thread.
 */
START_TEST(threads_in_one_ring_are_separated)
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
	ck_assert_uint_eq(summary.n_threads, 4); /* one for each start in a ring */
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

/* The summary lists no threads by default. */
START_TEST(threads_are_listed_on_request_only)
{
	put(PYPROF_THREAD, 1, 0);
	put(PYPROF_CALL, F, 0);
	read_back();
	ck_assert_uint_eq(summary.n_listed, 0);
}
END_TEST

/* f calls len, which calls g, which calls len, which calls f. */
START_TEST(c_functions_are_callers_too)
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
	check_edge(len(), f(), 1, 1, 5, 20); /* no other caller */
}
END_TEST

/* The second function with the same file, line and name gets the suffix #2. */
START_TEST(functions_of_one_name_are_separated_by_code)
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
 * gen is called and calls itself once. Each call is resumed once, the outer one also while the
 * inner one runs. The edge from f to gen has one call, the edge within gen one recursive call.
 */
START_TEST(true_calls_exclude_resumes)
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

/* 1,000 calls over many blocks. The stack continues from block to block. */
START_TEST(calls_continue_across_blocks)
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

/* Thousands of functions and callers make the tables grow. */
START_TEST(tables_grow_with_functions_and_callers)
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

START_TEST(functions_with_the_same_label_are_added_up)
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
START_TEST(long_pauses_are_kept)
{
	uint64_t pause = (1ull << 40) + 5;

	put(PYPROF_CALL, F, 0);
	recording_put(&r, &ring, PYPROF_SYNC, 0, pause >> PYPROF_SYNC_SHIFT);
	recording_put(&r, &ring, PYPROF_RETURN, F, pause & ((1 << PYPROF_SYNC_SHIFT) - 1));
	read_back();
	check_fn(f(), 1, 1, (double)pause, (double)pause);
}
END_TEST

START_TEST(a_clock_that_goes_back_counts_as_stopped)
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

START_TEST(lost_events_are_reported)
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

/* Threads without space for their names used up numbers, so later names have high ones. */
START_TEST(names_after_a_high_number_are_read)
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

START_TEST(cyclic_chains_end)
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

START_TEST(wild_offsets_are_ignored)
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
	r.header->optional = 2; /* unknown to this reader */
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
	tcase_add_test(t, nested_calls_have_self_and_cumulative_times);
	tcase_add_test(t, direct_recursion_counts_time_once);
	tcase_add_test(t, mutual_recursion_counts_time_once);
	tcase_add_test(t, resumes_of_generators_are_calls);
	tcase_add_test(t, exceptions_are_counted);
	tcase_add_test(t, open_frames_end_with_the_last_event);
	tcase_add_test(t, hanging_calls_end_with_the_recording);
	tcase_add_test(t, the_end_is_the_last_event_of_any_thread);
	tcase_add_test(t, calls_of_an_ended_thread_end_with_it);
	tcase_add_test(t, the_end_seen_by_a_waiting_reader_is_used);
	tcase_add_test(t, calls_end_where_the_recording_was_stopped);
	tcase_add_loop_test(t, with_thread_clocks_calls_end_with_the_thread, 0, 2);
	tcase_add_test(t, after_lost_events_calls_are_not_extended);
	tcase_add_test(t, calls_end_where_a_thread_lost_its_hook);
	tcase_add_test(t, only_calls_open_at_the_end_count_as_running);
	tcase_add_test(t, frames_found_running_have_time_but_no_calls);
	tcase_add_test(t, returns_without_a_call_are_ignored);
	tcase_add_test(t, calls_without_a_return_end_with_their_caller);
	tcase_add_test(t, threads_have_their_own_stacks);
	tcase_add_test(t, threads_in_one_ring_are_separated);
	tcase_add_test(t, threads_are_listed_on_request_only);
	tcase_add_test(t, c_functions_are_callers_too);
	tcase_add_test(t, functions_of_one_name_are_separated_by_code);
	tcase_add_test(t, true_calls_exclude_resumes);
	tcase_add_test(t, calls_continue_across_blocks);
	tcase_add_test(t, tables_grow_with_functions_and_callers);
	tcase_add_test(t, functions_with_the_same_label_are_added_up);
	tcase_add_test(t, long_pauses_are_kept);
	tcase_add_test(t, a_clock_that_goes_back_counts_as_stopped);
	tcase_add_test(t, lost_events_are_reported);
	tcase_add_test(t, cyclic_chains_end);
	tcase_add_test(t, names_after_a_high_number_are_read);
	tcase_add_test(t, wild_offsets_are_ignored);
	tcase_add_test(t, other_files_are_refused);
	tcase_add_test(t, unknown_optional_features_are_ignored);
	return run_case("rebuild", t);
}
