/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frames.h"

#include <errno.h>
#include <stdlib.h>

int frames_open(struct frames *f, const struct contexts *c, bool qualnames)
{
	*f = (struct frames){ .contexts = c };
	f->label = qualnames ? profile_qualified_labels(&c->names) : profile_labels(&c->names);
	if (!f->label)
		return -ENOMEM;
	for (uint32_t n = 1; n < c->n_nodes; n++) {
		if (c->node[n].flags & CONTEXT_LEVELS) /* without ":0()" */
			f->label[c->node[n].fn] = contexts_fn(c, n)->name;
	}
	return 0;
}

void frames_close(struct frames *f)
{
	free(f->label);
	f->label = NULL;
}

/* Rounds the time at this offset in each node so that the rounded times add up. */
static uint64_t *round_times(const struct contexts *c, size_t field)
{
	uint64_t *ns = calloc(c->n_nodes + 1ull, sizeof(*ns)), given = 0;
	double sum = 0;

	for (uint32_t n = 1; ns && n < c->n_nodes; n++) {
		uint64_t now;

		if (c->node[n].flags & CONTEXT_LEVELS)
			continue;
		sum += *(const double *)((const char *)&c->node[n] + field);
		now = frames_ns(sum);
		ns[n] = now > given ? now - given : 0;
		given += ns[n];
	}
	return ns;
}

uint64_t *frames_own_ns(const struct contexts *c)
{
	return round_times(c, offsetof(struct context, self_s));
}

uint64_t *frames_overhead_ns(const struct contexts *c)
{
	return round_times(c, offsetof(struct context, self_overhead_s));
}
