/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "extents.h"
#include "pyprof/order.h"

/* Entries are copied in pieces of this size, or of one entry if it is longer. */
#define PIECE_BYTES (64u << 10)

static int append(struct name_list *l, const struct name *name)
{
	if (l->n == l->cap) {
		size_t more = l->cap ? l->cap * 2 : 64;
		struct name *bigger = reallocarray(l->name, more, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		l->name = bigger;
		l->cap = more;
	}
	l->name[l->n] = *name;
	l->name[l->n].order = (uint32_t)l->n;
	l->n++;
	return 0;
}

/* Returns the entry at `at` if it lies within `left` bytes, or NULL. */
static const struct pyprof_name *check_entry(const char *at, uint64_t left)
{
	const struct pyprof_name *p = (const void *)at;

	if (left < sizeof(*p) || p->bytes < sizeof(*p) || p->bytes % 8 || p->bytes > left ||
	    (uint64_t)p->file_bytes + p->name_bytes + p->qual_bytes > p->bytes - sizeof(*p))
		return NULL;
	return p;
}

static int add_entry(struct names *n, const struct pyprof_name *p)
{
	struct name entry = {
		.file = { p->text, p->file_bytes },
		.name = { p->text + p->file_bytes, p->name_bytes },
		.qualname = { p->text + p->file_bytes + p->name_bytes, p->qual_bytes },
		.number = p->number,
		.line = p->line,
		.code_bytes = p->code_bytes,
		.kind = p->kind,
		.flags = p->flags,
	};

	if (p->kind == PYPROF_NAME_C) {
		entry.cprofiles = entry.file;
		entry.file = (struct text){ "~", 1 };
	}
	return append(p->kind == PYPROF_NAME_THREAD ? &n->thread : &n->fn, &entry);
}

/* The reading of one extent. */
struct piece {
	const char *from; /* the extent */
	uint64_t used;
	uint64_t budget; /* bytes that may still be copied from all extents together */
	char *bytes;	 /* a private copy of the next piece ... */
	uint64_t n, cap; /* ... its length and its capacity */
};

/* Copies the piece that begins at `at`, a long entry as a whole. 0 or -ENOMEM. */
static int copy_piece(struct piece *x, uint64_t at)
{
	const struct pyprof_name *p = (const void *)(x->from + at);
	uint64_t want = __atomic_load_n(&p->bytes, __ATOMIC_RELAXED);

	want = want < PIECE_BYTES ? PIECE_BYTES : want;
	want = want < x->used - at ? want : x->used - at;
	want = (want < x->budget ? want : x->budget) & ~7ull;
	if (want > x->cap) {
		char *more = realloc(x->bytes, want);

		if (!more)
			return -ENOMEM;
		x->bytes = more;
		x->cap = want;
	}
	pyprof_copy(x->bytes, x->from + at, want);
	x->n = want;
	return 0;
}

/* Returns the number of bytes in a piece that are whole entries. */
static uint64_t whole_entries(const struct piece *x)
{
	uint64_t at = 0;
	const struct pyprof_name *p;

	while (at < x->n && (p = check_entry(x->bytes + at, x->n - at)))
		at += p->bytes;
	return at;
}

/* Copies `bytes` of whole entries to memory that stays, and adds their names. */
static int keep_entries(struct names *n, const struct piece *x, uint64_t bytes)
{
	char *copy = malloc(bytes);
	int err = 0;

	if (n->n_copies == n->cap_copies) {
		size_t more = n->cap_copies ? n->cap_copies * 2 : 8;
		char **copies = reallocarray(n->copy, more, sizeof(*copies));

		if (!copies) {
			free(copy);
			return -ENOMEM;
		}
		n->copy = copies;
		n->cap_copies = more;
	}
	if (!copy)
		return -ENOMEM;
	n->copy[n->n_copies++] = copy;
	memcpy(copy, x->bytes, bytes);
	for (uint64_t at = 0; at < bytes && !err;) {
		const struct pyprof_name *p = (const void *)(copy + at);

		if (p->kind && (p->kind == PYPROF_NAME_THREAD || p->number <= PYPROF_FN_MAX))
			err = add_entry(n, p);
		else
			n->n_bad++;
		at += p->bytes;
	}
	return err;
}

/* Reads up to the first invalid entry. Such an extent is charged a page of the budget. */
static int read_extent(struct names *n, struct piece *x)
{
	uint64_t at = sizeof(struct pyprof_extent);

	while (at + sizeof(uint64_t) <= x->used) {
		uint64_t whole;
		int err = copy_piece(x, at);

		if (err)
			return err;
		whole = whole_entries(x);
		if (!whole) {
			n->n_bad++;
			x->budget -=
				x->budget < PYPROF_EXTENT_ALIGN ? x->budget : PYPROF_EXTENT_ALIGN;
			break;
		}
		err = keep_entries(n, x, whole);
		if (err)
			return err;
		x->budget -= whole;
		at += whole;
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->number != y->number)
		return x->number > y->number ? 1 : -1;
	return (x->order > y->order) - (x->order < y->order);
}

/* A later entry replaces an earlier one of its number. */
static void sort_names(struct name_list *l)
{
	size_t n = 0;

	if (l->n)
		qsort(l->name, l->n, sizeof(*l->name), by_number);
	for (size_t i = 0; i < l->n; i++) {
		if (n && l->name[n - 1].number == l->name[i].number)
			n--;
		l->name[n++] = l->name[i];
	}
	l->n = n;
}

/* Numbers mostly count up from 1 without a gap, so the index is tried first. */
static size_t find(const struct name_list *l, uint32_t number)
{
	size_t low = 0, high = l->n;

	if (number && number <= l->n && l->name[number - 1].number == number)
		return number - 1;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->name[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->n && l->name[low].number == number ? low : SIZE_MAX;
}

int names_read(struct names *n, const struct attach *a)
{
	const struct pyprof_header *h = (const void *)a->base;
	struct piece x = { .budget = attach_real_bytes(a) };
	const struct pyprof_extent *extent;
	struct extents e;
	int err = 0;

	memset(n, 0, sizeof(*n));
	extents_begin(&e, a->base, PYPROF_EXTENT_NAMES, &h->names);
	while (!err && (extent = extents_next(&e, attach_bytes(a), &x.used))) {
		x.from = (const char *)extent;
		err = read_extent(n, &x);
	}
	n->n_bad += e.bad;
	free(x.bytes);
	sort_names(&n->fn);
	sort_names(&n->thread);
	if (err)
		names_fini(n);
	return err;
}

void names_fini(struct names *n)
{
	for (size_t i = 0; i < n->n_copies; i++)
		free(n->copy[i]);
	free(n->copy);
	free(n->fn.name);
	free(n->thread.name);
	memset(n, 0, sizeof(*n));
}

size_t names_find(const struct names *n, uint32_t number)
{
	return find(&n->fn, number);
}

bool names_has(const struct names *n, uint32_t number)
{
	return number == PYPROF_FN_OVERFLOW || find(&n->fn, number) != SIZE_MAX;
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

	size_t at = find(&n->fn, number);

	if (number == PYPROF_FN_OVERFLOW)
		return &others;
	return at != SIZE_MAX ? &n->fn.name[at] : &unknown;
}

const struct name *names_thread(const struct names *n, uint32_t number)
{
	size_t at = find(&n->thread, number);

	return at != SIZE_MAX ? &n->thread.name[at] : NULL;
}
