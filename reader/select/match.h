/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What pstats does with a regular expression: re.search in texts, and repr of it. One thread at a
 * time for one struct match.
 */
#ifndef READER_MATCH_H
#define READER_MATCH_H

#include <stdio.h>

#include "base/error.h"
#include "pattern.h"

struct match {
	void *code, *data; /* PCRE2's */
};

/*
 * `pattern` is as it was typed, see pattern_translate. 0, -EINVAL where re would not take it,
 * -ENOTSUP where PCRE2 cannot do it, or -ENOMEM; the first two with the reason in `e`. On an error
 * there is nothing to close.
 */
int match_open(struct match *m, struct text pattern, struct error *e);
void match_close(struct match *m);

/* 1: found in it, 0: not; -ENOMEM, or -ENOTSUP with the reason: it takes too many steps. */
int match_search(struct match *m, struct text t, struct error *e);

/* Python's repr of the pattern. 0 or -ENOMEM. */
int match_put_repr(FILE *to, struct text pattern);

#endif
