/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What it costs to record a call, as `pyshim-read --calibrate` measures it, and the files in which that is
 * kept. Knows nothing of recordings.
 *
 * Between the two clock readings of a call lies a part of its cost, which its own time contains ("in");
 * the rest lies before the first and behind the second, in its caller's time ("out").
 */
#ifndef READER_CALIB_H
#define READER_CALIB_H

#include <stddef.h>
#include <stdint.h>

enum { CALIB_KINDS = 4 }; /* enum pyprof_cost */

struct calib_cost {
	double in_s,
		out_s;	 /* seconds a call; may be negative for what makes another kind cheaper */
	double spread_s; /* half the distance between the quartiles of the rounds */
};

/* What a calibration is good for: all of these must be equal. */
struct calib_key {
	char python[256];    /* Py_GetVersion(), in one line */
	char engine[16];     /* tracefunc, monitoring */
	char shim[64];	     /* version and build */
	char processor[128]; /* of this machine */
	char clock[16];
};

struct calib {
	struct calib_key key;
	struct calib_cost cost[CALIB_KINDS];
	double bytecode; /* how many times longer bytecode takes while the hook is set; 1: as long */
	int64_t made;	 /* seconds since the epoch */
	uint64_t n_calls, n_rounds;
};

/* The same cost for each event: half in, half out. What profile.Profile.calibrate means by a bias. */
void calib_from_bias(struct calib *c, double seconds_per_event);

/* That one number, as this calibration has it for calls of Python functions. */
double calib_bias(const struct calib *c);

/* The processor's name as /proc/cpuinfo has it, or "unknown". */
void calib_processor(char *name, size_t cap);

/* Where the calibration of a key is kept: a malloced path below XDG_CONFIG_HOME, or NULL. */
char *calib_path(const struct calib_key *key);

/* 0; -errno; -EINVAL where the file is something else. The folder is made where it is missing. */
int calib_load(struct calib *c, const char *path);
int calib_save(const struct calib *c, const char *path);

#endif
