/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "names.h"

#include <string.h>

#include "killpoint.h"
#include "pyprof/abi.h"
#include "pyprof/ring.h"
#include "region.h"

#define EXTENT_BYTES (64u << 10)

static struct pyprof_extent *last; /* the extent that entries go to */

void names_reset(void)
{
	last = NULL;
}

static struct pyprof_extent *add_extent(uint64_t entry_bytes)
{
	uint64_t bytes = sizeof(struct pyprof_extent) + entry_bytes;
	uint64_t offset;
	struct pyprof_extent *x;

	if (bytes < EXTENT_BYTES)
		bytes = EXTENT_BYTES;
	bytes = (bytes + PYPROF_EXTENT_ALIGN - 1) / PYPROF_EXTENT_ALIGN * PYPROF_EXTENT_ALIGN;
	offset = region_alloc(bytes);
	if (!offset)
		return NULL;
	x = region_at(offset);
	x->kind = PYPROF_EXTENT_NAMES;
	x->bytes = bytes;
	x->used = sizeof(*x);
	KILLPOINT("names-extent-ready");
	pyprof_publish(last ? &last->next : &region.header->names, offset); /* P5 */
	last = x;
	return x;
}

uint64_t names_publish(const struct names_entry *e)
{
	uint64_t bytes = sizeof(struct pyprof_name) + e->file.n + e->name.n + e->qualname.n;
	struct pyprof_extent *x = last;
	struct pyprof_name *at;
	char *text;

	bytes = (bytes + 7) & ~7ull;
	if (bytes > UINT32_MAX)
		return 0;
	if (!x || x->bytes - x->used < bytes)
		x = add_extent(bytes);
	if (!x)
		return 0;
	at = (struct pyprof_name *)((char *)x + x->used);
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
	pyprof_publish(&x->used, x->used + bytes); /* P4 */
	KILLPOINT("name-published");
	return region_offset(at);
}
