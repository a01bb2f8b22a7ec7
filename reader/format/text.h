/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text report: preambles, tables of the process tree and of threads, and the reports of
 * report.h. On a terminal it fits the window, where nobody has said how much is wanted.
 */
#ifndef READER_TEXT_H
#define READER_TEXT_H

#include <stdio.h>

#include "show.h"

int text_write(FILE *to, const struct reading *r, const struct show *show, struct error *e);

#endif
