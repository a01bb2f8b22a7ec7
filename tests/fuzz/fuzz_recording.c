/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: any bytes as a recording, read with every report as pyshim-read does, and folded in
 * place as --wait does. Mutations change words, records and whole structures in place, and mostly
 * keep the header valid. Otherwise nearly every input would be refused there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "recording/consume.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#define MAX_BYTES (24u << 10)
#define WINDOW 128u /* bytes: the largest structure that is mutated as a whole */

/* Does one round of --wait. */
static void fold_in_place(const char *path)
{
	struct consume c;
	struct attach a;

	if (attach_open(&a, path) < 0)
		return;
	if (consume_open(&c, &a) == 0) {
		consume_round(&c);
		consume_close(&c);
	}
	attach_close(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The last two bytes are not part of the recording. They select the options. */
	unsigned choice = size ? data[size - 1] : 0, view = size > 1 ? data[size - 2] & 3 : 0;
	const char *path = fuzz_file(data, size);

	if (choice & 1)
		fold_in_place(path);
	fuzz_source(path, (choice >> 1 & 31) | view << 5);
	return 0;
}

/* --- mutations -------------------------------------------------------------------------------- */

static uint64_t state;

static uint32_t roll(size_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull; /* Knuth, MMIX */
	return n ? (uint32_t)((state >> 33) % n) : 0;
}

/* Returns an aligned offset, mostly after the header, because its texts matter little. */
static size_t roll_offset(size_t size, size_t align)
{
	size_t from = size > PYPROF_HEADER_BYTES && roll(8) ? PYPROF_HEADER_BYTES : 0;

	return (from + roll(size - from)) / align * align;
}

static uint64_t roll_record(void)
{
	return pyprof_record(1 + roll(2 * PYPROF_HIGH_OFFSET - 1),
			     roll(8) ? roll(12) : roll(1u << PYPROF_FN_BITS),
			     roll(4) ? roll(1000) : state >> PYPROF_TICK_SHIFT);
}

/* Returns a number that is likely to matter: an offset, a length, a count, a limit. */
static uint64_t roll_number(size_t size)
{
	static const uint64_t odd[] = {
		0,	    1,		2,	  UINT64_MAX,	 INT64_MAX,	    1ull << 63,
		UINT32_MAX, 1ull << 31, 1u << 28, PYPROF_FN_MAX, PYPROF_FN_OVERFLOW
	};

	switch (roll(6)) {
	case 0:
		return roll_offset(size, 64);
	case 1:
		return roll_offset(size, 8);
	case 2:
		return size - roll(256);
	case 3:
		return odd[roll(sizeof(odd) / sizeof(odd[0]))];
	case 4:
		return roll_record();
	default:
		return roll(300);
	}
}

static void mutate_word(uint8_t *data, size_t size)
{
	size_t width = roll(2) ? 8 : 4, at = roll_offset(size, width);
	uint64_t number;

	if (size - at < width)
		return;
	memcpy(&number, data + at, width);
	number = roll(3) ? roll_number(size) : number + roll(17) - 8;
	memcpy(data + at, &number, width);
}

static void mutate_records(uint8_t *data, size_t size)
{
	size_t at = roll_offset(size, 8);

	for (uint32_t n = 1 + roll(40); n && at + 8 <= size; n--, at += 8) {
		uint64_t record = roll_record();

		memcpy(data + at, &record, 8);
	}
}

static void move_structure(uint8_t *data, size_t size)
{
	size_t bytes = (1 + roll(WINDOW / 8)) * 8;
	size_t from = roll_offset(size, 8), to = roll_offset(size, 8);

	if (bytes <= size - from && bytes <= size - to)
		memmove(data + to, data + from, bytes);
}

static void mutate_window(uint8_t *data, size_t size)
{
	size_t at = roll_offset(size, 8);
	size_t bytes = size - at < WINDOW ? size - at : WINDOW;

	if (bytes)
		LLVMFuzzerMutate(data + at, bytes, bytes);
}

/* Makes the fields that are checked first mostly valid. */
static void repair_header(uint8_t *data, size_t size)
{
	struct pyprof_header *h = (void *)data;

	if (size < PYPROF_HEADER_BYTES || !roll(16))
		return;
	h->magic = PYPROF_MAGIC;
	h->major = PYPROF_MAJOR;
	h->required = 0;
	h->header_bytes = PYPROF_HEADER_BYTES;
	h->file_bytes = size;
	h->process_start = 0;
	if (h->clock < PYPROF_CLOCK_TSC || h->clock > PYPROF_CLOCK_COUNT)
		h->clock = 1 + roll(5);
	if (h->block_bytes % 8 || h->block_bytes < 72 || h->block_bytes > size)
		h->block_bytes = 512;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	_Alignas(struct pyprof_header) uint8_t copy[MAX_BYTES];

	state = seed;
	if (size < 8 || size > sizeof(copy) || !roll(50))
		return LLVMFuzzerMutate(data, size, max_size);
	memcpy(copy, data, size);
	if (!roll(20)) {
		size_t resized = 8 + roll((max_size < sizeof(copy) ? max_size : sizeof(copy)) - 8);

		if (resized > size)
			memset(copy + size, 0, resized - size);
		size = resized & ~7ull;
	}
	for (uint32_t n = 1 + roll(4); n; n--) {
		switch (roll(8)) {
		case 0:
			mutate_records(copy, size);
			break;
		case 1:
			move_structure(copy, size);
			break;
		case 2:
		case 3:
			mutate_window(copy, size);
			break;
		default:
			mutate_word(copy, size);
		}
	}
	repair_header(copy, size);
	copy[size - 1] = (uint8_t)roll(256); /* the options */
	memcpy(data, copy, size);
	return size;
}
