/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What pstats does with a regular expression: re.search in texts, and repr of it. One thread at a
 * time for one struct match.
 */
#ifndef READER_MATCH_H
#define READER_MATCH_H

#include <stdio.h>

#include "pattern.h"

struct match {
	void *code, *data; /* PCRE2's */
};

/*
 * As PATTERN_*: on all but PATTERN_OK there is nothing to close. `pattern` is as it was typed, see
 * pattern_translate.
 */
enum pattern_status match_open(struct match *m, struct text pattern);
void match_close(struct match *m);

/* 1: found in it, 0: not; -ENOMEM, or -E2BIG where the search takes too many steps. */
int match_search(struct match *m, struct text t);

/* Python's repr of the pattern. 0 or -ENOMEM. */
int match_put_repr(FILE *to, struct text pattern);

#endif
