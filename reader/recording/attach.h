/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens a recording, maps it and checks its header. Owns the mapping, the descriptor and a private
 * copy of the header. The functions that read a recording call it first, from one thread;
 * attach_bytes, attach_real_bytes and attach_at may then be called from several. It never changes
 * the file, which the target may still be writing. A copy of a running target's file is not live,
 * because no process writes the copy.
 *
 * It trusts nothing in the file. The header is a checked copy, and attach_at checks each offset
 * against the limits. A file that shrinks while it is read gives zeroes.
 */
#ifndef READER_ATTACH_H
#define READER_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "owner.h"
#include "pyprof/format.h"

struct attach {
	const uint8_t *base;
	int fd;
	uint64_t bytes;	     /* in use when the file was opened */
	uint64_t real_bytes; /* size of the data at that time, without holes */
	uint64_t map_bytes;  /* more than `bytes`, because a live target extends the file */
	/* Also set if attach_open failed after reading it; header.magic is 0 if it was not read. */
	struct pyprof_header header;
	char *path;
	bool live; /* may still be written: its process was not seen to end before attach_open */
	struct owner owner;
	bool copied;	    /* not the file that the target made */
	struct error error; /* set after a failure */
};

/*
 * Lets attach_open open files of other users and follow their symbolic links. Without it, both are
 * refused, because another user could have put anything there. Root's files are always allowed.
 * Applies to the whole process; call it before the first attach_open.
 */
void attach_allow_foreign(void);

/* Returns 0, or -errno with a->error set; then there is nothing to close. */
int attach_open(struct attach *a, const char *path);
void attach_close(struct attach *a);

/* Returns the bytes in use now, at most as many as are mapped. */
uint64_t attach_bytes(const struct attach *a);

/*
 * Returns the bytes of data in the file, holes left out; for a live recording, those of now. Work
 * and memory are bounded by this.
 */
uint64_t attach_real_bytes(const struct attach *a);

/*
 * Returns the address of `bytes` bytes at `offset`. NULL if the offset is not a multiple of 8, or
 * if the range is not within attach_bytes.
 */
const void *attach_at(const struct attach *a, uint64_t offset, uint64_t bytes);

/*
 * Lets reads of this mapping give zeroes instead of a bus error after the file was truncated.
 * `prot` is the protection of the mapping. Call attach_unguard before unmapping. At most 64
 * mappings are guarded at a time; further ones are not.
 */
void attach_guard(const void *base, uint64_t bytes, int prot);
void attach_unguard(const void *base);

#endif
