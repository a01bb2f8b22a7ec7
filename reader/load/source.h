/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of a source, a recording or a pstats file, beside its profile.
 */
#ifndef READER_SOURCE_H
#define READER_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "overhead/bias.h"
#include "overhead/calib.h"
#include "rebuild.h"
#include "recording/owner.h"

/* By what the times of a recording were corrected. */
enum correction {
	CORRECTION_MISSING,  /* by nothing: no calibration fits */
	CORRECTION_UNWANTED, /* by nothing: it was said so, or the clock counts events */
	CORRECTION_NUMBER,   /* seconds per event, as given ... */
	CORRECTION_RECORDED, /* ... as the recording holds it (PYSHIM_BIAS) */
	CORRECTION_FILE,     /* a calibration, as given ... */
	CORRECTION_KEPT,     /* ... as kept */
};

/* What is known of one source when it has been read; of a pstats file only what stands last. */
struct source {
	struct pyprof_header header;
	struct rebuild_summary summary;
	uint64_t n_lost[PYPROF_LOST_CAUSES];
	uint64_t n_bad; /* places of the file that made no sense */
	double seconds_per_tick;
	double self_s; /* in functions, of all threads, as reported */
	double cpu_s;  /* processor time of the process, or NAN */
	enum correction correction;
	struct calib calib; /* its key is the recording's */
	struct bias_result bias;
	bool live;
	enum owner_state state; /* of the process that was recorded */
	char *name;		/* printable */
	size_t n_functions;	/* of a pstats file */
	bool is_pstats;
};

/* Whether anything is missing or does not fit: --strict. */
bool source_has_loss(const struct source *s);

/*
 * Seconds from the first event to the end; with a clock of each thread's own, of all threads
 * together.
 */
double source_recorded_s(const struct source *s);

#endif
