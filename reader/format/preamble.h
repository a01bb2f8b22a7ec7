/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints the facts about a source that are not in its profile: origin, corrections, losses and
 * checks. text.c, process_tree.c, main.c and the browser call it. It owns no state. It must not
 * change the source.
 */
#ifndef READER_PREAMBLE_H
#define READER_PREAMBLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "load/source.h"

/* The remark about several threads and PYPROF_CLOCK_CPU, without a newline. */
extern const char preamble_shared_clock[];

/* True if two times that should be equal differ visibly: by 1 ms at least, and by more than 1 %. */
bool preamble_differ(double a_s, double b_s);

/* The preamble. `total`: explain why the sum of the times is not the recorded time, too. */
void preamble_print(FILE *to, const struct source *s, bool verbose, bool total);
/* Only its first line, which names the source. */
void preamble_print_label(FILE *to, const struct source *s);
/* A line that names the thread of a report. */
void preamble_print_thread(FILE *to, const struct source *s, const struct rebuild_thread *t);
/* The calibration that corrects the times, and by how much; or that there is none. */
void preamble_print_correction(FILE *to, const struct source *s);
/* A line for each kind of loss or failed check. */
void preamble_print_losses(FILE *to, const struct source *s);
/* If there are losses: a heading and these lines. For reports without a visible preamble. */
void preamble_warn(FILE *to, const struct source *s);
/* Calls that ran before the first event, and at the end. */
void preamble_print_running(FILE *to, const struct source *s);

/* --check: calls and returns without a counterpart, and the conservation laws. */
void preamble_print_checks(FILE *to, const struct source *s);

#endif
