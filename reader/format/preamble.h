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

#include "load/source.h"

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

/* --check: the conservation laws, and how unmatched returns were resolved. */
void preamble_print_checks(FILE *to, const struct source *s);

#endif
