/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frames.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
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

bool frames_has_file(const struct frames *f, uint32_t fn)
{
	const struct profile_fn *x = &f->contexts->names.fn[fn];

	return !profile_fn_is_c(x) && f->label[fn].bytes != x->name.bytes;
}

struct text frames_name(const struct frames *f, uint32_t fn)
{
	const struct profile_fn *x = &f->contexts->names.fn[fn];
	struct text label = f->label[fn];
	size_t before = x->file.n + (size_t)snprintf(NULL, 0, ":%" PRId64 "(", x->line);

	if (!frames_has_file(f, fn) || label.n <= before)
		return label;
	return (struct text){ label.bytes + before, label.n - before - 1 };
}

int frames_functions_init(struct frames_functions *f, const struct contexts *c)
{
	size_t n_fns = c->names.n_fns;

	*f = (struct frames_functions){ .number = calloc(n_fns + 1, sizeof(*f->number)),
					.fn = calloc(n_fns + 1, sizeof(*f->fn)) };
	if (!f->number || !f->fn)
		return -ENOMEM;
	for (size_t i = 0; i < n_fns; i++)
		f->number[i] = FRAMES_NO_NUMBER;
	for (uint32_t n = 1; n < c->n_nodes; n++) {
		uint32_t fn = c->node[n].fn;

		if (frames_is_track_level(c, n) || f->number[fn] != FRAMES_NO_NUMBER)
			continue;
		f->fn[f->n] = fn;
		f->number[fn] = f->n++;
	}
	return 0;
}

void frames_functions_fini(struct frames_functions *f)
{
	free(f->number);
	free(f->fn);
}

uint32_t frames_next_track(const struct contexts *c, uint32_t track)
{
	uint32_t process = track ? c->node[c->node[track].parent].next : c->node[0].first;

	if (track && c->node[track].next)
		return c->node[track].next;
	while (process && !c->node[process].first)
		process = c->node[process].next;
	return process ? c->node[process].first : 0;
}

uint32_t frames_innermost_open(const struct contexts *c, uint32_t node)
{
	uint32_t open = 0;

	for (uint32_t n = c->node[node].first; n;) {
		bool is_open = c->node[n].flags & CONTEXT_OPEN;

		open = is_open ? n : open;
		n = is_open ? c->node[n].first : c->node[n].next;
	}
	return open;
}

uint64_t *frames_own_ns(const struct contexts *c)
{
	uint64_t *ns = calloc(c->n_nodes + 1ull, sizeof(*ns)), given = 0;
	double sum = 0;

	for (uint32_t n = 1; ns && n < c->n_nodes; n++) {
		uint64_t now;

		if (c->node[n].flags & CONTEXT_LEVELS)
			continue;
		sum += c->node[n].self_s;
		now = frames_ns(sum);
		ns[n] = now > given ? now - given : 0;
		given += ns[n];
	}
	return ns;
}
