/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Spans of which the newest events are kept, against all events sorted by time.
 */
#include <check.h>
#include <stdlib.h>

#include "load/spans.h"
#include "tests/run.h"

#define MOST 400000u

/* The events as they were made: truth[i] is the time of the event at position i. */
static struct spans s;
static int64_t *truth;
static size_t n_truth;
static uint64_t state;

static unsigned roll(unsigned n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % n;
}

static void setup(void)
{
	s = (struct spans){ .n = 0 };
	truth = calloc(MOST, sizeof(*truth));
	n_truth = 0;
	state = 1;
}

static void teardown(void)
{
	spans_fini(&s);
	free(truth);
}

static void enter(uint32_t track, int64_t ns, uint32_t number)
{
	struct span span = {
		.start_ns = ns, .track = track, .number = number, .flags = SPAN_BEGAN
	};

	ck_assert_int_eq(spans_enter(&s, &span), 0);
	truth[n_truth++] = ns;
}

static void leave(int64_t ns)
{
	ck_assert_int_eq(spans_leave(&s, ns, 0, true), 0);
	truth[n_truth++] = ns;
}

/* Random calls from `ns` on. Many events have equal times. Some calls are still running. */
static void make_track(uint32_t track, int64_t ns, size_t n)
{
	unsigned depth = 0;

	for (size_t i = 0; i < n; i++) {
		ns += roll(3);
		if (depth && roll(2)) {
			leave(ns);
			depth--;
		} else {
			enter(track, ns, (uint32_t)i);
			depth++;
		}
	}
	ns++;
	while (depth--)
		ck_assert_int_eq(spans_leave(&s, ns, 1, false), 0);
}

static int by_time(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The times of all events that are kept, sorted. */
static size_t kept_times(int64_t *time)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.span[i].flags & SPAN_BEGAN)
			time[n++] = s.span[i].start_ns;
		if (s.span[i].flags & SPAN_ENDED)
			time[n++] = s.span[i].end_ns;
	}
	qsort(time, n, sizeof(*time), by_time);
	return n;
}

static void check_newest(size_t max)
{
	int64_t *kept = calloc(MOST, sizeof(*kept));
	size_t want = n_truth < max ? n_truth : max;

	ck_assert_int_eq(spans_bound(&s), 0);
	ck_assert_uint_eq(kept_times(kept), want);
	ck_assert_uint_eq(s.n_events, want);
	ck_assert_uint_eq(s.n_left_out, n_truth - want);
	qsort(truth, n_truth, sizeof(*truth), by_time);
	ck_assert_mem_eq(kept, truth + n_truth - want, want * sizeof(*kept));
	if (want < n_truth)
		ck_assert_int_eq(s.from_ns, kept[0]);
	free(kept);
}

/* Within a track: in the order of begins, one within the other or one after the other. */
static void check_nesting(void)
{
	size_t *stack = calloc(s.n + 1, sizeof(*stack)), depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		const struct span *now = &s.span[i];

		ck_assert_int_le(now->start_ns, now->end_ns);
		ck_assert_uint_eq(now->flags & SPAN_RUNNING, 0);
		if (i && s.span[i - 1].track != now->track)
			depth = 0;
		while (depth && s.span[stack[depth - 1]].last < now->begin)
			depth--;
		if (depth) {
			ck_assert_int_ge(now->start_ns, s.span[stack[depth - 1]].start_ns);
			ck_assert_int_le(now->end_ns, s.span[stack[depth - 1]].end_ns);
			ck_assert_uint_lt(now->last, s.span[stack[depth - 1]].last);
		}
		stack[depth++] = i;
	}
	free(stack);
}

static const size_t bounds[] = { 1, 2, 1000, 50000, 199999, 200000, 300000 };

/* 250,000 events of four tracks at the same time; more than are kept before they are bounded. */
START_TEST(exactly_the_newest_are_kept)
{
	s.max_events = bounds[_i];
	for (uint32_t track = 0; track < 4; track++) {
		state = track + 1;
		make_track(track, track * 1000, 20000 + 28333 * track);
	}
	check_newest(bounds[_i]);
	check_nesting();
}
END_TEST

START_TEST(without_a_bound_all_are_kept)
{
	make_track(0, 0, 200000);
	check_newest(MOST);
	ck_assert_uint_eq(s.n_left_out, 0);
}
END_TEST

/* A call that still runs stays, though all of its events are older. */
START_TEST(calls_around_the_newest_events_stay)
{
	s.max_events = 2;
	enter(0, 10, 7);
	enter(0, 20, 8);
	leave(30);
	leave(90);
	enter(1, 40, 9);
	leave(50);
	enter(1, 60, 9);
	ck_assert_int_eq(spans_leave(&s, 95, 4, false), 0);
	check_newest(2);
	ck_assert_uint_eq(s.n, 2);
	ck_assert_uint_eq(s.span[0].number, 7);
	ck_assert_uint_eq(s.span[0].flags, SPAN_EARLY | SPAN_ENDED);
	ck_assert_uint_eq(s.span[1].flags, SPAN_BEGAN);
	ck_assert_uint_eq(s.span[1].end, 4);
}
END_TEST

/* If events have equal times, the later ones in the order of reading are kept. */
START_TEST(equal_times_are_in_the_order_of_reading)
{
	s.max_events = 1;
	enter(0, 10, 1);
	leave(10);
	check_newest(1);
	ck_assert_uint_eq(s.n, 1);
	ck_assert_uint_eq(s.span[0].flags, SPAN_EARLY | SPAN_ENDED);
}
END_TEST

START_TEST(unwanted_calls_have_no_span)
{
	enter(0, 10, 1);
	ck_assert_int_eq(spans_enter(&s, NULL), 0);
	enter(0, 20, 2);
	leave(30);
	ck_assert_int_eq(spans_leave(&s, 40, 0, true), 0);
	leave(50);
	ck_assert_uint_eq(s.n, 2);
	ck_assert_int_eq(s.span[0].end_ns, 50);
	ck_assert_int_eq(s.span[1].end_ns, 30);
	ck_assert_uint_eq(s.n_events, 4);
}
END_TEST

/* A ring is read another time. */
START_TEST(tracks_are_forgotten)
{
	enter(0, 10, 1);
	leave(20);
	enter(1, 10, 1);
	leave(20);
	enter(2, 15, 1);
	spans_forget(&s, 1);
	ck_assert_uint_eq(s.n, 1);
	ck_assert_uint_eq(s.n_events, 2);
	ck_assert_uint_eq(s.n_running, 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("spans");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, exactly_the_newest_are_kept, 0, sizeof(bounds) / sizeof(*bounds));
	tcase_add_test(t, without_a_bound_all_are_kept);
	tcase_add_test(t, calls_around_the_newest_events_stay);
	tcase_add_test(t, equal_times_are_in_the_order_of_reading);
	tcase_add_test(t, unwanted_calls_have_no_span);
	tcase_add_test(t, tracks_are_forgotten);
	return run_case("spans", t);
}
