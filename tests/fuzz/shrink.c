/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shrink IN OUT: makes a recording small for the seed corpus of fuzz_recording. Its blocks become
 * 512 bytes, its tables as small as possible, and at most 200 records of each ring are kept, so
 * that mutations hit something. The input was just written by the shim and is not checked.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pyprof/table.h"

#define BLOCK_BYTES 512u
#define BLOCK_RECORDS ((BLOCK_BYTES - sizeof(struct pyprof_block)) / sizeof(uint64_t))
#define MAX_RECORDS 200
#define MAX_BYTES (8u << 20)

static char *old, *new;
static uint64_t used = PYPROF_HEADER_BYTES;

static void *take(uint64_t bytes)
{
	void *at = new + used;

	used += (bytes + 63) / 64 * 64;
	if (used > MAX_BYTES)
		abort();
	return at;
}

static uint64_t offset_of(const void *at)
{
	return (uint64_t)((const char *)at - new);
}

/* Copies a chain of extents into one extent and returns its offset. */
static uint64_t join_extents(uint64_t offset)
{
	struct pyprof_extent *to = take(sizeof(*to));

	for (; offset; offset = to->next) {
		const struct pyprof_extent *x = (void *)(old + offset);
		uint64_t n = x->used - sizeof(*x);

		to->kind = x->kind;
		to->next = x->next;
		memcpy((char *)to + sizeof(*to) + to->used, x + 1, n);
		to->used += n;
	}
	take(to->used);
	to->used += sizeof(*to);
	to->bytes = new + used - (char *)to;
	return offset_of(to);
}

/* Keeps the marks of an aborted fold. */
static uint32_t shrink_epoch(uint32_t epoch, uint64_t folded)
{
	return pyprof_table_is_undone(epoch, folded) ? 2 : 1;
}

static uint32_t shrink_cap(uint32_t n)
{
	uint32_t cap = 1;

	while (cap < n)
		cap *= 2;
	return cap;
}

/* Copies a table as the table after block 1 and returns its offset. */
static uint64_t shrink_table(uint64_t offset, uint64_t folded)
{
	struct pyprof_fold_table *from = (void *)(old + offset), *to;
	const struct pyprof_fold_state *s = &from->state[folded & 1];
	uint32_t fns = shrink_cap(s->n_fns), edges = shrink_cap(s->n_edges);
	uint32_t depth = shrink_cap(s->depth);
	struct pyprof_table_layout in =
		pyprof_table_layout(from, from->cap_fns, from->cap_edges, from->cap_depth);
	struct pyprof_table_layout out = pyprof_table_layout(NULL, fns, edges, depth);

	to = take(out.bytes);
	out = pyprof_table_layout(to, fns, edges, depth);
	to->extent = (struct pyprof_extent){ .kind = PYPROF_EXTENT_FOLD, .bytes = out.bytes };
	to->cap_fns = fns;
	to->cap_edges = edges;
	to->cap_depth = depth;
	to->state[0] = to->state[1] = *s;
	memcpy(out.fn, in.fn, (fns + 1) * sizeof(*out.fn));
	memcpy(out.fn_before, in.fn_before, (fns + 1) * sizeof(*out.fn));
	memcpy(out.edge, in.edge, (edges + 1) * sizeof(*out.edge));
	memcpy(out.edge_before, in.edge_before, (edges + 1) * sizeof(*out.edge));
	for (uint32_t i = 0; i <= fns; i++)
		out.fn[i].epoch = shrink_epoch(in.fn[i].epoch, folded);
	for (uint32_t i = 0; i <= edges; i++)
		out.edge[i].epoch = shrink_epoch(in.edge[i].epoch, folded);
	for (int i = 0; i < 2; i++)
		memcpy(out.stack[i], in.stack[folded & 1], s->depth * sizeof(*out.stack[i]));
	return offset_of(to);
}

static void shrink_blocks(struct pyprof_ring *ring, uint64_t folded)
{
	uint32_t old_bytes = ((struct pyprof_header *)old)->block_bytes;
	uint64_t *link = &ring->first_block, offset = *link;
	uint64_t sequence = ring->folded;
	size_t left = MAX_RECORDS;

	*link = 0;
	while (offset && left) {
		const struct pyprof_block *b = (void *)(old + offset);
		size_t n = (old_bytes - sizeof(*b)) / sizeof(uint64_t);
		struct pyprof_block *to = NULL;

		offset = b->next;
		for (size_t i = 0; b->sequence > folded && i < n && b->record[i] && left;
		     i++, left--) {
			if (i % BLOCK_RECORDS == 0) {
				to = take(BLOCK_BYTES);
				memcpy(to, b, sizeof(*b));
				to->sequence = ++sequence;
				to->next = to->prev = 0;
				*link = offset_of(to);
				link = &to->next;
			}
			to->record[i % BLOCK_RECORDS] = b->record[i];
		}
	}
}

static void shrink(void)
{
	struct pyprof_header *h = (void *)new;
	struct pyprof_extent *rings;

	memcpy(new, old, PYPROF_HEADER_BYTES);
	h->names = join_extents(h->names);
	h->rings = join_extents(h->rings);
	rings = (void *)(new + h->rings);
	for (uint64_t at = sizeof(*rings); at < rings->used; at += sizeof(struct pyprof_ring)) {
		struct pyprof_ring *ring = (void *)((char *)rings + at);
		uint64_t folded = ring->folded;

		if (folded) {
			ring->fold = shrink_table(ring->fold, folded);
			ring->folded = 1;
		} else {
			ring->fold = 0;
		}
		shrink_blocks(ring, folded);
	}
	h->block_bytes = BLOCK_BYTES;
	h->process_start = 0;
	h->file_bytes = used;
}

int main(int argc, char **argv)
{
	int in = argc == 3 ? open(argv[1], O_RDONLY) : -1;
	int out = in < 0 ? -1 : open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0666);
	struct stat st;

	if (out < 0 || fstat(in, &st) < 0) {
		fputs("usage: shrink IN OUT\n", stderr);
		return 2;
	}
	old = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, in, 0);
	new = calloc(1, MAX_BYTES);
	if (old == MAP_FAILED || !new)
		return 1;
	shrink();
	return write(out, new, used) != (ssize_t)used;
}
