/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The length of a tick, from the pairs of clocks in a recording. Here it is 0.4 ns, unless the
 * reader's own clock is used.
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

/* Adds a block that begins at `ns`. `skipped` of its ticks do not count. */
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
	ck_assert_int_eq(drain_init(&d, &a), 0);
	seconds = ticks_seconds(&d);
	drain_fini(&d);
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

START_TEST(a_nanosecond_clock_needs_no_rate)
{
	r.header->clock = (uint32_t)_i;
	sync_after(1000000000);
	ck_assert_double_eq(read_back(), 1.0 / 1e9);
}
END_TEST

START_TEST(the_last_pair_of_the_header_is_used)
{
	block_after(500000000, 0);
	sync_after(1000000000);
	ck_assert_double_eq_tol(read_back() * 1e9, 0.4, 1e-12);
}
END_TEST

/* The rate must not depend on the time of reading. */
START_TEST(the_recordings_pair_precedes_the_readers_clock)
{
	use_this_boot();
	sync_after(1000000);
	ck_assert_double_eq_tol(read_back() * 1e9, 0.4, 1e-12);
}
END_TEST

/* The target was killed while it wrote the pair. */
START_TEST(a_half_written_pair_is_ignored)
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

/*
 * The reader's clock is used instead. The error is the time until it is read, relative to the time
 * since the start.
 */
START_TEST(pairs_too_close_together_are_not_used)
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
	ck_assert_double_eq_tol(read_back() * 1e9, 99999.9,
				1e-6); /* imprecise, but better than no rate */
}
END_TEST

/* The rate must not depend on the reader's clock or machine. */
START_TEST(the_pair_from_load_time_is_far_enough)
{
	r.header->load_ticks = START_TICKS - 900000;
	r.header->load_mono_ns = START_NS - 1000000;
	use_this_boot();
	ck_assert_double_eq_tol(read_back() * 1e9 * 0.9, 1, 1e-12); /* exactly two pairs */
	sync_after(0);
	r.header->sync_ticks++;
	r.header->sync_mono_ns++;
	ck_assert_double_eq_tol(read_back() * 1e9 * 900001 / 1000001, 1, 1e-12);
}
END_TEST

START_TEST(a_load_time_after_the_start_is_ignored)
{
	r.header->load_ticks = START_TICKS + 1;
	r.header->load_mono_ns = START_NS - 1000000;
	sync_after(1000000);
	ck_assert_double_eq_tol(read_back() * 1e9, 0.4, 1e-12);
}
END_TEST

START_TEST(missing_pairs_give_no_rate)
{
	ck_assert_double_eq(read_back(), 0);
	block_after(0, 0);
	ck_assert_double_eq(read_back(), 0);
	sync_after(5000000);
	r.header->sync_ticks = START_TICKS - 1; /* the clock went back */
	ck_assert_double_eq(read_back(), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("ticks");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, a_nanosecond_clock_needs_no_rate, PYPROF_CLOCK_WALL,
			    PYPROF_CLOCK_COUNT + 1);
	tcase_add_test(t, the_last_pair_of_the_header_is_used);
	tcase_add_test(t, the_recordings_pair_precedes_the_readers_clock);
	tcase_add_test(t, a_half_written_pair_is_ignored);
	tcase_add_test(t, pairs_too_close_together_are_not_used);
	tcase_add_test(t, the_pair_from_load_time_is_far_enough);
	tcase_add_test(t, a_load_time_after_the_start_is_ignored);
	tcase_add_test(t, missing_pairs_give_no_rate);
	return run_case("ticks", t);
}
