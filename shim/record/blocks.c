/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blocks.h"

#include "recording.h"
#include "region.h"
#include "system/config.h"

#define MIN_BLOCKS 4u
#define BLOCKS_BEYOND 4096u

void blocks_reset(void)
{
	recording.n_blocks = 0;
	recording.table_bytes = 0;
	recording.max_blocks = (uint32_t)(config.buffer_bytes / REGION_BLOCK_BYTES);
	if (recording.max_blocks < MIN_BLOCKS)
		recording.max_blocks = MIN_BLOCKS;
}

static uint64_t add_block(bool spare)
{
	uint64_t offset =
		spare ? region_alloc_ring(REGION_BLOCK_BYTES) : region_alloc(REGION_BLOCK_BYTES);

	recording.n_blocks += offset != 0;
	return offset;
}

/* Returns the size of blocks and fold tables, in blocks. */
static uint64_t taken_blocks(void)
{
	return recording.n_blocks + recording.table_bytes / REGION_BLOCK_BYTES;
}

bool blocks_are_mostly_tables(void)
{
	return recording.table_bytes / REGION_BLOCK_BYTES > recording.max_blocks / 4;
}

/*
 * True if a ring that owns so many blocks may have another one. It gets a second block too, unless
 * all rings together would use up the budget that way. With overflow "block" or "drop" it always
 * gets the second one: these cannot work with one block.
 */
static bool is_within_budget(uint32_t n_owned)
{
	if (n_owned == 1)
		return config.overflow != PYPROF_OVERFLOW_FOLD ||
		       taken_blocks() < recording.max_blocks / 4 * 3 ||
		       recording.n_blocks < MIN_BLOCKS;
	return n_owned == 0 || taken_blocks() < recording.max_blocks;
}

bool blocks_are_over_budget(void)
{
	return config.overflow == PYPROF_OVERFLOW_FOLD && recording.n_blocks > MIN_BLOCKS &&
	       taken_blocks() > recording.max_blocks;
}

uint64_t blocks_take(uint32_t n_owned, enum pyprof_loss *cause)
{
	uint64_t offset;

	if (!is_within_budget(n_owned)) {
		*cause = PYPROF_LOST_BUDGET;
		return 0;
	}
	offset = add_block(n_owned >= 2);
	if (!offset)
		*cause = PYPROF_LOST_STORAGE;
	return offset;
}

uint64_t blocks_take_beyond(void)
{
	return recording.n_blocks < recording.max_blocks + BLOCKS_BEYOND ? add_block(true) : 0;
}
