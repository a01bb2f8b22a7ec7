/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes labels fit to be shown: functions with equal labels are distinguished by their qualified
 * names, and control characters, which a terminal would obey, are escaped. report.c calls it. It
 * owns the texts that it puts into labels, until shown_close. It must not change the profile.
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

/* Distinguishes the functions fn[0 .. n) of `p`; `label` has the labels of all. 0 or -ENOMEM. */
int shown_tell_apart(struct shown *s, const struct profile *p, const size_t *fn, size_t n,
		     struct text *label);

/* Replaces control characters of n labels by \n, \x1b and so on, as Python's repr. 0 or -ENOMEM. */
int shown_escape(struct shown *s, struct text *label, size_t n);

void shown_close(struct shown *s);

#endif
