/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calling contexts of one or more recordings: a tree with a node for each distinct path of
 * functions from the outermost call. Processes and threads are levels above the functions. Owns the
 * nodes and the names of functions. load fills it in, and the formats that show paths read it, one
 * thread at a time. It must not depend on recordings or formats.
 *
 *	root -> process -> thread -> function -> callee -> ...
 *
 * A parent's index is lower than those of its children, so a loop over all indices sees callers
 * before callees, and one from the end sees callees first.
 */
#ifndef READER_CONTEXTS_H
#define READER_CONTEXTS_H

#include "profile.h"

/* Levels: nodes that are not calls of a function. Their name is a label: its file is "". */
#define CONTEXT_PROCESS 1u
#define CONTEXT_THREAD 2u
#define CONTEXT_FOLDED 4u /* below it: functions whose callers are not known */
#define CONTEXT_LEVELS (CONTEXT_PROCESS | CONTEXT_THREAD | CONTEXT_FOLDED)
#define CONTEXT_OPEN 8u /* a call of it had not ended when the recording ended or was read */

struct context {
	uint32_t parent; /* lower than its own index; the root's is 0 */
	uint32_t fn;	 /* index into contexts.names.fn */
	uint32_t first;	 /* its first child in the order of first calls, or 0; contexts_finish */
	uint32_t next;	 /* its parent's next child, or 0; contexts_finish */
	uint32_t flags;	 /* CONTEXT_* */
	uint32_t id;	 /* of a process its PID, of a thread its native id; 0: unknown */
	uint64_t n_calls;
	uint64_t n_exceptions; /* calls that were left by an exception */
	/* Seconds, corrected where the report's are. Totals are set by contexts_finish. */
	double self_s, total_s;
	double self_overhead_s, total_overhead_s; /* overhead that has been subtracted */
};

struct contexts {
	struct profile names;  /* files, lines and names of functions and levels; no numbers */
	struct context *node;  /* node[0] is the root; NULL: an empty struct */
	uint32_t n_nodes, cap; /* at most CONTEXTS_MAX */
	uint32_t *index;       /* open addressing by (parent, fn, level); entries are node + 1 */
	uint32_t cap_index;
	/* Set by contexts_finish. */
	uint32_t n_processes;
	uint32_t n_threads; /* of the process that has most */
};

#define CONTEXTS_MAX (1u << 30)

/* Makes a tree with a root only. 0 or -ENOMEM. contexts_fini must follow in both cases. */
int contexts_init(struct contexts *c);
/* Leaves an empty struct. An empty struct is a valid argument. */
void contexts_fini(struct contexts *c);

/*
 * Returns the child of `parent` for function `fn`, which is made if it does not exist. `level`: 0,
 * or one of CONTEXT_LEVELS. 0 without memory.
 */
uint32_t contexts_child(struct contexts *c, uint32_t parent, uint32_t fn, uint32_t level);

/* Does the same for a level with this label. 0 without memory. */
uint32_t contexts_level(struct contexts *c, uint32_t parent, struct text label, uint32_t level);

/* Adds calls and own times of `more` to a node. */
void contexts_count(struct contexts *c, uint32_t node, const struct context *more);

/* Stands in a map for functions that contexts_map leaves out. */
#define CONTEXTS_LEAVE_OUT UINT32_MAX

/*
 * Adds all nodes of `from`, with function map[fn] of to->names instead of fn. Times and callees of
 * functions that are left out become their caller's. 0 or -ENOMEM; after an error `to` is valid,
 * but contains a part of `from`.
 */
int contexts_map(struct contexts *to, const struct contexts *from, const uint32_t *map);

/* Adds `from`: equal paths become one. 0 or -ENOMEM, as above. */
int contexts_merge(struct contexts *to, const struct contexts *from);

/*
 * Adds the outermost nodes whose functions are `wanted`, by index, and all below them: as children
 * of the root, so that equal paths become one. Functions keep their indices, but `to` has no names.
 * What was folded is left out. 0 or -ENOMEM, as above.
 */
int contexts_below(struct contexts *to, const struct contexts *from, const bool *wanted);

/* Leaves out C functions, as --no-builtins does. 0, or -ENOMEM with `c` unchanged. */
int contexts_no_builtins(struct contexts *c);

/* Removes folders of file names, as --strip-dirs does. 0, or -ENOMEM with `c` unchanged. */
int contexts_strip_dirs(struct contexts *c);

/*
 * Subtracts the overhead that correct_apply has subtracted from the self times of `p`. Each
 * function's overhead is divided among its nodes in proportion to their self times, so that these
 * add up to the function's. 0 or -ENOMEM.
 */
int contexts_correct(struct contexts *c, const struct profile *p);

/* Sets what is derived: totals, lists of children, and the number of processes and threads. */
void contexts_finish(struct contexts *c);

/*
 * Returns the node behind `node` in the subtree of `top`, callers before callees and siblings in
 * the order of their first calls, or 0 at its end. Call it after contexts_finish.
 */
uint32_t contexts_next(const struct contexts *c, uint32_t node, uint32_t top);

/*
 * False for the root, and for levels that say nothing because there is only one process, or each
 * process has only one thread. Call it after contexts_finish.
 */
bool contexts_shows(const struct contexts *c, uint32_t node);

static inline const struct profile_fn *contexts_fn(const struct contexts *c, uint32_t node)
{
	return &c->names.fn[c->node[node].fn];
}

#endif
