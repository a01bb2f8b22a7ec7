/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The recording's clock (recording.clock), for all but the callbacks that read the processor's
 * counter in line. Any thread, for its own time; needs no GIL.
 *
 * CPU time is a system call, which costs several times what an event does. So it is asked for only
 * where the thread may have been off its processor, that is where more than CLOCK_MAX_GAP_NS have
 * passed since the reading before; and each CLOCK_MAX_AGE_NS. In between the processor's counter
 * goes on from what the system said last. So:
 *
 * - a stretch off the processor that is shorter than CLOCK_MAX_GAP_NS counts as CPU time, until the
 * system is asked
 *   again: then the clock stands still until it is right;
 * - what other threads use of the process's time is seen only when the system is asked.
 *
 * Without an invariant counter each reading is a system call. After the program has installed a
 * seccomp filter there is none: the counter goes on alone.
 */
#ifndef SHIM_CLOCK_H
#define SHIM_CLOCK_H

#include <stdint.h>

#define CLOCK_MAX_GAP_NS 10000u
#define CLOCK_MAX_AGE_NS 100000u

/*
 * Once per process image, before the clock is read: the earlier, the sooner the counter's rate is
 * known.
 */
void clock_init(void);

/* The pair (counter, CLOCK_MONOTONIC) that clock_init() read. */
void clock_first_pair(uint64_t *ticks, uint64_t *mono_ns);

/* The time now. PYSHIM_CLOCK=count is not moved on by being read. */
uint64_t clock_read(void);

/* The time of an event: PYSHIM_CLOCK=count counts it. */
uint64_t clock_event(void);

/*
 * A thread goes on in the ring of one that has ended, whose clock stood at `last`. Within a ring
 * time never goes back, so a clock of the thread's own goes on from there. Returns what earlier
 * readings of this thread lack.
 */
uint64_t clock_continue(uint64_t last);

/* The calling thread leaves its ring: a clock of its own begins again at 0. Async-signal-safe. */
void clock_reset(void);

#endif
