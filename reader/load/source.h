/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The facts about one source, a recording or a pstats file, beside its profile. Owns the name and
 * the threads of the summary; sources_fini frees them. load fills it in, and format and browse read
 * it, from one thread. It must not hold profiles of whole sources: these are in struct sum.
 */
#ifndef READER_SOURCE_H
#define READER_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "overhead/calibration.h"
#include "overhead/correct.h"
#include "rebuild.h"
#include "recording/owner.h"

/* The kind of correction of a recording's times. */
enum correction {
	CORRECTION_MISSING,  /* none: no calibration fits */
	CORRECTION_UNWANTED, /* none: so requested, or the clock counts events */
	CORRECTION_NUMBER,   /* seconds per event, as requested ... */
	CORRECTION_RECORDED, /* ... or from the recording (PYSHIM_BIAS) */
	CORRECTION_FILE,     /* the requested calibration ... */
	CORRECTION_KEPT,     /* ... or the kept one */
};

/* A source that has been read. For a pstats file, only the fields from `name` on are set. */
struct source {
	struct pyprof_header header;
	struct rebuild_summary summary;
	uint64_t n_lost[PYPROF_LOST_CAUSES]; /* events */
	uint64_t n_bad;			     /* invalid blocks, rings and names */
	double seconds_per_tick;
	double self_s; /* sum of self times of all threads, as reported */
	double cpu_s;  /* CPU time of the process, or NAN */
	enum correction correction;
	struct calibration calibration; /* its key is the recording's */
	struct correct_result bias;
	bool live;
	enum owner_state state; /* of the recorded process */
	char *name;		/* printable */
	size_t n_functions;	/* of a pstats file */
	bool is_pstats;
};

/* True if events are missing or the recording is inconsistent, for --strict. */
bool source_has_loss(const struct source *s);

/*
 * Returns the seconds from the first event to the end. If each thread has a clock of its own, it is
 * the sum over all rings.
 */
double source_recorded_s(const struct source *s);

#endif
