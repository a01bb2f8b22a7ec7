/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pieces.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "system/process.h"

#define N_PIECES 32u
#define MAX_KEPT_BYTES (1ull << 20)

static struct piece {
	uint64_t offset, bytes; /* 0: unused */
} pieces[N_PIECES];

void pieces_reset(void)
{
	memset(pieces, 0, sizeof(pieces));
}

bool pieces_give_back(uint8_t *base, uint64_t offset, uint64_t bytes)
{
	return bytes && !process_is_filtered() && madvise(base + offset, bytes, MADV_REMOVE) == 0;
}

/* Merges a piece with its neighbours, which are taken out. */
static struct piece merge(struct piece p)
{
	for (size_t i = 0; i < N_PIECES; i++) {
		struct piece *other = &pieces[i];

		if (!other->bytes || (other->offset + other->bytes != p.offset &&
				      p.offset + p.bytes != other->offset))
			continue;
		p.offset = other->offset < p.offset ? other->offset : p.offset;
		p.bytes += other->bytes;
		other->bytes = 0;
	}
	return p;
}

void pieces_keep(uint8_t *base, uint64_t offset, uint64_t bytes)
{
	struct piece p = merge((struct piece){ offset, bytes }), left_out = p;
	struct piece *smallest = &pieces[0];
	uint64_t kept = 0;

	for (size_t i = 0; i < N_PIECES; i++) {
		smallest = pieces[i].bytes < smallest->bytes ? &pieces[i] : smallest;
		kept += pieces[i].bytes;
	}
	if (kept > MAX_KEPT_BYTES && pieces_give_back(base, p.offset, p.bytes))
		return;
	if (smallest->bytes < p.bytes) {
		left_out = *smallest;
		*smallest = p;
	}
	pieces_give_back(base, left_out.offset, left_out.bytes);
}

uint64_t pieces_take(uint8_t *base, uint64_t bytes)
{
	struct piece *best = NULL;
	uint64_t at;

	for (size_t i = 0; i < N_PIECES; i++) {
		if (pieces[i].bytes >= bytes && bytes && (!best || pieces[i].bytes < best->bytes))
			best = &pieces[i];
	}
	if (!best)
		return 0;
	best->bytes -= bytes;
	at = best->offset + best->bytes;
	memset(base + at, 0, bytes);
	return at;
}
