/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of functions and caller edges, on which all stages after the rebuild work. Owns copies
 * of all its texts. All stages of the reader call it, one thread at a time for each profile. It
 * must not depend on recordings or formats.
 *
 * The numbers are those of pstats. The key of a function is (file, line, name). n_calls counts all
 * calls, n_primitive those that are not recursive. self_s (tottime) is the time in the function
 * itself. total_s (cumtime) is the time until it returned; recursive calls are not counted again.
 */
#ifndef READER_PROFILE_H
#define READER_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/texts.h"

/*
 * A struct text (texts.h) has a length and may contain NUL and newlines. In a profile it is always
 * UTF-8 with surrogates allowed. Other bytes are converted to the surrogate U+DC00 + byte, like
 * os.fsdecode in Python, so that each text can be written to a file that Python loads.
 */

/*
 * Returns the length of the UTF-8 sequence at `s`, which may be a surrogate, or 0 if there is no
 * valid one. `n` is the number of bytes that may be read, at least 1.
 */
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

/* True if it is UTF-8 with surrogates allowed. */
bool text_is_utf8(struct text t);

/* Returns the part behind the last slash. */
struct text text_base_name(struct text path);

struct profile_counts {
	uint64_t n_calls;
	uint64_t n_primitive;  /* <= n_calls */
	uint64_t n_exceptions; /* calls that were left by an exception */
	double self_s;	       /* seconds */
	double total_s;	       /* seconds */
	/*
	 * The overhead within the times above, in seconds. After correct_apply, the overhead that
	 * was subtracted from them.
	 */
	double self_overhead_s;
	double total_overhead_s;
};

/* One caller of a function, and its share of the function's numbers. */
struct profile_edge {
	size_t caller;	 /* index into profile.fn */
	bool only_calls; /* only n_calls is known, as in files of Python's `profile` module */
	struct profile_counts counts;
};

struct profile_fn {
	struct text file; /* "~" for a C function, with line 0, as in pstats */
	int64_t line;
	struct text name;
	struct text qualname; /* "" if unknown */
	struct profile_counts counts;
	struct profile_edge *caller; /* in the order in which they were first added */
	size_t n_callers;
	size_t cap_callers;
	uint64_t hash; /* of the key */
	bool listed;   /* it has an entry of its own; else it is only known as a caller */
	bool is_bound; /* total_s and n_primitive are upper bounds (group.h) */
};

struct profile_slot {
	uint32_t callee; /* index of the function + 1; 0 is an empty slot */
	uint32_t edge;	 /* index into fn[callee - 1].caller */
};

struct profile {
	struct profile_fn *fn; /* in the order in which they were first added */
	size_t n_fns;
	size_t cap_fns;
	size_t *listed; /* indices of the listed functions, in the order of pstats' dict */
	size_t n_listed;
	size_t cap_listed;
	uint32_t *index; /* open addressing over fn by key; entries are fn + 1 */
	size_t cap_index;
	struct profile_slot *edge; /* open addressing over all edges by (caller, callee) */
	size_t n_edges;
	size_t cap_edges;
	struct texts texts; /* all texts of functions */
};

void profile_init(struct profile *p);

/* Leaves an empty profile. */
void profile_fini(struct profile *p);

/*
 * Finds the function with this key, or adds one without calls, and lists it. The texts are copied.
 * The first qualified name that is not empty is kept. Returns the index, or SIZE_MAX without
 * memory. Indices stay valid, pointers into `fn` do not.
 */
size_t profile_fn_add(struct profile *p, struct text file, int64_t line, struct text name,
		      struct text qualname);

/* Does the same without listing it, for a caller that has no entry of its own in a pstats file. */
size_t profile_caller_add(struct profile *p, struct text file, int64_t line, struct text name);

/* Lists a function, unless it is listed already. 0 or -ENOMEM. */
int profile_list(struct profile *p, size_t fn);

/* Returns the index of the function with this key, listed or not, or SIZE_MAX. */
size_t profile_find(const struct profile *p, struct text file, int64_t line, struct text name);

/* Adds all numbers of `more` to `to`. */
void profile_counts_add(struct profile_counts *to, const struct profile_counts *more);

/*
 * Adds to the edge from `caller` to `callee`, and makes it if needed. 0, -ENOMEM, or -EINVAL if an
 * index is out of range.
 */
int profile_edge_add(struct profile *p, size_t caller, size_t callee,
		     const struct profile_counts *more);

/* Does the same if only the number of calls is known. The edge keeps the mark `only_calls`. */
int profile_edge_add_calls(struct profile *p, size_t caller, size_t callee, uint64_t n_calls);

/* Returns the edge from `caller` to `callee`, or NULL. The next new edge may move it. */
struct profile_edge *profile_edge_find(const struct profile *p, size_t caller, size_t callee);

/* True for a C function, by its key. */
static inline bool profile_fn_is_c(const struct profile_fn *fn)
{
	return fn->file.n == 1 && *fn->file.bytes == '~' && !fn->line;
}

/*
 * Removes the folders of file names, as Stats.strip_dirs does. Functions whose keys become equal
 * are added up. If callers of one function get equal keys, the last one replaces the others, as in
 * pstats. 0, or -ENOMEM with `p` unchanged.
 */
int profile_strip_dirs(struct profile *p);

/*
 * Adds another profile, as pstats.Stats.add does. 0 or -ENOMEM; after an error `to` is valid, but
 * contains a part of `from`.
 */
int profile_merge(struct profile *to, const struct profile *from);

/*
 * Returns the sums over all listed functions, as pstats.Stats.get_top_level_stats does. The self
 * times are added in listed order. total_s is 0, because cumulative times overlap.
 */
struct profile_counts profile_total(const struct profile *p);

/*
 * Returns the label of each function in `fn`, as pstats prints it: file:line(name), or only the
 * name of a C function, with {} instead of <>. One block for free(), or NULL without memory.
 */
struct text *profile_labels(const struct profile *p);

/* Does the same with qualified names, if they are known. */
struct text *profile_qualified_labels(const struct profile *p);

/* Compares bytes, which gives the order of code points, also for encoded surrogates. */
static inline int text_cmp(struct text a, struct text b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n ? memcmp(a.bytes, b.bytes, n) : 0;

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

/*
 * Returns -E2BIG if a report would have more than 1 GiB of names, or more than 4 GiB when each line
 * is padded to the longest; a few long names are enough for that. Else 0.
 */
int profile_check_size(const struct profile *p);

/* Compares like Python's tuples (file, line, name). Returns < 0, 0 or > 0. */
int profile_fn_cmp(const struct profile_fn *a, const struct profile_fn *b);

#endif
