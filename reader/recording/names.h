/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The name table of a recording: function number to file, line and name; thread number to name and
 * native id. Owns checked copies of the entries. load, overhead and snapshot call it, from one
 * thread. It must not trust a number in the file: its memory is bounded by the data in the file.
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
	struct text cprofiles; /* cProfile's name of a C function; "" if it is `name` */
	uint32_t number;
	uint32_t order;	     /* position among the entries as written */
	int32_t line;	     /* first line of a function, or native id of a thread */
	uint32_t code_bytes; /* length of the bytecode; 0: not known */
	uint16_t kind;
	uint16_t flags;
};

struct name_list {
	struct name *name; /* sorted by number, each number once */
	size_t n, cap;
};

struct names {
	struct name_list fn, thread;
	char **copy; /* copied entries; the texts point into them */
	size_t n_copies, cap_copies;
	uint64_t n_bad; /* invalid entries and extents */
};

/* 0 or -ENOMEM; then `n` is empty. */
int names_read(struct names *n, const struct attach *a);
void names_fini(struct names *n);

/* Returns the index of a function in n->fn.name, or SIZE_MAX. */
size_t names_find(const struct names *n, uint32_t number);

/* True if the number has a name that was read, or is PYPROF_FN_OVERFLOW. */
bool names_has(const struct names *n, uint32_t number);

/* Never NULL: a number without a name gets a placeholder. */
const struct name *names_fn(const struct names *n, uint32_t number);

/* NULL if the thread has no name. */
const struct name *names_thread(const struct names *n, uint32_t number);

#endif
