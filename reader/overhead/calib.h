/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What it costs to record a call, as `pyshim-read --calibrate` measures it, and the files in which
 * that is kept. Knows nothing of recordings.
 *
 * Between the two clock readings of a call lies a part of its cost, which its own time contains
 * ("in"); the rest lies before the first and behind the second, in its caller's time ("out").
 */
#ifndef READER_CALIB_H
#define READER_CALIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CALIB_PYTHON, CALIB_C, ...: a kind for each row of kinds.def. */
#define KIND(id, name, title, loop, less, attributed, engines, prior, payer, count) CALIB_##id,
enum calib_kind_id {
#include "kinds.def"
	CALIB_KINDS
};
#undef KIND

/* What overhead/kinds.def has of each kind for everything but the estimate. */
struct calib_kind {
	const char *name;  /* in files and in JSON */
	const char *title; /* in the printed table */
	bool is_call;	   /* its prior is that of a call, not of an extra */
	bool callee_pays;
};

extern const struct calib_kind calib_kind[CALIB_KINDS];

/* Seconds a call; may be negative for what makes another kind cheaper. */
struct calib_cost {
	double in_s, out_s;
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

/* How much other work disturbed a calibration, and whether it is to be trusted. */
struct calib_quality {
	bool known; /* older files do not tell */
	bool trusted;
	uint64_t n_slices;
	uint64_t n_waited, n_slower, n_crowded; /* of these disturbed: slices.h tells by what */
	double others,
		steal; /* of the machine's time, the part that other processes had, and other machines */
	double reference_s; /* how long a fixed piece of work took */
};

struct calib {
	struct calib_key key;
	struct calib_cost cost[CALIB_KINDS];
	double bytecode; /* how many times longer bytecode takes while the hook is set; 1: as long */
	/*
	 * Seconds that an event costs more for each other one over which the processor may have
	 * forgotten it (n_between). All of it is outside.
	 */
	double cold;
	/*
	 * How far it is off for small programs, at the median, as a part of what recording adds to
	 * them; 0: not known.
	 */
	double error;
	int64_t made; /* seconds since the epoch */
	uint64_t n_calls, n_rounds;
	struct calib_quality quality;
};

/*
 * The same cost for each event: half in, half out. What profile.Profile.calibrate means by a bias.
 */
void calib_from_bias(struct calib *c, double seconds_per_event);

/*
 * How much of CALIB_LARGE and CALIB_LARGE_SITE an event in such code costs. sys.monitoring's
 * callbacks are given the place in the code, an integer that beyond 256 (from 3.15 on 1,024) is
 * made anew each time: the part of the places for which it is, where a recording does not tell
 * (PYPROF_FAR). 3.10 looks for the line of the place, from the start: how many KiB.
 */
double calib_largeness(bool monitoring, uint32_t code_bytes);

/* That one number, as this calibration has it for calls of Python functions. */
double calib_bias(const struct calib *c);

/* The processor's name as /proc/cpuinfo has it, or "unknown". */
void calib_processor(char *name, size_t cap);

/* Where the calibration of a key is kept: a malloced path below XDG_CONFIG_HOME, or NULL. */
char *calib_path(const struct calib_key *key);

/* Disturbed slices, as a part of all. */
double calib_disturbed(const struct calib_quality *q);

/* 0; -errno; -EINVAL where the file is something else. The folder is made where it is missing. */
int calib_load(struct calib *c, const char *path);
int calib_save(const struct calib *c, const char *path);

#endif
