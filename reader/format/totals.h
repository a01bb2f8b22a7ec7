/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Several sources in one report: what makes the sum of their times differ from how long it all
 * took. Pure but for the stream.
 */
#ifndef READER_TOTALS_H
#define READER_TOTALS_H

#include <stdio.h>

#include "preamble.h"

/* One line and an empty one, where there is something to say. `self_s`: of all functions. */
void totals_print(FILE *to, const struct source *sources, size_t n, double self_s);

#endif
