/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calling contexts as the formats that show paths want them: labels of nodes, and times as whole
 * nanoseconds. The writers of these formats call it. Owns the labels, until frames_close. It must
 * not change the contexts.
 */
#ifndef READER_FRAMES_H
#define READER_FRAMES_H

#include "profile/contexts.h"

struct frames {
	const struct contexts *contexts;
	struct text *label; /* by function: file:line(name), or what a C function is called */
};

/* `qualnames`: qualified names, where they are known. 0 or -ENOMEM. */
int frames_open(struct frames *f, const struct contexts *c, bool qualnames);
void frames_close(struct frames *f);

/* The label of a node's function, process or thread. */
static inline struct text frames_label(const struct frames *f, uint32_t node)
{
	return f->label[f->contexts->node[node].fn];
}

/*
 * The name of function `fn` of contexts.names without its file and line, for formats that have
 * fields for these. A part of its label.
 */
struct text frames_name(const struct frames *f, uint32_t fn);

/* True for a function with a file and a line: for what is in Python, and no level. */
bool frames_has_file(const struct frames *f, uint32_t fn);

/* True for processes and threads: formats with tracks do not put them into stacks. */
static inline bool frames_is_track_level(const struct contexts *c, uint32_t node)
{
	return !node || c->node[node].flags & (CONTEXT_PROCESS | CONTEXT_THREAD);
}

/* Functions and (folded), which stand in stacks, numbered in the order of their first nodes. */
struct frames_functions {
	uint32_t *number; /* by function of contexts.names, or FRAMES_NO_NUMBER */
	uint32_t *fn;	  /* by number */
	uint32_t n;
};

#define FRAMES_NO_NUMBER UINT32_MAX

/* 0 or -ENOMEM; frames_functions_fini must follow in both cases. */
int frames_functions_init(struct frames_functions *f, const struct contexts *c);
void frames_functions_fini(struct frames_functions *f);

/*
 * A track is a child of a process: a thread. Returns the next one behind `track`, or 0; the first
 * one behind 0.
 */
uint32_t frames_next_track(const struct contexts *c, uint32_t track);

/* Returns the innermost call below a node that had not ended when the recording did, or 0. */
uint32_t frames_innermost_open(const struct contexts *c, uint32_t node);

/* Seconds to nanoseconds, rounded; negative times are 0. */
static inline uint64_t frames_ns(double seconds)
{
	return seconds > 0 ? (uint64_t)(seconds * 1e9 + 0.5) : 0;
}

/*
 * Returns the own time of each node in nanoseconds, in a block for free(), or NULL without memory.
 * It is rounded so that the times of all nodes add up to the rounded sum.
 */
uint64_t *frames_own_ns(const struct contexts *c);

#endif
