/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A library to preload. Counts the system calls that read CPU time and divides that time by
 * CPU_CLOCK_DIVISOR, if set. This simulates a thread that has its processor only in short slices.
 * With CLOCK_FROZEN, CLOCK_MONOTONIC stands still. With COUNT_NAPS, prints the number of naps on
 * stderr at the end.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

long count_asked(void);

static long n_asked, n_naps;

static long divisor(void)
{
	static long n;

	if (!n) {
		const char *text = getenv("CPU_CLOCK_DIVISOR");

		n = text ? atol(text) : 1;
	}
	return n;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);
	long long ns;
	int rc;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	rc = real(id, ts);
	if (id == CLOCK_MONOTONIC && getenv("CLOCK_FROZEN"))
		*ts = (struct timespec){ .tv_sec = 1000 };
	if (id != CLOCK_PROCESS_CPUTIME_ID && id != CLOCK_THREAD_CPUTIME_ID)
		return rc;
	__atomic_add_fetch(&n_asked, 1, __ATOMIC_RELAXED);
	ns = (ts->tv_sec * 1000000000ll + ts->tv_nsec) / divisor();
	ts->tv_sec = ns / 1000000000;
	ts->tv_nsec = ns % 1000000000;
	return rc;
}

long count_asked(void)
{
	return __atomic_load_n(&n_asked, __ATOMIC_RELAXED);
}

int nanosleep(const struct timespec *wish, struct timespec *left)
{
	static int (*real)(const struct timespec *, struct timespec *);

	if (!real)
		real = (int (*)(const struct timespec *, struct timespec *))dlsym(RTLD_NEXT,
										  "nanosleep");
	__atomic_add_fetch(&n_naps, 1, __ATOMIC_RELAXED);
	return real(wish, left);
}

__attribute__((destructor)) static void tell(void)
{
	if (getenv("COUNT_NAPS"))
		fprintf(stderr, "naps %ld\n", n_naps);
}
