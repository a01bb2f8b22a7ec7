/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pyprof/ring.h"

/* Room for index `i`; new entries are zero. */
static int reach(struct name **array, size_t *n, size_t *cap, size_t i)
{
	if (i >= *cap) {
		size_t more = i + 1 > *cap * 2 ? i + 1 : *cap * 2;
		struct name *bigger = realloc(*array, more * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		memset(bigger + *cap, 0, (more - *cap) * sizeof(*bigger));
		*array = bigger;
		*cap = more;
	}
	if (i >= *n)
		*n = i + 1;
	return 0;
}

/* An entry that lies within `left` bytes, or NULL. */
static const struct pyprof_name *check_entry(const char *at, uint64_t left)
{
	const struct pyprof_name *p = (const void *)at;

	if (left < sizeof(*p) || p->bytes < sizeof(*p) || p->bytes % 8 || p->bytes > left ||
	    (uint64_t)p->file_bytes + p->name_bytes + p->qual_bytes > p->bytes - sizeof(*p))
		return NULL;
	return p;
}

/*
 * Numbers are given in turn, so that there are no more than entries: a high one would take memory that the
 * file has not paid for.
 */
static bool is_plausible(const struct attach *a, uint32_t number)
{
	return number <= PYPROF_FN_MAX && number <= attach_bytes(a) / sizeof(struct pyprof_name);
}

static int add_entry(struct names *n, const struct pyprof_name *p)
{
	bool thread = p->kind == PYPROF_NAME_THREAD;
	struct name entry = {
		.file = { p->text, p->file_bytes },
		.name = { p->text + p->file_bytes, p->name_bytes },
		.qualname = { p->text + p->file_bytes + p->name_bytes, p->qual_bytes },
		.line = p->line,
		.code_bytes = p->code_bytes,
		.kind = p->kind,
		.flags = p->flags,
	};
	int err;

	if (p->kind == PYPROF_NAME_C) {
		entry.cprofiles = entry.file;
		entry.file = (struct text){ "~", 1 };
	}
	err = thread ? reach(&n->thread, &n->n_threads, &n->cap_threads, p->number)
		     : reach(&n->fn, &n->n_fns, &n->cap_fns, p->number);
	if (!err)
		(thread ? n->thread : n->fn)[p->number] = entry;
	return err;
}

/* `used`: of the extent; its header is not looked at. */
static int read_extent(struct names *n, const struct attach *a, const struct pyprof_extent *x,
		       uint64_t used)
{
	char **copies = realloc(n->copy, (n->n_copies + 1) * sizeof(*copies));
	char *copy;

	if (!copies)
		return -ENOMEM;
	n->copy = copies;
	copy = malloc(used);
	if (!copy)
		return -ENOMEM;
	n->copy[n->n_copies++] = copy;
	pyprof_copy(copy + sizeof(*x), x + 1, used - sizeof(*x));
	for (uint64_t at = sizeof(*x); at < used;) {
		const struct pyprof_name *p = check_entry(copy + at, used - at);
		int err;

		if (!p || !is_plausible(a, p->number)) {
			n->n_bad++;
			break;
		}
		err = add_entry(n, p);
		if (err)
			return err;
		at += p->bytes;
	}
	return 0;
}

int names_read(struct names *n, const struct attach *a)
{
	const struct pyprof_header *h = (const void *)a->base;
	uint64_t offset = pyprof_observe(&h->names); /* C5 */
	/* No more than the file has room for: a chain that goes round ends. */
	uint64_t sum = 0;
	int err = 0;

	memset(n, 0, sizeof(*n));
	while (offset && !err) {
		uint64_t bytes, used;
		const struct pyprof_extent *x =
			attach_extent(a, offset, PYPROF_EXTENT_NAMES, &bytes);

		if (!x || sum + bytes > attach_bytes(a)) {
			n->n_bad++;
			break;
		}
		sum += bytes;
		used = attach_extent_used(x, bytes);
		err = read_extent(n, a, x, used);
		offset = pyprof_observe(&x->next); /* C5 */
	}
	if (err)
		names_fini(n);
	return err;
}

void names_fini(struct names *n)
{
	for (size_t i = 0; i < n->n_copies; i++)
		free(n->copy[i]);
	free(n->copy);
	free(n->fn);
	free(n->thread);
	memset(n, 0, sizeof(*n));
}

bool names_has(const struct names *n, uint32_t number)
{
	return number == PYPROF_FN_OVERFLOW || (number < n->n_fns && n->fn[number].kind);
}

const struct name *names_fn(const struct names *n, uint32_t number)
{
	static const struct name unknown = {
		.file = { "~", 1 },
		.name = { "<unknown function>", 18 },
		.kind = PYPROF_NAME_C,
	};
	static const struct name others = {
		.file = { "~", 1 },
		.name = { "<all further functions>", 23 },
		.kind = PYPROF_NAME_C,
	};

	if (number == PYPROF_FN_OVERFLOW)
		return &others;
	return names_has(n, number) ? &n->fn[number] : &unknown;
}

const struct name *names_thread(const struct names *n, uint32_t number)
{
	return number < n->n_threads && n->thread[number].kind ? &n->thread[number] : NULL;
}
