/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens a recording and checks it once: what follows works on a trusted view. The target may
 * still be running and writing; nothing of it is changed here. A copy of a running target's file
 * is no live recording: nobody writes it.
 *
 * Nothing in the file is believed: the header is a private, checked copy, and whatever an offset
 * leads to is reached through attach_at, which knows the limits. A file that shrinks while it is
 * being read gives zeroes.
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
	uint64_t bytes;	     /* in use, when it was opened */
	uint64_t real_bytes; /* of these, what is no hole */
	uint64_t map_bytes;  /* more than `bytes`: a live target makes the file longer */
	struct pyprof_header
		header; /* after a failure too, as far as it was read: magic is not 0 then */
	char *path;
	bool live; /* it may still be written to: its process has not ended at attach_open ... */
	struct owner owner; /* ... as far as that can be seen from here */
	bool copied;	    /* it is not the file that the target made */
	struct error error; /* after a failure */
};

/*
 * Lets attach_open open a file of another user, who could have put anything there, and follow his
 * symbolic links; else it refuses both. Root's files are nobody's trap. For the whole process,
 * before the first of them.
 */
void attach_allow_foreign(void);

/* 0 or -errno with `error` set. */
int attach_open(struct attach *a, const char *path);
void attach_close(struct attach *a);

/* How long the file is by now, as far as it is mapped. */
uint64_t attach_bytes(const struct attach *a);

/*
 * How much of the file holds data, holes left out: what work and memory are bounded by. Of a live
 * recording, by now.
 */
uint64_t attach_real_bytes(const struct attach *a);

/* The bytes at an offset, aligned to 8, or NULL where the file has none. */
const void *attach_at(const struct attach *a, uint64_t offset, uint64_t bytes);

/*
 * Lets a bus error in this mapping, where the file has become shorter, give zeroes; `prot` is the
 * mapping's. Undone before it is unmapped.
 */
void attach_guard(const void *base, uint64_t bytes, int prot);
void attach_unguard(const void *base);

#endif
