/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random numbers of this process for its hash tables. Without them, a file could hold numbers and
 * names that all collide, because the hash would be known. Owns the numbers. A constructor sets
 * them, so any thread may read them from the start of main(). Nothing may change them afterwards.
 */
#ifndef READER_SEED_H
#define READER_SEED_H

#include <stdint.h>

/* Both are odd, as multipliers of a hash must be. */
extern uint64_t seed_odd[2];

#endif
