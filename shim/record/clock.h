/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The recording's clock (recording.clock), for all code except the callbacks that read the
 * processor's counter inline. Any thread, for its own time; needs no GIL. Must not allocate.
 *
 * CPU time needs a system call, which takes several times as long as recording an event. So the
 * system is asked only if the thread may have been off its processor, that is if more than
 * CLOCK_MAX_GAP_NS have passed since the last reading, and every CLOCK_MAX_AGE_NS. In between, the
 * processor's counter continues from the last value of the system. Consequences:
 *
 * - Time off the processor that is shorter than CLOCK_MAX_GAP_NS counts as CPU time until the
 *   system is asked again. Then the clock stands still until it is right.
 * - CPU time that other threads use (PYSHIM_CLOCK=cpu) is seen only when the system is asked.
 *
 * Without an invariant counter each reading is a system call. After the program has installed a
 * seccomp filter no reading is: the counter continues alone.
 */
#ifndef SHIM_CLOCK_H
#define SHIM_CLOCK_H

#include <stdint.h>

#define CLOCK_MAX_GAP_NS 10000u
#define CLOCK_MAX_AGE_NS 100000u

/*
 * Called once per process image, before the clock is read. The earlier it is called, the sooner the
 * counter's rate is known.
 */
void clock_init(void);

/* Stores the pair (counter, CLOCK_MONOTONIC) that clock_init() read. */
void clock_first_pair(uint64_t *ticks, uint64_t *mono_ns);

/* Returns the time now, in ticks. PYSHIM_CLOCK=count does not advance. */
uint64_t clock_read(void);

/* Returns the time of an event, in ticks. PYSHIM_CLOCK=count advances by one. */
uint64_t clock_event(void);

/*
 * Called when a thread continues the ring of an ended thread, whose clock stood at `last`. Thread
 * CPU clocks restart at 0; this offsets the caller's so that time in the ring is monotonic. Returns
 * what must be added to earlier readings of this thread.
 */
uint64_t clock_continue(uint64_t last);

/* Called when a thread leaves its ring: resets the offset. Async-signal-safe. */
void clock_reset(void);

#endif
