/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ticks -> seconds for one recording.
 */
#ifndef READER_TICKS_H
#define READER_TICKS_H

#include "drain.h"

/*
 * How many seconds a tick lasts. Where ticks are nanoseconds, that is 1e-9, as in cProfile. A
 * processor's counter is fitted between the first pair of clocks, that of the shim's load, and the
 * last. Every read of an ended recording gives the same times. The counter is invariant, and tables
 * hold sums of ticks, so there is one line through both. Where they lie too close together, the
 * reader's own clock takes the last one's place, on the same boot of the same machine. 0 where
 * there is nothing to fit (a recording that was cut off before its first block, and carried away).
 */
double ticks_seconds(struct drain *d);

/*
 * The last pair of clocks, ticks and CLOCK_MONOTONIC, that it goes by; both 0 where there is none.
 */
void ticks_last_pair(struct drain *d, uint64_t *ticks, uint64_t *mono_ns);

/*
 * The clock up to which calls count that run at the end of the records: now, where the process
 * runs; where the program has stopped recording, that moment; else the latest event of any thread,
 * or when a reader saw the process end. It is the same for all threads, and for an ended recording
 * at every read. 0: each thread's calls count up to its own last event, for its clock is its own,
 * or nothing is known.
 */
uint64_t ticks_end(struct drain *d);

#endif
