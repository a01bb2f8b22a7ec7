/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The load of the machine, from /proc/stat and the quota of the control group. Called by
 * calibrate.c around each process, in the reader's one thread. Owns nothing. It must not fail a
 * calibration: where a file is missing, its part of the load is 0.
 */
#ifndef READER_MACHINE_H
#define READER_MACHINE_H

#include <stdbool.h>

/* Seconds since boot, of all processors together. */
struct machine_time {
	double busy_s;	/* this machine's own work */
	double steal_s; /* taken by the hypervisor for other machines */
	double all_s;	/* both, and idle time */
	/* Not of all processors together: */
	double throttled_s; /* in which the quota of a control group stopped it */
	double now_s;	    /* CLOCK_MONOTONIC */
};

/* The time between two readings: 0 to 1, 0 if unknown. */
struct machine_load {
	double others;	  /* work of other processes, as a part of the machine's time */
	double steal;	  /* part of the time that this machine had work for */
	double throttled; /* part of the time between the readings */
};

/* Parses the first line of /proc/stat. `tick_s`: seconds a tick. False, and all 0: another line. */
bool machine_parse(struct machine_time *m, const char *line, double tick_s);

/* False, and all 0 except now_s and throttled_s, where /proc/stat cannot be read. */
bool machine_read(struct machine_time *m);

/* `own_s`: processor time that the measured process and the reader had between both readings. */
struct machine_load machine_compare(const struct machine_time *before,
				    const struct machine_time *after, double own_s);

#endif
