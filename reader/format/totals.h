/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Explains, for several sources in one report, why the sum of their times is not the time that
 * passed. text.c calls it. It owns no state. It must not change the sources.
 */
#ifndef READER_TOTALS_H
#define READER_TOTALS_H

#include <stdio.h>

#include "preamble.h"

/* Prints a line and an empty one if the times differ. `self_s`: the sum over all functions. */
void totals_print(FILE *to, const struct source *sources, size_t n, double self_s);

#endif
