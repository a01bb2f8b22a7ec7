/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How busy the machine is, from /proc/stat. Called by --calibrate, in the reader's one thread.
 */
#ifndef READER_MACHINE_H
#define READER_MACHINE_H

#include <stdbool.h>

/* Seconds since boot, of all processors together. */
struct machine_time {
	double busy_s;	/* this machine's own work */
	double steal_s; /* taken by the hypervisor for others */
	double all_s;	/* these, and idle time */
};

/* What happened between two readings, as parts of the machine's time; 0 where nothing is known. */
struct machine_load {
	double others; /* work of other processes */
	double steal;
};

/* The first line of /proc/stat. False where it is something else. */
bool machine_parse(struct machine_time *m, const char *line, double tick_s);

/* False, and all 0, where /proc/stat cannot be read. */
bool machine_read(struct machine_time *m);

/* `own_s`: processor time that the measured process and the reader had between the two. */
struct machine_load machine_compare(const struct machine_time *before,
				    const struct machine_time *after, double own_s);

#endif
