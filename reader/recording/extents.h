/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Follows a chain of extents (names, rings) in a mapped recording, which may be damaged or still be
 * growing. A chain that leads out of the file, or round in a circle, ends. Pure but for the mapping.
 */
#ifndef READER_EXTENTS_H
#define READER_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "pyprof/format.h"

struct extents {
	const uint8_t *base;  /* where offset 0 is mapped */
	uint32_t kind;	      /* enum pyprof_extent_kind */
	const uint64_t *link; /* where the offset of the next extent stands */
	uint64_t sum_bytes;   /* of the extents so far */
	bool bad;	      /* the chain ended at something that is no such extent */
};

/* `link`: header.names or header.rings in that mapping. */
void extents_begin(struct extents *e, const uint8_t *base, uint32_t kind, const uint64_t *link);

/*
 * The next extent, or NULL at the end of the chain. `file_bytes`: how many may be accessed by now.
 * `used_bytes`: how much of the extent has been written, at most its length.
 */
const struct pyprof_extent *extents_next(struct extents *e, uint64_t file_bytes,
					 uint64_t *used_bytes);

#endif
