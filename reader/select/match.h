/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A regular expression of Python's re, as pstats uses it: re.search in texts, and repr. pattern.h
 * translates it, PCRE2 searches.
 *
 * Called by selection.c, one thread at a time for each struct match, which owns PCRE2's memory. It
 * must not print, except to the stream of match_put_repr.
 */
#ifndef READER_MATCH_H
#define READER_MATCH_H

#include <stdio.h>

#include "base/error.h"
#include "pattern.h"

struct match {
	void *code, *data; /* PCRE2's; both NULL after an error and after match_fini */
};

/*
 * `pattern` is any bytes, as for pattern_translate. 0; -EINVAL: not a regular expression of re;
 * -ENOTSUP: PCRE2 has no equal of it; or -ENOMEM. `e` has the reason of the first two errors. After
 * an error there is nothing to free, and match_fini is allowed.
 */
int match_init(struct match *m, struct text pattern, struct error *e);
void match_fini(struct match *m);

/* 1: found, 0: not found. -ENOMEM, or -ENOTSUP with the reason in `e`: it takes too many steps. */
int match_search(struct match *m, struct text t, struct error *e);

/* Python's repr of the pattern. 0 or -ENOMEM. */
int match_put_repr(FILE *to, struct text pattern);

#endif
