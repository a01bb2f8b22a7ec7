/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The recording's name table: appends entries. Any thread with the GIL. Must not change a published
 * entry.
 */
#ifndef SHIM_NAMES_H
#define SHIM_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pyprof/format.h"
#include "python/label.h"

/* Begins an empty table in a new recording. */
void names_reset(void);

/*
 * Called in a forked child, instead of names_reset: copies the functions' entries from the parent's
 * recording, which is mapped at `parent`. They keep their places. False: no space.
 */
bool names_inherit(const uint8_t *parent);

/*
 * Continues the table of a recording that another process has begun: calls `use` for each
 * function's entry, whose length and texts lie within the table. False: the table is damaged, or
 * `use` returned false.
 */
bool names_adopt(bool (*use)(const struct pyprof_name *name, uint64_t place));

/*
 * Publishes an entry. Returns its place, or 0 if there is no space. The place of a function's entry
 * is 8 more than the bytes of all entries before it, so it is the same in each recording that
 * inherited them.
 */
uint64_t names_publish(const struct label_entry *e);

/* Returns a function's entry by its place. */
const struct pyprof_name *names_at(uint64_t place);

#endif
