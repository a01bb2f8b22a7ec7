/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Follows a list of extents (names, rings) in a mapped recording, which may be damaged or still
 * grow. Owns nothing; the caller owns the mapping. names.c, drain.c and consume.c call it, each
 * struct from one thread. It must not write the mapping, nor read beyond the file. A list that
 * leads out of the file or in a circle ends.
 */
#ifndef READER_EXTENTS_H
#define READER_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "pyprof/format.h"

struct extents {
	const uint8_t *base;  /* address of offset 0 */
	uint32_t kind;	      /* enum pyprof_extent_kind */
	const uint64_t *link; /* the field that holds the offset of the next extent */
	uint64_t sum_bytes;   /* total length of the extents so far */
	bool bad;	      /* the list ended at an invalid extent */
};

/* `link` is header.names or header.rings in the mapping. */
void extents_begin(struct extents *e, const uint8_t *base, uint32_t kind, const uint64_t *link);

/*
 * Returns the next extent, or NULL at the end of the list. `file_bytes` is the number of bytes that
 * may be accessed now. *used_bytes is the written part of the extent, from the size of its header
 * to its length.
 */
const struct pyprof_extent *extents_next(struct extents *e, uint64_t file_bytes,
					 uint64_t *used_bytes);

#endif
