/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Labels -> what is shown of them: functions that would read alike are told apart by their
 * qualified names, and what would do things to a terminal is escaped. Pure. Owns what it puts into
 * labels.
 */
#ifndef READER_SHOWN_H
#define READER_SHOWN_H

#include <stdbool.h>
#include <stddef.h>

#include "profile/profile.h"

struct shown {
	struct text *qualified; /* labels by qualified names, once they are needed */
	char **escaped;
	size_t n_escaped;
};

/* Among the functions fn[0 .. n) of `p`, whose labels these are. 0 or -ENOMEM. */
int shown_tell_apart(struct shown *s, const struct profile *p, const size_t *fn, size_t n,
		     struct text *label);

/*
 * Control characters of n labels become \n, \x1b and the like, as in Python's repr. 0 or -ENOMEM.
 */
int shown_escape(struct shown *s, struct text *label, size_t n);

void shown_close(struct shown *s);

#endif
