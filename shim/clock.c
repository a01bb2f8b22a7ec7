/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clock.h"

#include "pyprof/abi.h"
#include "pyprof/clock.h"
#include "recording.h"
#include "thread.h"

uint64_t clock_read(void)
{
	switch (recording.clock) {
	case PYPROF_CLOCK_TSC:
		return pyprof_tsc();
	case PYPROF_CLOCK_CPU:
		return pyprof_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	case PYPROF_CLOCK_THREAD:
		return pyprof_clock_ns(CLOCK_THREAD_CPUTIME_ID) + thread_self.count;
	case PYPROF_CLOCK_COUNT:
		return thread_self.count;
	default:
		return pyprof_clock_ns(CLOCK_MONOTONIC);
	}
}

uint64_t clock_event(void)
{
	if (recording.clock == PYPROF_CLOCK_COUNT)
		return ++thread_self.count;
	return clock_read();
}

uint64_t clock_continue(uint64_t last)
{
	if (recording.clock != PYPROF_CLOCK_THREAD && recording.clock != PYPROF_CLOCK_COUNT)
		return 0;
	thread_self.count += last;
	return last;
}
