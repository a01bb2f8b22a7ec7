/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "pyprof/format.h"
#include "pyprof/order.h"
#include "region.h"
#include "system/killpoint.h"

#define FIRST_EXTENT_BYTES (16u << 10)
#define MAX_EXTENT_BYTES (64u << 10)
#define MAX_EXTENTS (1u << 20)
#define FIRST_PLACE 8u /* 0 means "no place" */

/*
 * An extent that entries are appended to. Its sizes are kept privately, because other processes can
 * write to the file. Functions and threads have separate extents in one chain, so that a forked
 * child can inherit functions only.
 */
struct part {
	struct pyprof_extent *extent;
	uint64_t bytes, used;
	uint64_t next_bytes; /* size of the next extent */
};

static struct part functions, threads;
static struct pyprof_extent *last; /* the last extent of the chain */

#define FEW_RUNS 8u

/*
 * The functions' extents: entries from `place` on begin at `offset`. A few runs need no allocation,
 * in parent and child.
 */
static struct run {
	uint64_t place, offset, bytes;
} few_runs[2][FEW_RUNS], *runs = few_runs[0];
static size_t n_runs, cap_runs = FEW_RUNS;

static bool make_room_for_run(void)
{
	bool few = runs == few_runs[0] || runs == few_runs[1];
	struct run *more = realloc(few ? NULL : runs, cap_runs * 2 * sizeof(*more));

	if (!more)
		return false;
	if (few)
		memcpy(more, runs, n_runs * sizeof(*more));
	runs = more;
	cap_runs *= 2;
	return true;
}

static bool add_run(uint64_t offset, uint64_t bytes)
{
	const struct run *before;

	if (n_runs == cap_runs && !make_room_for_run())
		return false;
	before = n_runs ? &runs[n_runs - 1] : NULL;
	runs[n_runs++] = (struct run){
		.place = before ? before->place + before->bytes : FIRST_PLACE,
		.offset = offset + sizeof(struct pyprof_extent),
		.bytes = bytes,
	};
	return true;
}

void names_reset(void)
{
	functions = threads = (struct part){ .next_bytes = FIRST_EXTENT_BYTES };
	last = NULL;
	n_runs = 0;
}

const struct pyprof_name *names_at(uint64_t place)
{
	size_t low = 0, high = n_runs;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (runs[middle].place <= place)
			low = middle;
		else
			high = middle;
	}
	return region_at(runs[low].offset + place - runs[low].place);
}

static bool add_extent(struct part *part, uint64_t entry_bytes)
{
	uint64_t bytes = sizeof(struct pyprof_extent) + entry_bytes;
	uint64_t offset;
	struct pyprof_extent *x;

	if (bytes < part->next_bytes)
		bytes = part->next_bytes;
	bytes = (bytes + PYPROF_EXTENT_ALIGN - 1) / PYPROF_EXTENT_ALIGN * PYPROF_EXTENT_ALIGN;
	offset = region_alloc(bytes);
	if (!offset || (part == &functions && !add_run(offset, 0)))
		return false;
	x = region_at(offset);
	x->kind = PYPROF_EXTENT_NAMES;
	x->bytes = bytes;
	x->used = sizeof(*x);
	KILLPOINT("names-extent-ready");
	pyprof_publish(last ? &last->next : &region.header->names, offset); /* P5 */
	last = part->extent = x;
	part->used = sizeof(*x);
	part->bytes = bytes;
	if (part->next_bytes < MAX_EXTENT_BYTES)
		part->next_bytes *= 2;
	return true;
}

/* Publishes `bytes` more of the part's extent: one entry, or several. */
static void commit(struct part *part, uint64_t bytes)
{
	part->used += bytes;
	if (part == &functions)
		runs[n_runs - 1].bytes += bytes;
	pyprof_publish(&part->extent->used, part->used); /* P4 */
}

/* Begins with an empty list. The parent's list stays unchanged, because the caller reads it. */
static void leave_runs(void)
{
	runs = few_runs[runs == few_runs[0]];
	cap_runs = FEW_RUNS;
	names_reset();
}

