/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The walk of single events, on records whose calls are known by hand. Times are in nanoseconds.
 */
#include <check.h>
#include <errno.h>
#include <stdarg.h>

#include "recording.h"
#include "recording/attach.h"
#include "recording/events.h"
#include "recording/ticks.h"
#include "tests/run.h"

enum { F = 1, G = 2, LEN = 3, GEN = 4 };

static struct recording r;
static struct recording_ring ring;
static char said[4096]; /* all events, a word each */

static void setup(void)
{
	recording_init(&r);
	ring = recording_ring(&r);
	*said = '\0';
}

static void teardown(void)
{
	recording_fini(&r);
}

static void put(unsigned kind, uint32_t fn, uint64_t ticks)
{
	recording_put(&r, &ring, kind, fn, ticks);
}

static void say(const char *format, ...)
{
	size_t n = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + n, sizeof(said) - n, format, args);
	va_end(args);
}

/* "+function@time" for a begin, "-how@time" for an end. */
static int note(void *arg, const struct event *e)
{
	static const char *const end[] = { "returned", "yielded", "raised", "cut", "open" };
	unsigned long long at = e->ticks;

	(void)arg;
	if (e->kind == EVENT_RING)
		say("ring%u ", e->number);
	else if (e->kind == EVENT_THREAD)
		say("thread%u@%llu ", e->number, at);
	else if (e->kind == EVENT_ENTER)
		say("+%u%s%s%s%s@%llu ", e->number, e->flags & PYPROF_FRAME_C ? "c" : "",
		    e->flags & PYPROF_FRAME_OPEN ? "found" : "",
		    e->flags & PYPROF_FRAME_RESUMED ? "resumed" : "", e->is_early ? "early" : "",
		    at);
	else if (e->kind == EVENT_LEAVE)
		say("-%s@%llu ", end[e->end], at);
	else
		say("blind%llu@%llu ", (unsigned long long)e->ticks_before, at);
	return 0;
}

static void check_events(const char *expected)
{
	struct attach a;
	struct drain d;

	ck_assert_int_eq(attach_open(&a, recording_save(&r)), 0);
	ck_assert_int_eq(drain_init(&d, &a), 0);
	ck_assert_int_eq(events_walk(&d, ticks_end(&d), note, NULL), 0);
	ck_assert_str_eq(said, expected);
	drain_fini(&d);
	attach_close(&a);
}

START_TEST(calls_begin_and_end)
{
	put(PYPROF_THREAD, 7, 1000);
	put(PYPROF_CALL, F, 1000);
	put(PYPROF_C_CALL, LEN, 1030);
	put(PYPROF_C_RETURN, LEN, 1070);
	put(PYPROF_DIRECT_CALL, G, 1080);
	put(PYPROF_UNWIND, G, 1090);
	put(PYPROF_RETURN, F, 1310);
	check_events("ring0 thread7@1000 +1@1000 +3c@1030 -returned@1070 +2@1080 -raised@1090 "
		     "-returned@1310 ");
}
END_TEST

START_TEST(generators_are_suspended_and_resumed)
{
	put(PYPROF_CALL, GEN, 10);
	put(PYPROF_YIELD, GEN, 20);
	put(PYPROF_RESUME, GEN, 30);
	put(PYPROF_YIELD, GEN, 40);
	put(PYPROF_THROW, GEN, 50);
	put(PYPROF_UNWIND, GEN, 60);
	check_events("ring0 thread0@10 +4@10 -yielded@20 +4resumed@30 -yielded@40 +4resumed@50 "
		     "-raised@60 ");
}
END_TEST

/* The returns of G and of its callee are missing: they end with F. */
START_TEST(a_return_ends_the_calls_within)
{
	put(PYPROF_CALL, F, 10);
	put(PYPROF_CALL, G, 20);
	put(PYPROF_C_CALL, LEN, 30);
	put(PYPROF_RETURN, F, 40);
	put(PYPROF_CALL, G, 50);
	put(PYPROF_RETURN, G, 60);
	check_events("ring0 thread0@10 +1@10 +2@20 +3c@30 -cut@40 -cut@40 -returned@40 +2@50 "
		     "-returned@60 ");
}
END_TEST

/* A Python return without a call, and a C return that is not the innermost call's. */
START_TEST(returns_without_a_call_are_left_out)
{
	put(PYPROF_RETURN, G, 5);
	put(PYPROF_C_CALL, LEN, 8);
	put(PYPROF_CALL, F, 10);
	put(PYPROF_RETURN, G, 20);
	put(PYPROF_C_RETURN, LEN, 25);
	put(PYPROF_RETURN, F, 30);
	put(PYPROF_C_RETURN, LEN, 40);
	check_events("ring0 thread0@5 +3c@8 +1@10 -returned@30 -returned@40 ");
}
END_TEST

/* The program has the hook from 30 to 90. F still runs then, G does not. */
START_TEST(calls_end_before_a_blind_interval)
{
	put(PYPROF_THREAD, 1, 10);
	put(PYPROF_CALL, F, 10);
	put(PYPROF_CALL, G, 20);
	put(PYPROF_BLIND, PYPROF_BLIND_BEGINS, 30);
	put(PYPROF_BLIND, 0, 90);
	put(PYPROF_THREAD, 1, 90);
	put(PYPROF_OPEN, F, 91);
	put(PYPROF_RETURN, F, 95);
	check_events("ring0 thread1@10 +1@10 +2@20 -cut@30 -cut@30 blind60@90 +1found@91 "
		     "-returned@95 ");
}
END_TEST

/* An event after PYPROF_BLIND_BEGINS: the program has not taken the hook. */
START_TEST(an_interval_that_does_not_begin_is_not_blind)
{
	put(PYPROF_CALL, F, 10);
	put(PYPROF_BLIND, PYPROF_BLIND_BEGINS, 30);
	put(PYPROF_RETURN, F, 50);
	check_events("ring0 thread0@10 +1@10 -returned@50 ");
}
END_TEST

