/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ticks -> seconds for one recording.
 */
#ifndef READER_TICKS_H
#define READER_TICKS_H

#include "attach.h"

/*
 * How many seconds a tick lasts. Where ticks are nanoseconds, that is 1e-9, as in cProfile. A
 * processor's counter is fitted between the recording's first pair of clocks and the latest one
 * known: now, on the same boot of the same machine; else the recording's last. 0 where there is
 * nothing to fit (a recording that was cut off before its first block, and carried away).
 */
double ticks_seconds(const struct attach *a);

#endif
