/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ticks to seconds for one recording, and the end of its records. Owns nothing. load and snapshot
 * call it, from one thread. It must not change the recording. It rewinds the drain, so call it
 * while no ring is being read.
 */
#ifndef READER_TICKS_H
#define READER_TICKS_H

#include "drain.h"

/*
 * Returns the length of a tick in seconds: 1e-9 for all clocks except the processor's counter.
 * The processor's counter is fitted by one line through two pairs of clocks, the first one (of the
 * load of the shim, if known) and the last one. One line is enough because the counter is
 * invariant, and required because fold tables hold sums of ticks. So each read of an ended
 * recording gives the same times. If the pairs are less than 1 ms apart, the reader's clock is the
 * second pair, provided that the machine has not booted since. 0 if there is no second pair, in a
 * recording that ended before its first block and was moved to another machine.
 */
double ticks_seconds(struct drain *d);

/* Returns the last pair of clocks for that line: ticks and ns of CLOCK_MONOTONIC, or both 0. */
void ticks_last_pair(struct drain *d, uint64_t *ticks, uint64_t *mono_ns);

/*
 * Returns the time, in ticks, at which calls that run at the end of the records are closed:
 *
 * - if the program has stopped recording, the time when it did;
 * - else, if the process runs and may write, the present time;
 * - else the latest event of any thread, or the time when a reader saw the process end, whichever
 *   is later.
 *
 * It is the same for all threads, and for each read of an ended recording. 0: the calls of each
 * thread are closed at its own last event, because threads have their own clocks, ticks count
 * events, or the present time is unknown.
 */
uint64_t ticks_end(struct drain *d);

#endif
