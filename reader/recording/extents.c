/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "extents.h"

#include <stddef.h>

#include "pyprof/order.h"

void extents_begin(struct extents *e, const uint8_t *base, uint32_t kind, const uint64_t *link)
{
	*e = (struct extents){ .base = base, .kind = kind, .link = link };
}

static bool is_within(uint64_t offset, uint64_t bytes, uint64_t file_bytes)
{
	return offset % 8 == 0 && bytes <= file_bytes && offset <= file_bytes - bytes;
}

const struct pyprof_extent *extents_next(struct extents *e, uint64_t file_bytes,
					 uint64_t *used_bytes)
{
	uint64_t offset = pyprof_observe(e->link); /* C5 */
	const struct pyprof_extent *x;
	uint64_t bytes, used;

	if (!offset)
		return NULL;
	e->bad = true;
	if (!is_within(offset, sizeof(*x), file_bytes))
		return NULL;
	x = (const struct pyprof_extent *)(e->base + offset);
	if (x->kind != e->kind)
		return NULL;
	bytes = pyprof_get(&x->bytes);
	/* All extents together cannot be longer than the file, so a circle ends. */
	if (bytes < sizeof(*x) || !is_within(offset, bytes, file_bytes) ||
	    e->sum_bytes + bytes > file_bytes)
		return NULL;
	e->bad = false;
	e->sum_bytes += bytes;
	e->link = &x->next;
	used = pyprof_observe(&x->used); /* C4 */
	*used_bytes = used > bytes ? bytes : used < sizeof(*x) ? sizeof(*x) : used;
	return x;
}
