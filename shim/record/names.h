/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Appends entries to the recording's name table. Called with the GIL held.
 */
#ifndef SHIM_NAMES_H
#define SHIM_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pyprof/format.h"
#include "python/label.h"

/* Starts an empty table in a new recording. */
void names_reset(void);

/*
 * In a forked child, in place of names_reset: copies the functions' entries of the parent, whose
 * recording is mapped at `parent`. They have the same places. False: no space.
 */
bool names_inherit(const uint8_t *parent);

/*
 * Goes on in the table of a recording that another process has begun: calls `use` for each
 * function's entry, whose length and texts lie within the table. False: the table is damaged, or
 * `use` says no.
 */
bool names_adopt(bool (*use)(const struct pyprof_name *name, uint64_t place));

/*
 * The place of the published entry, or 0 when there is no space. Of a function's entry it is 8 more
 * than the bytes of all before it, which is the same in each recording that has inherited them.
 */
uint64_t names_publish(const struct label_entry *e);

/* A function's entry by its place. */
const struct pyprof_name *names_at(uint64_t place);

#endif
