/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every atomic access to the recording. The target is the only writer, but for the fold tables,
 * which belong to whoever holds the ring's claim; readers look at any time, also while the target
 * runs. Each store below that makes something visible is a release, each load that looks for it an
 * acquire; those of P11 and P12 are fences; there is no lock.
 *
 * A line that orders bears its label in a comment. tests/litmus has a test for each; `make
 * check-order-mutants` weakens one such line after the other, and each time the label's test must fail.
 *
 *	label	store (target)			load (reader)	forbids
 *	P1/C1	a record into its block		record		a record whose function has no name yet,
 *								or whose block header is not there yet
 *	P2/C2	block.next			block chain	a block without its header
 *	P3/C3	ring.first_block		ring		the same, for the first one
 *	P4/C4	extent.used			extent		a name or a ring that is half written
 *	P5/C5	extent.next, header.names,	extent chain	an extent without its header
 *		header.rings
 *	P6/C6	header.file_bytes		any offset	an offset beyond what is mapped
 *	P7/C7	header.magic			attach		a header that is half written
 *	P8/C8	header.sync_mono_ns		clock pair	a pair of which only one half is new
 *	P9/C9	ring.folded			fold state	a table that lacks a part of a block, or
 *								has a part of the next one
 *	P10/C10	ring.fold			fold table	a table that is half copied
 *	P11/C11	ring.first_block, fence,	block, fence,	what a block says that is being made a
 *		then the block serves anew	first_block	later one, taken for what it said before
 *	P12/C12	an entry's epoch, fence,	the entry,	an entry that is half changed, taken for what
 *		then the entry changes		fence, epoch	it was before
 *	P13/C13	an entry's epoch, when its	epoch		an entry's copy of which a part is missing
 *		copy is whole
 *	X1	ring.consumer: taken by compare-and-swap	two sides that fold at once, and a fold
 *		(acquire), given back by release		that does not see the one before
 *	X2	in the target: a thread leaves its ring	a thread that goes on in a ring elsewhere than
 *		(release), another one takes it (acquire)	where the last one stopped
 */
#ifndef PYPROF_ORDER_H
#define PYPROF_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "format.h"

/* Everything written before is visible to whoever loads this value. */
static inline void pyprof_publish(uint64_t *field, uint64_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELEASE); /* label: the caller's */
}

static inline uint64_t pyprof_observe(const uint64_t *field)
{
	return __atomic_load_n(field, __ATOMIC_ACQUIRE); /* label: the caller's */
}

/*
 * ThreadSanitizer does not see fences. For it, each is a read-modify-write of one word that all
 * share: of two of them, one comes first, and what lies before it happens before what lies behind
 * the other. A reader whose fence comes first and who then finds nothing changed has read before
 * the writer wrote.
 */
#if defined(__SANITIZE_THREAD__)
__attribute__((weak)) uint64_t pyprof_fence_word;
#define PYPROF_FENCE(order) ((void)__atomic_fetch_add(&pyprof_fence_word, 1, __ATOMIC_ACQ_REL))
#else
#define PYPROF_FENCE(order) __atomic_thread_fence(order)
#endif

/* What was published before is visible before what is written from here on. */
static inline void pyprof_fence_before_reuse(void)
{
	PYPROF_FENCE(__ATOMIC_RELEASE); /* label: the caller's */
}

/* What was read before stays read before what is read from here on. */
static inline void pyprof_fence_after_use(void)
{
	PYPROF_FENCE(__ATOMIC_ACQUIRE); /* label: the caller's */
}

/* The mark of a fold table's entry: the number of the block whose fold has changed it. */
static inline void pyprof_mark(uint32_t *epoch, uint32_t sequence)
{
	__atomic_store_n(epoch, sequence, __ATOMIC_RELEASE); /* P13 */
}

static inline uint32_t pyprof_marked(const uint32_t *epoch)
{
	return __atomic_load_n(epoch, __ATOMIC_ACQUIRE); /* C13 */
}

/* A field that only one side writes and that orders nothing, such as a counter. */
static inline void pyprof_set(uint64_t *field, uint64_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

static inline uint64_t pyprof_get(const uint64_t *field)
{
	return __atomic_load_n(field, __ATOMIC_RELAXED);
}

/*
 * Copies the whole words of what may be written at the same time, each by one load: what is checked
 * then is the copy, and neither the caller nor the compiler looks at the recording again. `from` is
 * aligned to 8.
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

/* The record, or 0 where none has been written yet. */
static inline uint64_t pyprof_take(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE); /* C1 */
}

/* The consumer side of a ring. False: somebody has it already. */
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
