/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Builds recordings in memory, as the shim would have written them, for tests of the reader.
 */
#ifndef TESTS_RECORDING_H
#define TESTS_RECORDING_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pyprof/format.h"

#define RECORDING_BYTES (256u << 10)
#define RECORDING_BLOCK_BYTES 256u /* 24 records */
#define RECORDING_BLOCK_RECORDS 24

struct recording_ring {
	struct pyprof_ring *shared;
	struct pyprof_block *block;
	size_t n; /* records in `block` */
};

struct recording {
	uint8_t *base;
	uint64_t used;
	struct pyprof_header *header;
	struct pyprof_extent *names, *rings;
	char path[64];
};

static inline uint64_t recording_offset(const struct recording *r, const void *at)
{
	return (uint64_t)((const uint8_t *)at - r->base);
}

static inline void *recording_take(struct recording *r, uint64_t bytes)
{
	void *at = r->base + r->used;

	r->used += (bytes + 7) & ~7ull;
	if (r->used > RECORDING_BYTES)
		abort();
	return at;
}

static inline struct pyprof_extent *recording_extent(struct recording *r, uint32_t kind,
						     uint64_t bytes)
{
	struct pyprof_extent *x = recording_take(r, bytes);

	*x = (struct pyprof_extent){ .kind = kind, .bytes = bytes, .used = sizeof(*x) };
	return x;
}

/* Makes a recording whose clock counts nanoseconds and that has no names and rings yet. */
static inline void recording_init(struct recording *r)
{
	memset(r, 0, sizeof(*r));
	r->base = calloc(1, RECORDING_BYTES);
	r->header = (struct pyprof_header *)r->base;
	*r->header = (struct pyprof_header){
		.magic = PYPROF_MAGIC,
		.major = PYPROF_MAJOR,
		.minor = PYPROF_MINOR,
		.header_bytes = PYPROF_HEADER_BYTES,
		.block_bytes = RECORDING_BLOCK_BYTES,
		.pid = 1,
		.clock = PYPROF_CLOCK_WALL,
		.file_bytes = RECORDING_BYTES,
		.boot_id = "another boot", /* so its process has ended */
		.python = "3.12.1 (main)",
	};
	r->used = PYPROF_HEADER_BYTES;
	r->names = recording_extent(r, PYPROF_EXTENT_NAMES, 16384);
	r->header->names = recording_offset(r, r->names);
	r->rings = recording_extent(r, PYPROF_EXTENT_RINGS, 4096);
	r->header->rings = recording_offset(r, r->rings);
}

static inline void recording_name(struct recording *r, uint32_t number, uint16_t kind,
				  const char *file, int32_t line, const char *name)
{
	struct pyprof_name *p = (void *)((char *)r->names + r->names->used);
	size_t n_file = strlen(file), n_name = strlen(name);

	*p = (struct pyprof_name){ .bytes = (uint32_t)(sizeof(*p) + n_file + n_name + 7) & ~7u,
				   .number = number,
				   .kind = kind,
				   .line = line,
				   .file_bytes = (uint32_t)n_file,
				   .name_bytes = (uint32_t)n_name };
	memcpy(p->text, file, n_file);
	memcpy(p->text + n_file, name, n_name);
	r->names->used += p->bytes;
}

static inline struct recording_ring recording_ring(struct recording *r)
{
	struct pyprof_ring *shared = (void *)((char *)r->rings + r->rings->used);

	r->rings->used += sizeof(*shared);
	return (struct recording_ring){ .shared = shared };
}

/* Appends a record at an absolute time. Starts a new block when the current one is full. */
static inline void recording_put(struct recording *r, struct recording_ring *ring, unsigned kind,
				 uint32_t fn, uint64_t ticks)
{
	if (!ring->block || ring->n == RECORDING_BLOCK_RECORDS) {
		struct pyprof_block *b = recording_take(r, RECORDING_BLOCK_BYTES);

		*b = (struct pyprof_block){ .kind = PYPROF_EXTENT_BLOCK,
					    .sequence = ring->block ? ring->block->sequence + 1 : 1,
					    .base_ticks = ticks };
		*(ring->block ? &ring->block->next : &ring->shared->first_block) =
			recording_offset(r, b);
		ring->block = b;
		ring->n = 0;
	}
	ring->block->record[ring->n++] = pyprof_record(kind, fn, ticks - ring->block->base_ticks);
}

/* Writes the first `bytes` of the recording into a temporary file and returns its path. */
static inline const char *recording_save_part(struct recording *r, size_t bytes)
{
	int fd;

	snprintf(r->path, sizeof(r->path), "/tmp/pyprof.1.XXXXXX");
	fd = mkstemp(r->path);
	if (fd < 0 || write(fd, r->base, bytes) != (ssize_t)bytes)
		abort();
	close(fd);
	return r->path;
}

static inline const char *recording_save(struct recording *r)
{
	return recording_save_part(r, RECORDING_BYTES);
}

static inline void recording_fini(struct recording *r)
{
	if (r->path[0])
		unlink(r->path);
	free(r->base);
}

#endif
