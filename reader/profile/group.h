/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Adds functions up under their module, package or file, for --by-module, --by-package, --by-file
 * and --imports-as-one. Owns nothing between calls. load/sources.c calls it when all sources are
 * added up; one thread at a time.
 *
 * A group counts as one function, as if all its functions shared one name: ncalls and tottime are
 * sums, a call from one of its functions to another is a recursive call, and cumtime does not count
 * nested calls again. Its file is "~" and its line 0, for which pstats prints the name alone.
 */
#ifndef READER_GROUP_H
#define READER_GROUP_H

#include "contexts.h"
#include "profile.h"

enum group_by {
	GROUP_FUNCTION, /* every function is its own */
	GROUP_MODULE,
	GROUP_PACKAGE,
	GROUP_FILE,
};

struct grouping {
	enum group_by by;
	bool imports;	 /* importing is one group, named <import> (imports.h) */
	bool strip_dirs; /* groups are named without folders */
};

static inline bool grouping_any(const struct grouping *how)
{
	return how->by != GROUP_FUNCTION || how->imports;
}

/*
 * Replaces the functions of `p` by groups, and those of `c` too, if it has nodes: there, a path of
 * functions of one group becomes one node. Cumulative times and primitive calls of groups are
 * derived from `c`. They are exact if it has the contexts of all calls in `p`, which `is_whole`
 * says. For the other calls they are upper bounds (group_bounds.h), and is_bound is set.
 *
 * 0, or -ENOMEM; then `p` and `c` may be empty.
 */
int group_apply(struct profile *p, struct contexts *c, bool is_whole, const struct grouping *how);

/* The number of functions whose is_bound is set. */
size_t group_bound_rows(const struct profile *p);

#endif
