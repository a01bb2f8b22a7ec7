/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long a tick is, by the pairs of clocks in a recording: here 0.4 ns, unless somebody looks at
 * another clock.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>

#include "pyprof/clock.h"
#include "recording.h"
#include "recording/attach.h"
#include "recording/drain.h"
#include "recording/ticks.h"
#include "tests/run.h"

#define START_TICKS 1000000ull
#define START_NS 7000000000ull

static struct recording r;
static struct recording_ring ring;

static void setup(void)
{
	recording_init(&r);
	ring = recording_ring(&r);
	r.header->clock = PYPROF_CLOCK_TSC;
	r.header->start_ticks = START_TICKS;
	r.header->start_mono_ns = START_NS;
	strcpy(r.header->boot_id, "another");
}

static void teardown(void)
{
	recording_fini(&r);
}

static void sync_after(uint64_t ns)
{
	r.header->sync_ticks = START_TICKS + ns * 5 / 2;
	r.header->sync_mono_ns = START_NS + ns;
}

/* A block that begins then; `skipped` of the ticks have been left out. */
static void block_after(uint64_t ns, uint64_t skipped)
{
	if (ring.block)
		ring.n = RECORDING_BLOCK_RECORDS;
	recording_put(&r, &ring, PYPROF_CALL, 1, START_TICKS + ns * 5 / 2 - skipped);
	ring.block->skipped_ticks = skipped;
	ring.block->mono_ns = START_NS + ns;
}

static double read_back(void)
{
	struct attach a;
	struct drain d;
	double seconds;

	ck_assert_int_eq(attach_open(&a, recording_save(&r)), 0);
	ck_assert_int_eq(drain_open(&d, &a), 0);
	seconds = ticks_seconds(&d);
	drain_close(&d);
	attach_close(&a);
	unlink(r.path);
	return seconds;
}

static void use_this_boot(void)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
	ssize_t n = read(fd, r.header->boot_id, sizeof(r.header->boot_id) - 1);

	ck_assert_int_gt(n, 1);
	r.header->boot_id[n - 1] = '\0';
	close(fd);
}

START_TEST(nanoseconds_are_what_they_are)
{
	r.header->clock = (uint32_t)_i;
	sync_after(1000000000);
	ck_assert_double_eq(read_back(), 1.0 / 1e9);
}
END_TEST

START_TEST(the_header_has_the_last_pair)
{
	block_after(500000000, 0);
	sync_after(1000000000);
	ck_assert_double_eq_tol(read_back() * 1e9, 0.4, 1e-12);
}
END_TEST

/* Whoever reads it on the same machine, and whenever. */
START_TEST(the_recording_comes_before_our_clock)
{
	use_this_boot();
	sync_after(1000000);
	ck_assert_double_eq_tol(read_back() * 1e9, 0.4, 1e-12);
}
END_TEST

/* Killed just then. */
START_TEST(a_pair_that_was_being_written)
{
	struct recording_ring first = ring;

	block_after(2000000, 0);
	ring = recording_ring(&r);
	block_after(30000000, 5000);
	block_after(50000000, 7000000);
	ring = first;
	r.header->sync_ticks = 123;
	r.header->sync_mono_ns = 0;
	ck_assert_double_eq_tol(read_back() * 1e9, 0.4, 1e-12);
}
END_TEST

/* Our own clock now; off by what passes until it is read here, as long ago as the start is. */
START_TEST(pairs_that_are_too_close)
{
	uint64_t ticks, ns;
	double rate;

	pyprof_clock_pair(&ticks, &ns);
	r.header->start_ticks = ticks - ticks / 2;
	r.header->start_mono_ns = ns - ns / 2;
	r.header->sync_ticks = r.header->start_ticks + 10;
	r.header->sync_mono_ns = r.header->start_mono_ns + 999999;
	use_this_boot();
	rate = (double)(ns / 2) / (double)(ticks / 2);
	ck_assert_double_eq_tol(read_back() * 1e9 / rate, 1, 0.1);
	strcpy(r.header->boot_id, "another");
	ck_assert_double_eq_tol(read_back() * 1e9, 99999.9, 1e-6); /* better than nothing */
}
END_TEST

/* Whoever reads it, then, and on whatever machine. */
START_TEST(the_pair_of_the_load_lies_far_enough)
{
	r.header->load_ticks = START_TICKS - 900000;
	r.header->load_mono_ns = START_NS - 1000000;
	use_this_boot();
	ck_assert_double_eq_tol(read_back() * 1e9 * 0.9, 1,
				1e-12); /* there are two pairs, and no more */
	sync_after(0);
	r.header->sync_ticks++;
	r.header->sync_mono_ns++;
	ck_assert_double_eq_tol(read_back() * 1e9 * 900001 / 1000001, 1, 1e-12);
}
END_TEST

START_TEST(a_load_after_the_start_is_none)
{
	r.header->load_ticks = START_TICKS + 1;
	r.header->load_mono_ns = START_NS - 1000000;
	sync_after(1000000);
	ck_assert_double_eq_tol(read_back() * 1e9, 0.4, 1e-12);
}
END_TEST

START_TEST(nothing_to_fit)
{
	ck_assert_double_eq(read_back(), 0);
	block_after(0, 0);
	ck_assert_double_eq(read_back(), 0);
	sync_after(5000000);
	r.header->sync_ticks = START_TICKS - 1; /* went back */
	ck_assert_double_eq(read_back(), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("ticks");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, nanoseconds_are_what_they_are, PYPROF_CLOCK_WALL,
			    PYPROF_CLOCK_COUNT + 1);
	tcase_add_test(t, the_header_has_the_last_pair);
	tcase_add_test(t, the_recording_comes_before_our_clock);
	tcase_add_test(t, a_pair_that_was_being_written);
	tcase_add_test(t, pairs_that_are_too_close);
	tcase_add_test(t, the_pair_of_the_load_lies_far_enough);
	tcase_add_test(t, a_load_after_the_start_is_none);
	tcase_add_test(t, nothing_to_fit);
	return run_case("ticks", t);
}
