/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file of the recording and the memory in it: create, reserve, map, publish.
 *
 * The file gets a length at once that it will hardly outgrow, and is mapped as long. Pages are
 * reserved from its start on, a step at a time, through the mapping (MADV_POPULATE_WRITE): that
 * needs no descriptor and no right to the file, so it works after the program has changed its user
 * or its root, and a full file system is an error and no SIGBUS. No descriptor stays open. Where
 * the kernel is older (before 5.14) or the file needs to become longer, it is opened by its name
 * for a moment, and must be the same inode.
 *
 * What the file says is not believed, for others may have written it: sizes and places are private.
 *
 * Writers hold the GIL of the main interpreter; region_create and region_alloc need nothing else.
 */
#ifndef SHIM_REGION_H
#define SHIM_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pyprof/format.h"
#include "share.h"

#define REGION_BLOCK_BYTES (16u << 10) /* header.block_bytes */

/* What another process needs to know to continue in the file. */
struct region_size {
	uint64_t length, reserved_bytes, used_bytes; /* as in struct region */
};

struct region {
	uint8_t *base;		      /* where offset 0 is mapped; NULL: there is no recording */
	struct pyprof_header *header; /* the same place */
	uint8_t *mirror;    /* the file once more, where a filter may forbid to move a mapping */
	uint8_t *aside;	    /* in a forked child, before its own recording begins: the parent's */
	uint64_t map_bytes; /* the address range */
	uint64_t length;    /* of the file */
	uint64_t reserved_bytes;   /* of the file, from its start */
	uint64_t used_bytes;	   /* given out */
	uint64_t refused_bytes;	   /* the file could not become that large, or 0 ... */
	uint64_t refused_until_ns; /* ... and is not asked to until then, CLOCK_MONOTONIC ... */
	bool refused_by_limit;	   /* ... or while RLIMIT_FSIZE is what it is */
	uint64_t share_until_ns;   /* rings have had their share, and do not ask again until then */
	enum share share;	   /* what they were told */
	uint64_t share_bytes;	   /* that they may take without asking again */
	uint64_t device, inode;
	uint64_t root_inode;	       /* of "/": another one means that the path leads elsewhere */
	uint64_t process_start;	       /* header.process_start */
	int pid;		       /* whose recording this is */
	struct region_size *published; /* kept up to date for other processes (family.c), or NULL */
	char path[256];
};

extern struct region region;

/*
 * Makes the file of this process and fills its header, but for `magic`: region_open_for_readers
 * stores that. 0, or -errno with the reason for PYSHIM_DEBUG.
 */
int region_create(const struct pyprof_header *preset);
void region_open_for_readers(void);

/*
 * In a forked child, in place of region_create: goes on in the recording of an ended process, which
 * `r` describes but for the mapping; its process, and that of `own`, is the caller. 0 or -errno.
 */
int region_adopt(struct region *r, const struct pyprof_header *own);

/* Removes a file that region_create made and that will not be used. */
void region_abandon(void);

/* Forgets the mapping of this process; the file stays. */
void region_unmap(struct region *r);

/*
 * In a forked child: replaces the parent's recording in this address range by private memory, so
 * that nothing the child still does to it reaches the parent; the recording moves to `aside`, or
 * the mirror is there. Async-signal-safe.
 */
void region_detach(void);

/*
 * Takes zeroed space from the end, rounded up to PYPROF_EXTENT_ALIGN, for what a recording cannot
 * do without. Its offset, or 0 when there is none to be had.
 */
uint64_t region_alloc(uint64_t bytes);

/*
 * The same for a ring, which can do without: only within the share that rings may have (share.h).
 */
uint64_t region_alloc_ring(uint64_t bytes);

/* Copies the sizes to region.published. A few stores. */
void region_publish_size(void);

/* Whether rings have more than their share, and are to give back what they can do without. */
bool region_is_short(void);

/*
 * Gives space back, for what is taken later, or for other programs. A reader may still be looking
 * there: what led to it has been changed before, and readers look at that again behind what they
 * have read.
 */
void region_free(uint64_t offset, uint64_t bytes);

static inline void *region_at(uint64_t offset)
{
	return region.base + offset;
}

static inline uint64_t region_offset(const void *at)
{
	return (uint64_t)((const uint8_t *)at - region.base);
}

/*
 * The header of this process's recording, or in a forked child whose own has not begun, of its
 * parent's.
 */
static inline struct pyprof_header *region_shared_header(void)
{
	return region.aside ? (struct pyprof_header *)region.aside : region.header;
}

/* Space that was given out, by an offset that the file holds; NULL where that leads elsewhere. */
static inline void *region_check(uint64_t offset, uint64_t bytes)
{
	if (!offset || offset % 8 || bytes > region.used_bytes ||
	    offset > region.used_bytes - bytes)
		return NULL;
	return region_at(offset);
}

#endif
