/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A calibration: the overhead of one call of each kind, as `pyshim-read --calibrate` measures it.
 * Owns the kinds (kinds.def) and the file of a calibration.
 *
 * Called by load/recording.c (which calibration applies), model.c (the model), calibrate/ (makes
 * calibrations) and the formats, in one thread. It must not know the rings of a recording, nor
 * print.
 *
 * The overhead of a call has two parts (docs/overhead.md):
 *
 *	in	between the two clock readings of the call: the callee's self time contains it
 *	out	before the first and after the second one: the caller's self time contains it
 */
#ifndef READER_CALIBRATION_H
#define READER_CALIBRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* OVERHEAD_PYTHON, OVERHEAD_C, ...: a kind for each row of kinds.def. */
#define KIND(id, name, title, loop, less, attributed, engines, prior, payer, count) OVERHEAD_##id,
enum overhead_id {
#include "kinds.def"
	OVERHEAD_KINDS
};
#undef KIND

/* Columns of kinds.def. Those for the estimate from loops are in calibrate/solve.c. */
struct overhead_kind {
	const char *name;  /* in files and in JSON */
	const char *title; /* in the printed table */
	bool is_call;	   /* the prior of the fit is that of a call, not of a surcharge */
	bool callee_pays;  /* the fit changes `in_s`, not `out_s` */
};

extern const struct overhead_kind overhead_kind[OVERHEAD_KINDS];

/* Seconds a call. A surcharge is negative where it makes the basic kind cheaper. */
struct overhead {
	double in_s, out_s;
	double spread_s; /* half the interquartile ranges of the rounds, summed up (solve.c) */
};

/* A calibration fits a recording if all of these are equal. */
struct calibration_key {
	char python[256];    /* Py_GetVersion(), in one line */
	char engine[16];     /* tracefunc, monitoring */
	char shim[64];	     /* version and build */
	char processor[128]; /* of this machine */
	char clock[16];
};

/* Disturbance of a calibration by other work (calibrate/slices.h). */
struct calibration_quality {
	bool known; /* older files have no lines of this */
	bool trusted;
	uint64_t n_slices;
	uint64_t n_waited, n_slower, n_crowded; /* of n_slices, the disturbed ones by cause */
	double others;	    /* work of other processes, as a part of the machine's time: 0 to 1 */
	double steal;	    /* part of the machine's work that waited for other virtual machines */
	double throttled;   /* part of the time in which a quota of processor time stopped it */
	double reference_s; /* time of a fixed piece of work; less than 1 second */
};

struct calibration {
	struct calibration_key key;
	struct overhead overhead[OVERHEAD_KINDS];
	double bytecode; /* factor by which bytecode is slower while the hook is set; at least 1 */
	double cold;	 /* seconds for each event of reuse distance; all of it is `out` */
	double error;	 /* median residual of the fit (calibrate/fit.h); 0: not known */
	int64_t made;	 /* seconds since the epoch */
	uint64_t n_calls, n_rounds;
	struct calibration_quality quality;
};

/*
 * The calibration of one number: each event of a call has the same overhead, half `in`, half `out`.
 * profile.Profile.calibrate of Python calls this number a bias.
 */
void calibration_from_bias(struct calibration *c, double seconds_per_event);

/*
 * Number of OVERHEAD_LARGE and OVERHEAD_LARGE_SITE surcharges for an event in code of this size.
 *
 * monitoring: 0 to 1, the part of the code's offsets above 256. CPython allocates an integer for
 * these (3.15: above 1,024). A recording marks such events (PYPROF_HIGH_OFFSET), so this is only a
 * guess where no marked event is known. Otherwise: KiB of code, at most 8, because 3.10 searches
 * the line of an event from the start of the code.
 */
double calibration_largeness(bool monitoring, uint32_t code_bytes);

/* The one number of calibration_from_bias: seconds for each event of calls of Python functions. */
double calibration_bias(const struct calibration *c);

/* The processor's name as in /proc/cpuinfo, or "unknown". */
void calibration_processor(char *name, size_t cap);

/*
 * File of the calibration for a key, below XDG_CONFIG_HOME or HOME. For free(). NULL: neither is
 * set, or memory is exhausted.
 */
char *calibration_path(const struct calibration_key *key);

/* Disturbed slices as a part of all slices: 0 to 1. */
double calibration_disturbed(const struct calibration_quality *q);

/* 0 or -errno. -EINVAL: the file is not a calibration, or a number is out of range. */
int calibration_load(struct calibration *c, const char *path);

/*
 * 0 or -errno. Makes missing folders, and replaces an existing file in one step: after an error it
 * is unchanged.
 */
int calibration_save(const struct calibration *c, const char *path);

#endif
