/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of fold.h in private memory: empty, or as a ring's fold table in the recording has
 * them, with a fold that was cut off undone.
 */
#ifndef READER_TABLES_H
#define READER_TABLES_H

#include "attach.h"
#include "pyprof/fold.h"

/* 0 or -ENOMEM. */
int tables_init(struct pyprof_fold *f);
void tables_fini(struct pyprof_fold *f);

/*
 * Takes over what the ring has folded up to block number `folded`, into empty tables. 0, -ENOMEM,
 * or -EINVAL where the table makes no sense (it may have been changed while it was copied).
 */
int tables_load(struct pyprof_fold *f, const struct attach *a, uint64_t offset, uint64_t folded);

/* What has been counted, for reading only: without indices and stack. 0 or -ENOMEM. */
int tables_copy(struct pyprof_fold *to, const struct pyprof_fold *from);

/* Forgets what has been counted, but neither the time nor the room that there is. The stack is empty. */
void tables_clear(struct pyprof_fold *f);

#endif
