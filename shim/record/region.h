/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file of the recording and the memory in it: create, reserve, map, publish.
 *
 * The file gets at once a length that it will hardly outgrow, and is mapped as a whole. Pages are
 * reserved from its start on, a step at a time, through the mapping (MADV_POPULATE_WRITE). That
 * needs no descriptor and no right to the file, so it works after the program has changed its user
 * or its root; and a full file system is an error instead of a SIGBUS. No descriptor stays open. If
 * the kernel is older (before 5.14) or the file must become longer, it is opened by its name for a
 * moment, and must be the same inode.
 *
 * The contents of the file are not trusted, because others may have written it: sizes and offsets
 * are kept privately.
 *
 * Called by any thread with the GIL of the main interpreter, except where async-signal-safe is
 * said; region_create and region_alloc need nothing else.
 */
#ifndef SHIM_REGION_H
#define SHIM_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pyprof/format.h"
#include "share.h"

#define REGION_BLOCK_BYTES (16u << 10) /* header.block_bytes */

/* The sizes that another process needs to continue the file. */
struct region_size {
	uint64_t length, reserved_bytes, used_bytes; /* as in struct region */
};

struct region {
	uint8_t *base;		      /* where offset 0 is mapped; NULL: no recording */
	struct pyprof_header *header; /* the same address */
	uint8_t *mirror;	      /* a second mapping, if a filter may forbid to move one */
	uint8_t *aside;		   /* in a forked child without its own recording: the parent's */
	uint64_t map_bytes;	   /* size of the address range */
	uint64_t length;	   /* length of the file */
	uint64_t reserved_bytes;   /* reserved from the start of the file */
	uint64_t used_bytes;	   /* given out, from the start */
	uint64_t refused_bytes;	   /* growing to this size failed; 0: it did not ... */
	uint64_t refused_until_ns; /* ... and is not tried until then, CLOCK_MONOTONIC ... */
	bool refused_by_limit;	   /* ... or while RLIMIT_FSIZE forbids it */
	uint64_t share_until_ns;   /* rings have their share and do not ask until then */
	enum share share;	   /* the latest answer of share_ask */
	uint64_t share_bytes;	   /* bytes that rings may take without asking again */
	uint64_t device, inode;
	uint64_t root_inode;	       /* of "/"; another one: the path leads elsewhere */
	uint64_t process_start;	       /* header.process_start */
	int pid;		       /* the process of this recording */
	struct region_size *published; /* for other processes (family.c), or NULL */
	char path[256];
};

extern struct region region;

/*
 * Makes the file of this process and fills its header, except `magic`, which
 * region_open_for_readers stores. Returns 0, or -errno; PYSHIM_DEBUG shows the reason.
 */
int region_create(const struct pyprof_header *preset);
void region_open_for_readers(void);

/*
 * Called in a forked child, instead of region_create: continues the recording of an ended process.
 * `r` describes it, without the mapping; `r` and `own` already name the caller as its process.
 * Returns 0 or -errno.
 */
int region_adopt(struct region *r, const struct pyprof_header *own);

/* Removes a file that region_create made and that will not be used. */
void region_abandon(void);

/* Unmaps the recording in this process; the file stays. */
void region_unmap(struct region *r);

/*
 * Called in a forked child: replaces the parent's recording in this address range by private
 * memory, so that stores of the child do not reach the parent. The recording moves to `aside`, or
 * the mirror becomes `aside`. Async-signal-safe.
 */
void region_detach(void);

/*
 * Takes zeroed space, rounded up to PYPROF_EXTENT_ALIGN, for data that a recording must have.
 * Returns its offset, or 0 if there is no space.
 */
uint64_t region_alloc(uint64_t bytes);

/* The same for blocks, which a ring can work without: only within the share of rings (share.h). */
uint64_t region_alloc_ring(uint64_t bytes);

/* Copies the sizes to region.published. Takes a few stores. */
void region_publish_size(void);

/* True if rings have more than their share, and should give back blocks. */
bool region_is_short(void);

/*
 * Gives space back, for later use or for other programs. Readers may still be reading it. The
 * reference to it must have been changed before; readers check that reference again after reading.
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
 * Returns the header of this process's recording; in a forked child whose own has not begun, that
 * of its parent's.
 */
static inline struct pyprof_header *region_shared_header(void)
{
	return region.aside ? (struct pyprof_header *)region.aside : region.header;
}

/*
 * Returns space that was given out, by an offset from the file; NULL if the offset leads elsewhere.
 */
static inline void *region_check(uint64_t offset, uint64_t bytes)
{
	if (!offset || offset % 8 || bytes > region.used_bytes ||
	    offset > region.used_bytes - bytes)
		return NULL;
	return region_at(offset);
}

#endif
