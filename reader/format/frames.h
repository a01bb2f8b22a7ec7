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
/* Does the same with the overhead that was subtracted from it. */
uint64_t *frames_overhead_ns(const struct contexts *c);

#endif
