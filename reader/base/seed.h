/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random numbers of this process, for its hash tables: the numbers and names in a file could be
 * chosen so that they all meet in one place of a table whose hash is known. Constant from the start
 * of main() on, so that any thread may read them.
 */
#ifndef READER_SEED_H
#define READER_SEED_H

#include <stdint.h>

/* Both are odd. */
extern uint64_t seed_odd[2];

#endif
