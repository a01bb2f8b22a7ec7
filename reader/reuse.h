/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many calls lie between two of the same edge, as far as a fold's tables tell: what the processor's caches and
 * predictors still remember of an edge, and so what a call costs, depends on it.
 *
 * An edge that a function takes twice and more in one go is in a loop or a recursion, so between two of its calls lie
 *
 *	calls within the function / calls of the edge
 *
 * one that it takes about once in a go comes again when the function does, which is as far apart as the edges that
 * lead to it are on average; and no edge is further apart than all calls / its own.
 */
#ifndef READER_REUSE_H
#define READER_REUSE_H

#include "pyprof/fold.h"

/*
 * The natural logarithms of these distances, 0 and more: by edge, and by slot of functions as those who lead to
 * them are apart. 0 or -ENOMEM.
 */
int reuse_find(const struct pyprof_fold *f, double *edge, double *fn);

#endif
