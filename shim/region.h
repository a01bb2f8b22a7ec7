/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file of the recording and the memory in it: create, reserve, map, publish.
 *
 * The file is mapped once, at an address range that is larger than it will grow; space is taken
 * from its end. Nothing is touched before posix_fallocate has reserved it, so a full file system is
 * an error here and never a SIGBUS. No descriptor stays open: one that is needed to grow is opened by
 * name for that moment, and must lead to the same inode.
 *
 * Writers hold the GIL of the main interpreter; region_create and region_alloc need nothing else.
 */
#ifndef SHIM_REGION_H
#define SHIM_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pyprof/abi.h"

struct region {
	uint8_t *base;		      /* where offset 0 is mapped; NULL: there is no recording */
	struct pyprof_header *header; /* the same place */
	uint64_t map_bytes;	      /* the address range */
	uint64_t reserved_bytes;      /* of the file, from its start */
	uint64_t used_bytes;	      /* given out */
	uint64_t needed_bytes;	/* of those, what the recording cannot do without: all but spare */
	uint64_t refused_bytes; /* the file could not become that large, or 0 ... */
	uint64_t refused_until_ns; /* ... and is not asked to until then, CLOCK_MONOTONIC */
	uint64_t device, inode;
	int pid; /* whose recording this is */
	char path[256];
};

extern struct region region;

/*
 * Makes the file of this process and fills its header, but for `magic`: region_open_for_readers
 * stores that. 0, or -errno with the reason for PYSHIM_DEBUG.
 */
int region_create(const struct pyprof_header *preset);
void region_open_for_readers(void);

/* Forgets the mapping of this process; the file stays. */
void region_unmap(struct region *r);

/*
 * Takes zeroed space from the end, rounded up to PYPROF_EXTENT_ALIGN. Its offset, or 0 when
 * there is none to be had.
 */
uint64_t region_alloc(uint64_t bytes);

/*
 * The same, for what can be done without: only where space remains, and is reserved, for all else to
 * become four times as much as it is: the tables may double twice.
 */
uint64_t region_alloc_spare(uint64_t bytes);

static inline void *region_at(uint64_t offset)
{
	return region.base + offset;
}

static inline uint64_t region_offset(const void *at)
{
	return (uint64_t)((const uint8_t *)at - region.base);
}

#endif
