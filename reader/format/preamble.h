/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said about a recording beside its profile: where it is from, what was lost, what was
 * checked. Pure but for the stream.
 */
#ifndef READER_PREAMBLE_H
#define READER_PREAMBLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "load/rebuild.h"
#include "overhead/bias.h"
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

/* Whether anything is missing or does not fit. */
bool preamble_has_loss(const struct source *s);

/* From the first event to the end; with a clock of each thread's own, of all threads together. */
double preamble_recorded_s(const struct source *s);

/* Whether two times, of which a reader would expect that they are one, are not. */
bool preamble_differ(double a_s, double b_s);

/* `total`: what makes the sum of the times differ from the time that was recorded is said, too. */
void preamble_print(FILE *to, const struct source *s, bool verbose, bool total);
/* Only which source it is, in one line. */
void preamble_print_label(FILE *to, const struct source *s);
/* Which thread of the source a report is on. */
void preamble_print_thread(FILE *to, const struct source *s, const struct rebuild_thread *t);
/* What is missing or does not fit. */
void preamble_print_losses(FILE *to, const struct source *s);
/* One line and those, where something is; for when nobody sees a preamble. */
void preamble_warn(FILE *to, const struct source *s);
/* What ran before the first event, and at the end. */
void preamble_print_running(FILE *to, const struct source *s);
/* The command, `bytes` of it at most (0: all there is), without a newline. */
void preamble_print_command(FILE *to, const struct pyprof_header *h, size_t bytes);
const char *preamble_clock_name(uint32_t clock);

/* --check: the conservation laws, and how unmatched returns were resolved. */
void preamble_print_checks(FILE *to, const struct source *s);

#endif
