/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions of a recording in a profile's table: what they are called there. Owns the ordinals
 * of functions that are kept apart. rebuild.c and add_tree.c call it, from one thread. It must not
 * change the names.
 */
#ifndef READER_LABELS_H
#define READER_LABELS_H

#include "profile/profile.h"
#include "recording/names.h"

struct labels {
	bool by_code;  /* functions with one file, line and name are kept apart: f, f#2, ... */
	bool cprofile; /* C functions have cProfile's names */
	/* Indexed like names.fn: 0, 1, ... among those with one file, line and name. NULL: all 0. */
	uint32_t *ordinal;
	size_t n_ordinals;
};

/* Call it whenever names have been read, before labels_add. 0 or -ENOMEM. */
int labels_update(struct labels *l, const struct names *names);
void labels_fini(struct labels *l);

/* Adds the function of that number to `p`. Returns its index there, or SIZE_MAX without memory. */
size_t labels_add(const struct labels *l, const struct names *names, struct profile *p,
		  uint32_t number);

#endif
