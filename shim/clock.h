/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The recording's clock (recording.clock), for all but the callbacks that read the processor's
 * counter in line. Any thread, for its own time; needs no GIL.
 */
#ifndef SHIM_CLOCK_H
#define SHIM_CLOCK_H

#include <stdint.h>

/* The time now. PYSHIM_CLOCK=count is not moved on by being read. */
uint64_t clock_read(void);

/* The time of an event: PYSHIM_CLOCK=count counts it. */
uint64_t clock_event(void);

/*
 * A thread goes on in the ring of one that has ended, whose clock stood at `last`. Within a ring time never
 * goes back, so a clock of the thread's own goes on from there. Returns what earlier readings of this
 * thread lack.
 */
uint64_t clock_continue(uint64_t last);

#endif
