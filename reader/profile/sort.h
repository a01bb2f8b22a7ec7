/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sort keys, as pstats.Stats.sort_stats has them: the words and those of their abbreviations that
 * pstats takes, or one number alone. Pure.
 */
#ifndef READER_SORT_H
#define READER_SORT_H

#include <stdbool.h>
#include <stddef.h>

#include "profile.h"

#define SORT_MAX_KEYS 32
#define SORT_MAX_COLUMNS 8 /* as many as there are: one that comes again decides nothing */

struct sort_keys {
	unsigned char key[SORT_MAX_KEYS];
	size_t n_keys; /* 0: listed order */
	unsigned char column[SORT_MAX_COLUMNS];
	size_t n_columns;
	bool of_samples; /* one of them is only for sampled profiles */
	char error[256]; /* what sort_keys_parse returned, if it did not like the keys */
};

/* NULL, or what was found and what was expected; the text is inside `out`. */
const char *sort_keys_parse(const char *const *keys, size_t n, struct sort_keys *out);

/*
 * The words that there are, in pstats' order, and what each sorts by: the i-th, or NULL behind the
 * last. Those of samples are not among them.
 */
const char *sort_word(size_t i, const char **title);

/* What key `i` sorts by, in pstats' words ("internal time"). */
const char *sort_key_title(const struct sort_keys *keys, size_t i);

/*
 * Fills `order`, which has room for p->n_listed, with indices into p->fn. Ties keep the listed
 * order, and `reverse` turns the whole list around, ties too; without keys it does nothing, as in
 * pstats. 0 or -ENOMEM.
 */
int sort_keys_apply(const struct profile *p, const struct sort_keys *keys, bool reverse,
		    size_t *order);

#endif
