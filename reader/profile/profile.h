/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plain table of functions and caller edges: what every stage after the rebuild works on.
 * Owns copies of all its texts. One thread at a time. Knows nothing of recordings or formats.
 *
 * Numbers are those of pstats: a function's key is (file, line, name); `n_calls` counts every
 * call, `n_primitive` those that were not recursive; `self_s` (tottime) is the time in the function
 * itself, `total_s` (cumtime) the time until it returned, recursive calls not counted again.
 */
#ifndef READER_PROFILE_H
#define READER_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/texts.h"

/*
 * A text with a length: it may hold NUL, newlines and surrogates (UTF-8, surrogates passed). Inside
 * a profile it is always that: a byte that is not comes in as a surrogate, U+DC00 + byte, as
 * Python's os.fsdecode has it, so that every text can be written into a file which Python loads.
 * struct text is in texts.h.
 */

/* Bytes of the UTF-8 sequence at `s`, a surrogate being one, or 0 where there is none; n > 0. */
static inline size_t text_sequence(const unsigned char *s, size_t n)
{
	size_t want = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] > 0xf4 || want > n)
		return 0;
	for (size_t i = 1; i < want; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return want;
}

/* Whether it is UTF-8, surrogates passed. */
bool text_is_utf8(struct text t);

struct profile_counts {
	uint64_t n_calls;
	uint64_t n_primitive;  /* <= n_calls */
	uint64_t n_exceptions; /* calls that ended by an exception */
	double self_s;	       /* seconds */
	double total_s;	       /* seconds */
	/*
	 * What recording has added to the times; once it has been taken out (bias.h), what that
	 * was.
	 */
	double self_cost_s;
	double total_cost_s;
};

/* One caller of a function: the share of the function's numbers that came from there. */
struct profile_edge {
	size_t caller;	 /* index into profile.fn */
	bool only_calls; /* nothing but n_calls is known: profile.py keeps no more */
	struct profile_counts counts;
};

struct profile_fn {
	struct text file; /* "~" for a C function, with line 0, as in pstats */
	int64_t line;
	struct text name;
	struct text qualname; /* "" where unknown */
	struct profile_counts counts;
	struct profile_edge *caller; /* in the order in which they were first added */
	size_t n_callers;
	size_t cap_callers;
	uint64_t hash; /* of the key */
	bool listed;   /* has an entry of its own; else it is known as a caller only */
};

struct profile_slot {
	uint32_t callee; /* fn + 1; 0 is an empty slot */
	uint32_t edge;	 /* into fn[callee - 1].caller */
};

struct profile {
	struct profile_fn *fn; /* in the order in which they were first added */
	size_t n_fns;
	size_t cap_fns;
	size_t *listed; /* the listed functions, in the order of the dict that pstats would have */
	size_t n_listed;
	size_t cap_listed;
	uint32_t *index; /* open addressing over fn by key; entries are fn + 1 */
	size_t cap_index;
	struct profile_slot *edge; /* open addressing over all edges by (caller, callee) */
	size_t n_edges;
	size_t cap_edges;
	struct texts texts; /* that all functions' are kept in */
};

void profile_init(struct profile *p);

/* Leaves an empty profile. */
void profile_fini(struct profile *p);

/*
 * Finds the function with this key, or adds one with no calls, and lists it; the texts are copied.
 * The qualified name is that of the first who comes with one. Returns its index, or SIZE_MAX when
 * memory is exhausted. Indices stay valid, pointers into `fn` do not.
 */
size_t profile_fn_add(struct profile *p, struct text file, int64_t line, struct text name,
		      struct text qualname);

/* The same, but does not list it: for a caller that has no entry of its own, as pstats files do. */
size_t profile_caller_add(struct profile *p, struct text file, int64_t line, struct text name);

/* Lists a function that there is; nothing, where it is listed already. 0 or -ENOMEM. */
int profile_list(struct profile *p, size_t fn);

/* The function with this key, listed or not, or SIZE_MAX. */
size_t profile_find(const struct profile *p, struct text file, int64_t line, struct text name);

/* Adds to a function's own numbers. */
void profile_counts_add(struct profile_counts *to, const struct profile_counts *more);

/* Adds to the edge caller -> callee, which it makes where there is none. 0 or -errno. */
int profile_edge_add(struct profile *p, size_t caller, size_t callee,
		     const struct profile_counts *more);

/* The same where the number of calls is all that is known; the edge then says so for good. */
int profile_edge_add_calls(struct profile *p, size_t caller, size_t callee, uint64_t n_calls);

/*
 * Puts a profile in place of another one without the folders of its files, as Stats.strip_dirs
 * does: functions whose keys become the same are added up; of the callers in one function whose
 * keys do, the last replaces the others. 0 or -ENOMEM, then `p` is as it was.
 */
int profile_strip_dirs(struct profile *p);

/*
 * Adds another profile, as pstats.Stats.add does. 0 or -errno; after an error `to` is whole, but
 * holds a part of `from`.
 */
int profile_merge(struct profile *to, const struct profile *from);

/*
 * Sums over all functions, as pstats.Stats.get_top_level_stats has them: calls, and self time added
 * in listed order. `total_s` is 0, for cumulative times overlap.
 */
struct profile_counts profile_total(const struct profile *p);

/*
 * The label of every function in `fn`, as pstats prints it: file:line(name), or the bare name of a
 * C function, with {} for its <>. One block, for free(); NULL when memory is exhausted.
 */
struct text *profile_labels(const struct profile *p);

/* The same with qualified names, where they are known. */
struct text *profile_qualified_labels(const struct profile *p);

/* By bytes, which is by code point: surrogates are encoded as what they are. */
static inline int text_cmp(struct text a, struct text b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n ? memcmp(a.bytes, b.bytes, n) : 0;

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

/*
 * 0, or -E2BIG where few long names make a report that nobody could hold: of more than 1 GiB of
 * names, or of 4 GiB where each line is as wide as the longest.
 */
int profile_check_size(const struct profile *p);

/* As Python compares the tuples (file, line, name). */
int profile_fn_cmp(const struct profile_fn *a, const struct profile_fn *b);

#endif
