/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every ordered access to the recording; other atomic accesses are relaxed and order nothing.
 * Header-only, without state. Any thread of either side.
 *
 * The target is the only writer, with these exceptions. The fold tables and ring.folded belong to
 * the holder of the ring's claim, and ring.consumer to both sides. A reader writes
 * ring.wants_table, and header.end_ticks after the target ended. Readers may look at any time, also
 * while the target runs. Each store below that makes something visible is a release, and each load
 * that looks for it an acquire. P11 and P12 use fences. There is no lock.
 *
 * A line that orders bears its label in a comment, and tests/litmus has a test for each label.
 * `make check-order-mutants` weakens one labelled line at a time and expects the label's test to
 * fail.
 *
 *	label	store (target)			load (reader)	forbids
 *	P1/C1	a record into its block		record		a record whose function has no name
 *								yet, or whose block no header yet
 *	P2/C2	block.next			block chain	a block without its header
 *	P3/C3	ring.first_block		ring		the same, for the first block
 *	P4/C4	extent.used			extent		a half-written name or ring
 *	P5/C5	extent.next, header.names,	extent chain	an extent without its header
 *		header.rings
 *	P6/C6	header.file_bytes		any offset	an offset beyond the mapping
 *	P7/C7	header.magic			attach		a half-written header
 *	P8/C8	header.sync_mono_ns		clock pair	a pair of which one half is older
 *	P9/C9	ring.folded			fold state	a table that lacks part of a block,
 *								or has part of the next one
 *	P10/C10	ring.fold			fold table	a half-copied table
 *	P11/C11	ring.first_block, fence,	block, fence,	contents of a reused block, read as
 *		then the block is reused	first_block	those that it had before
 *	P12/C12	an entry's epoch, fence,	the entry,	a half-changed entry, taken for the
 *		then the entry changes		fence, epoch	unchanged one
 *	P13/C13	an entry's epoch, when its	epoch		a before-image of which a part is
 *		before-image is whole				missing
 *	X1	ring.consumer: set by compare-and-swap		two sides that fold at once; a fold
 *		(acquire), cleared by release			that does not see the one before
 *	X2	in the target: a thread leaves its ring		a thread that continues a ring at
 *		(release), another takes it (acquire)		another place than where it ended
 */
#ifndef PYPROF_ORDER_H
#define PYPROF_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "format.h"

/* Stores so that everything written before is visible to a side that observes this value. */
static inline void pyprof_publish(uint64_t *field, uint64_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELEASE); /* label: the caller's */
}

static inline uint64_t pyprof_observe(const uint64_t *field)
{
	return __atomic_load_n(field, __ATOMIC_ACQUIRE); /* label: the caller's */
}

/*
 * ThreadSanitizer does not see fences. For it, each fence is a read-modify-write of one shared
 * word. One of two such operations comes first, and all accesses before it happen before all
 * accesses after the other. If the reader's fence is first and the value is unchanged, its reads
 * preceded the write.
 */
#if defined(__SANITIZE_THREAD__)
__attribute__((weak)) uint64_t pyprof_fence_word;
#define PYPROF_FENCE(order) ((void)__atomic_fetch_add(&pyprof_fence_word, 1, __ATOMIC_ACQ_REL))
#else
#define PYPROF_FENCE(order) __atomic_thread_fence(order)
#endif

/* Stores that precede are visible before stores that follow. */
static inline void pyprof_fence_before_reuse(void)
{
	PYPROF_FENCE(__ATOMIC_RELEASE); /* label: the caller's */
}

/* Loads that precede are done before loads that follow. */
static inline void pyprof_fence_after_use(void)
{
	PYPROF_FENCE(__ATOMIC_ACQUIRE); /* label: the caller's */
}

/* Sets the epoch of a fold table's entry: the number of the block whose fold changed it. */
static inline void pyprof_mark(uint32_t *epoch, uint32_t sequence)
{
	__atomic_store_n(epoch, sequence, __ATOMIC_RELEASE); /* P13 */
}

static inline uint32_t pyprof_marked(const uint32_t *epoch)
{
	return __atomic_load_n(epoch, __ATOMIC_ACQUIRE); /* C13 */
}

/* Stores a field that only one side writes and that orders nothing, such as a counter. */
static inline void pyprof_set(uint64_t *field, uint64_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

static inline uint64_t pyprof_get(const uint64_t *field)
{
	return __atomic_load_n(field, __ATOMIC_RELAXED);
}

/*
 * Copies the whole words of memory that another side may write, each by one load. The caller checks
 * the copy, and neither it nor the compiler reads the recording again. `from` is aligned to 8; a
 * rest of `bytes` beyond the last whole word is not copied.
 */
static inline void pyprof_copy(void *to, const void *from, size_t bytes)
{
	typedef uint64_t __attribute__((may_alias)) any_word;
	const any_word *word = (const any_word *)from;

	for (size_t i = 0; i < bytes / sizeof(*word); i++) {
		uint64_t copy = __atomic_load_n(&word[i], __ATOMIC_RELAXED);

		memcpy((char *)to + i * sizeof(copy), &copy, sizeof(copy));
	}
}

/* The one store of the hot path. */
static inline void pyprof_put(uint64_t *at, uint64_t record)
{
	__atomic_store_n(at, record, __ATOMIC_RELEASE); /* P1 */
}

/* Returns the record, or 0 if none has been written yet. */
static inline uint64_t pyprof_take(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE); /* C1 */
}

/*
 * Claims a ring: sets `consumer` from `from` to `who`, see PYPROF_CONSUMER. False: it was not
 * `from`.
 */
static inline bool pyprof_claim(uint64_t *consumer, uint64_t from, uint64_t who)
{
	return __atomic_compare_exchange_n(consumer, &from, who, false, __ATOMIC_ACQUIRE, /* X1 */
					   __ATOMIC_RELAXED);
}

static inline void pyprof_unclaim(uint64_t *consumer)
{
	__atomic_store_n(consumer, 0, __ATOMIC_RELEASE); /* X1 */
}

#endif