/* Without records before, the length is unknown, as in a forked child. */
START_TEST(a_blind_interval_at_the_beginning_has_no_length)
{
	put(PYPROF_BLIND, 0, 50);
	put(PYPROF_THREAD, 2, 50);
	put(PYPROF_OPEN, F, 50);
	put(PYPROF_RETURN, F, 60);
	check_events("ring0 thread0@50 thread2@50 +1found@50 -returned@60 ");
}
END_TEST

START_TEST(a_pause_ends_calls)
{
	put(PYPROF_THREAD, 1, 10);
	put(PYPROF_CALL, F, 10);
	put(PYPROF_THREAD_END, 1, 40);
	put(PYPROF_THREAD, 1, 100);
	put(PYPROF_OPEN, F, 100);
	put(PYPROF_RETURN, F, 120);
	check_events("ring0 thread1@10 +1@10 -cut@40 +1found@100 -returned@120 ");
}
END_TEST

START_TEST(threads_in_one_ring_are_separated)
{
	put(PYPROF_THREAD, 1, 10);
	put(PYPROF_CALL, F, 10);
	put(PYPROF_CALL, G, 20);
	put(PYPROF_THREAD, 2, 50);
	put(PYPROF_RETURN, G, 55);
	put(PYPROF_CALL, G, 60);
	put(PYPROF_RETURN, G, 70);
	check_events("ring0 thread1@10 +1@10 +2@20 -cut@20 -cut@20 thread2@50 +2@60 "
		     "-returned@70 ");
}
END_TEST

/* The end is that of the last event of all threads. */
START_TEST(running_calls_are_open_at_the_end)
{
	struct recording_ring other = recording_ring(&r);

	put(PYPROF_CALL, F, 10);
	put(PYPROF_CALL, G, 20);
	recording_put(&r, &other, PYPROF_C_CALL, LEN, 30);
	recording_put(&r, &other, PYPROF_C_RETURN, LEN, 100);
	check_events("ring0 thread0@10 +1@10 +2@20 -open@100 -open@100 "
		     "ring1 thread0@30 +3c@30 -returned@100 ");
}
END_TEST

START_TEST(calls_of_an_ended_thread_are_not_open)
{
	put(PYPROF_CALL, F, 10);
	put(PYPROF_CALL, G, 20);
	ring.shared->ended_ticks = 45;
	check_events("ring0 thread0@10 +1@10 +2@20 -cut@45 -cut@45 ");
}
END_TEST

START_TEST(calls_end_where_the_hook_was_lost)
{
	put(PYPROF_CALL, F, 10);
	put(PYPROF_BLIND, PYPROF_BLIND_BEGINS, 30);
	r.header->end_ticks = 500;
	check_events("ring0 thread0@10 +1@10 -cut@30 ");
}
END_TEST

/* Skipped ticks are added, from the block on in which they are known. Time does not go back. */
START_TEST(times_are_those_of_the_common_clock)
{
	for (uint64_t i = 0; i < RECORDING_BLOCK_RECORDS; i++)
		put(PYPROF_SYNC, 1, 10);
	put(PYPROF_CALL, F, 50);
	ring.block->skipped_ticks = 1000;
	for (uint64_t i = 1; i < RECORDING_BLOCK_RECORDS; i++)
		put(PYPROF_SYNC, 1, 50);
	put(PYPROF_RETURN, F, 60);
	ring.block->skipped_ticks = 900;
	check_events("ring0 thread0@10 +1@1050 -returned@1050 ");
}
END_TEST

START_TEST(class_calls_are_no_events)
{
	put(PYPROF_CALL, F, 10);
	put(PYPROF_SYNC, 8, 12);
	put(PYPROF_RETURN, F, 20);
	check_events("ring0 thread0@10 +1@10 -returned@20 ");
}
END_TEST

static int refuse(void *arg, const struct event *e)
{
	int *n_left = arg;

	(void)e;
	return (*n_left)-- ? 0 : -E2BIG;
}

START_TEST(an_error_of_the_caller_ends_the_walk)
{
	struct attach a;
	struct drain d;
	int n_left = _i;

	put(PYPROF_CALL, F, 10);
	put(PYPROF_RETURN, F, 20);
	ck_assert_int_eq(attach_open(&a, recording_save(&r)), 0);
	ck_assert_int_eq(drain_init(&d, &a), 0);
	ck_assert_int_eq(events_walk(&d, 0, refuse, &n_left), -E2BIG);
	drain_fini(&d);
	attach_close(&a);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("events");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, calls_begin_and_end);
	tcase_add_test(t, generators_are_suspended_and_resumed);
	tcase_add_test(t, a_return_ends_the_calls_within);
	tcase_add_test(t, returns_without_a_call_are_left_out);
	tcase_add_test(t, calls_end_before_a_blind_interval);
	tcase_add_test(t, an_interval_that_does_not_begin_is_not_blind);
	tcase_add_test(t, a_blind_interval_at_the_beginning_has_no_length);
	tcase_add_test(t, a_pause_ends_calls);
	tcase_add_test(t, threads_in_one_ring_are_separated);
	tcase_add_test(t, running_calls_are_open_at_the_end);
	tcase_add_test(t, calls_of_an_ended_thread_are_not_open);
	tcase_add_test(t, calls_end_where_the_hook_was_lost);
	tcase_add_test(t, times_are_those_of_the_common_clock);
	tcase_add_test(t, class_calls_are_no_events);
	tcase_add_loop_test(t, an_error_of_the_caller_ends_the_walk, 0, 4);
	return run_case("events", t);
}
