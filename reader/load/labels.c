/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "labels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers the functions that share file, line and name. */
static int find_ordinals(struct labels *l, const struct names *names)
{
	struct profile seen;
	uint32_t *n_seen = calloc(names->fn.n + 1, sizeof(*n_seen));
	int err = 0;

	profile_init(&seen);
	free(l->ordinal);
	l->ordinal = calloc(names->fn.n + 1, sizeof(*l->ordinal));
	l->n_ordinals = names->fn.n;
	if (!n_seen || !l->ordinal)
		err = -ENOMEM;
	for (size_t i = 0; i < names->fn.n && !err; i++) {
		const struct name *n = &names->fn.name[i];
		size_t at;

		if (n->kind != PYPROF_NAME_CODE)
			continue;
		at = profile_caller_add(&seen, n->file, n->line, n->name);
		if (at == SIZE_MAX)
			err = -ENOMEM;
		else
			l->ordinal[i] = n_seen[at]++;
	}
	profile_fini(&seen);
	free(n_seen);
	return err;
}

int labels_update(struct labels *l, const struct names *names)
{
	return l->by_code && l->n_ordinals < names->fn.n ? find_ordinals(l, names) : 0;
}

void labels_fini(struct labels *l)
{
	free(l->ordinal);
	l->ordinal = NULL;
}

size_t labels_add(const struct labels *l, const struct names *names, struct profile *p,
		  uint32_t number)
{
	const struct name *n = names_fn(names, number);
	size_t at = names_find(names, number), place;
	bool theirs = l->cprofile && n->cprofiles.n;
	struct text name = theirs ? n->cprofiles : n->name;
	char *apart = NULL;
	int bytes;

	if (at < l->n_ordinals && l->ordinal[at]) {
		apart = malloc(name.n + sizeof("#4294967296"));
		if (!apart)
			return SIZE_MAX;
		memcpy(apart, name.bytes, name.n);
		bytes = sprintf(apart + name.n, "#%u", l->ordinal[at] + 1);
		name = (struct text){ apart, name.n + (size_t)bytes };
	}
	place = profile_fn_add(p, n->file, n->line, name, n->qualname);
	free(apart);
	return place;
}
