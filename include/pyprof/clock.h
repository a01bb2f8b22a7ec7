/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clocks that target and reader read. Header-only, without state. Any thread, with or without the
 * GIL; async-signal-safe.
 */
#ifndef PYPROF_CLOCK_H
#define PYPROF_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

static inline uint64_t pyprof_clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The processor's counter. It measures time only if pyprof_tsc_invariant(). */
static inline uint64_t pyprof_tsc(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t v;

	__asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(v));
	return v;
#else
	return pyprof_clock_ns(CLOCK_MONOTONIC);
#endif
}

/* True if the counter runs at one rate in every power state, and alike on every processor. */
static inline bool pyprof_tsc_invariant(void)
{
#if defined(__x86_64__) || defined(__i386__)
	unsigned a, b, c, d;

	/* Intel SDM vol. 3, "Invariant TSC": CPUID.80000007H:EDX[8]; AMD defines the same bit. */
	return __get_cpuid(0x80000007u, &a, &b, &c, &d) && (d & 1u << 8);
#elif defined(__aarch64__)
	return true; /* the generic timer, by architecture */
#else
	return false;
#endif
}

/*
 * Reads the counter and CLOCK_MONOTONIC as a pair: the best of three tries. The error is at most
 * half of the shortest bracket, about 20 ns.
 */
static inline void pyprof_clock_pair(uint64_t *ticks, uint64_t *mono_ns)
{
	uint64_t best = UINT64_MAX;

	*ticks = *mono_ns = 0;
	for (int i = 0; i < 3; i++) {
		uint64_t before = pyprof_tsc();
		uint64_t ns = pyprof_clock_ns(CLOCK_MONOTONIC);
		uint64_t width = pyprof_tsc() - before;

		if (width < best) {
			best = width;
			*ticks = before + width / 2;
			*mono_ns = ns;
		}
	}
}

#endif
