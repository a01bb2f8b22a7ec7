/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pyshim-read --calibrate: measures what it costs to record a call of each kind, by running small
 * loops in fresh processes, bare and recorded in turn.
 */
#ifndef READER_CALIBRATE_H
#define READER_CALIBRATE_H

#include <stdbool.h>
#include <stdint.h>

#define CALIBRATE_MIN_CALLS 1000
#define CALIBRATE_MAX_CALLS 10000000

struct calibration {
	uint64_t n_calls;   /* of each loop in each round */
	const char *python; /* the interpreter, found in PATH */
	bool keep_anyway;   /* what cannot be trusted, too */
};

/*
 * Prints what was measured, and keeps it if other work did not disturb it too much. 0, or -1 when
 * it has been said what is wrong.
 */
int calibrate(const struct calibration *c);

#endif