bool names_inherit(const uint8_t *parent)
{
	struct run *theirs = runs;
	size_t n = n_runs;
	uint64_t bytes = n ? theirs[n - 1].place + theirs[n - 1].bytes - FIRST_PLACE : 0;
	bool ok;

	leave_runs();
	ok = !bytes || add_extent(&functions, bytes);
	for (size_t i = 0; i < n && ok && bytes; i++) {
		memcpy((char *)functions.extent + functions.used, parent + theirs[i].offset,
		       theirs[i].bytes);
		commit(&functions, theirs[i].bytes);
	}
	return ok;
}

/* --- an existing table ------------------------------------------------------------------------ */

static bool is_whole(const struct pyprof_name *n, uint64_t left)
{
	return left >= sizeof(*n) && n->bytes >= sizeof(*n) && n->bytes % 8 == 0 &&
	       n->bytes <= left &&
	       (uint64_t)n->file_bytes + n->name_bytes + n->qual_bytes <= n->bytes - sizeof(*n);
}

static bool adopt_functions(struct pyprof_extent *x, uint64_t used,
			    bool (*use)(const struct pyprof_name *name, uint64_t place))
{
	uint64_t at = sizeof(*x);

	if (!add_run(region_offset(x), 0))
		return false;
	while (at < used) {
		const struct pyprof_name *n = (const void *)((const char *)x + at);
		struct run *run = &runs[n_runs - 1];

		if (!is_whole(n, used - at) || !use(n, run->place + run->bytes))
			return false;
		at += n->bytes;
		run->bytes += n->bytes;
	}
	functions = (struct part){ x, x->bytes, at, MAX_EXTENT_BYTES };
	return true;
}

static bool adopt_extent(struct pyprof_extent *x,
			 bool (*use)(const struct pyprof_name *name, uint64_t place))
{
	uint64_t bytes = x->bytes, used = x->used;
	const struct pyprof_name *first = (const void *)(x + 1);

	if (x->kind != PYPROF_EXTENT_NAMES || used > bytes ||
	    !region_check(region_offset(x), bytes))
		return false;
	last = x;
	if (used < sizeof(*x) + sizeof(*first))
		return true;
	if (first->kind != PYPROF_NAME_THREAD)
		return adopt_functions(x, used, use);
	threads = (struct part){ x, bytes, used, MAX_EXTENT_BYTES };
	return true;
}

bool names_adopt(bool (*use)(const struct pyprof_name *name, uint64_t place))
{
	uint64_t offset = region.header->names;

	leave_runs();
	for (uint32_t i = 0; offset; i++) {
		struct pyprof_extent *x = region_check(offset, sizeof(*x));

		if (!x || i == MAX_EXTENTS || !adopt_extent(x, use))
			return false;
		offset = x->next;
	}
	return true;
}

/* --- publishing ------------------------------------------------------------------------------- */

uint64_t names_publish(const struct label_entry *e)
{
	struct part *part = e->kind == PYPROF_NAME_THREAD ? &threads : &functions;
	uint64_t bytes = sizeof(struct pyprof_name) + e->file.n + e->name.n + e->qualname.n;
	struct pyprof_name *at;
	char *text;

	bytes = (bytes + 7) & ~7ull;
	if (bytes > UINT32_MAX)
		return 0;
	if ((!part->extent || part->bytes - part->used < bytes) && !add_extent(part, bytes))
		return 0;
	at = (struct pyprof_name *)((char *)part->extent + part->used);
	at->bytes = (uint32_t)bytes;
	at->number = e->number;
	at->kind = e->kind;
	at->flags = e->flags;
	at->line = e->line;
	at->file_bytes = (uint32_t)e->file.n;
	at->name_bytes = (uint32_t)e->name.n;
	at->qual_bytes = (uint32_t)e->qualname.n;
	at->code_bytes = e->code_bytes;
	text = at->text;
	if (e->file.n)
		memcpy(text, e->file.bytes, e->file.n);
	text += e->file.n;
	if (e->name.n)
		memcpy(text, e->name.bytes, e->name.n);
	text += e->name.n;
	if (e->qualname.n)
		memcpy(text, e->qualname.bytes, e->qualname.n);
	KILLPOINT("name-written");
	commit(part, bytes);
	KILLPOINT("name-published");
	return n_runs ? runs[n_runs - 1].place + runs[n_runs - 1].bytes - bytes : FIRST_PLACE;
}
