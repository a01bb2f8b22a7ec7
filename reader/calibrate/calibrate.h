/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pyshim-read --calibrate: measures the overhead of a call of each kind (docs/overhead.md). Runs
 * program.py in fresh processes, without and with the shim in turn.
 *
 * Called once by main, in the reader's one thread. Owns a private folder in /dev/shm for its
 * recordings, and removes it; --clean removes that of a calibration that was killed. Prints the
 * result itself. It must not touch other recordings.
 */
#ifndef READER_CALIBRATE_H
#define READER_CALIBRATE_H

#include <stdbool.h>
#include <stdint.h>

#define CALIBRATE_MIN_CALLS 1000
#define CALIBRATE_MAX_CALLS 10000000

struct calibrate_request {
	uint64_t n_calls;   /* of each loop in each round; CALIBRATE_MIN_CALLS to _MAX_CALLS */
	const char *python; /* the interpreter, found in PATH */
	bool keep_anyway;   /* also keep a calibration that other work disturbed too much */
};

/*
 * Prints the result, and keeps it in its file if other work did not disturb it too much. 0, or -1
 * after an error, whose message is already on standard error. A calibration that is not kept is an
 * error too.
 */
int calibrate(const struct calibrate_request *c);

#endif
