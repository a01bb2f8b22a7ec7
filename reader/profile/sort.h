/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sort keys of pstats.Stats.sort_stats: its words, the abbreviations that it accepts, or one number
 * alone. Owns nothing. The option parser, report and browse call it, from any thread. It must not
 * change the profile.
 */
#ifndef READER_SORT_H
#define READER_SORT_H

#include <stdbool.h>
#include <stddef.h>

#include "profile.h"

#define SORT_MAX_KEYS 32
#define SORT_MAX_COLUMNS 8 /* number of columns; a repeated one has no effect */

struct sort_keys {
	unsigned char key[SORT_MAX_KEYS];
	size_t n_keys; /* 0: listed order */
	unsigned char column[SORT_MAX_COLUMNS];
	size_t n_columns;
	bool of_samples; /* a key is only for sampled profiles */
	char error[256]; /* text that sort_keys_parse returned for invalid keys */
};

/* Returns NULL, or the text of an error, which is stored in out->error. */
const char *sort_keys_parse(const char *const *keys, size_t n, struct sort_keys *out);

/*
 * Returns word `i` in pstats' order, or NULL after the last one. *title is the description of its
 * order. The words for sampled profiles are left out.
 */
const char *sort_word(size_t i, const char **title);

/* Returns pstats' description of key `i`, such as "internal time". */
const char *sort_key_title(const struct sort_keys *keys, size_t i);

/*
 * Fills `order`, which has room for p->n_listed entries, with indices into p->fn. Ties keep the
 * listed order. `reverse` reverses the whole list, ties included; without keys it has no effect, as
 * in pstats. 0 or -ENOMEM.
 */
int sort_keys_apply(const struct profile *p, const struct sort_keys *keys, bool reverse,
		    size_t *order);

#endif
