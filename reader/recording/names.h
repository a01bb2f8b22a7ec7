/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The name table of a recording, copied and checked: number -> file, line, function; thread ->
 * name, native id. Its memory is bounded by what the file really holds, whatever the numbers are.
 */
#ifndef READER_NAMES_H
#define READER_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach.h"
#include "profile/profile.h"

struct name {
	struct text file, name, qualname;
	struct text cprofiles; /* of a C function: what cProfile calls it; "" for the same */
	uint32_t number;
	uint32_t order;	     /* in which the entries were written */
	int32_t line;	     /* of a thread: its native id */
	uint32_t code_bytes; /* 0: not known */
	uint16_t kind;
	uint16_t flags;
};

struct name_list {
	struct name *name; /* in the order of their numbers, each once */
	size_t n, cap;
};

struct names {
	struct name_list fn, thread;
	char **copy; /* the entries, which the texts point into */
	size_t n_copies, cap_copies;
	uint64_t n_bad; /* entries that made no sense */
};

/* 0 or -ENOMEM. */
int names_read(struct names *n, const struct attach *a);
void names_fini(struct names *n);

/* Where a function stands in names.fn, or SIZE_MAX. */
size_t names_find(const struct names *n, uint32_t number);

/* Whether the number has a name in what has been read. */
bool names_has(const struct names *n, uint32_t number);

/* Never NULL: a number without a name has a made-up one. */
const struct name *names_fn(const struct names *n, uint32_t number);

/* NULL where the thread has left no name. */
const struct name *names_thread(const struct names *n, uint32_t number);

#endif
