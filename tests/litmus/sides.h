/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two threads that take turns, and what they work on. The target's side is the shim's own code,
 * without an interpreter; the reader's is the reader's. Both see the recording at one address, for
 * ThreadSanitizer goes by addresses: mmap() of a recording that is mapped already gives the mapping
 * that there is.
 *
 * Turns from `a2` on are passed by relaxed stores, which order nothing: so only the label under
 * test makes what one side has written visible to the other, and where it does not, ThreadSanitizer
 * reports a race.
 */
#ifndef TESTS_LITMUS_SIDES_H
#define TESTS_LITMUS_SIDES_H

#include <stdint.h>

/* Each may be NULL. What the first two do is ordered before all that follows. */
struct turns {
	void (*a1)(void);
	void (*b1)(void);
	void (*a2)(void);
	void (*b2)(void);
	void (*a3)(void);
};

/* Runs a1, b1, a2, b2, a3 in two threads. */
void take_turns(const struct turns *turns);

/*
 * In a2: goes on with b2 when this thread passes the place (killpoint.h) for the `count`th time,
 * and comes back when that is done. `before` is called there first, unless it is NULL; it may name
 * another place instead.
 */
void hold_at(const char *place, int count, void (*before)(void));

/* Whether this thread was held in a2, as it should have been. */
_Bool was_held(void);

/* --- the target ------------------------------------------------------------------------------- */

/* For the recordings of all tests, which are processes of their own and may end in any way. */
void target_make_folder(void);
void target_remove_folder(void);

/* Before this process begins its recording, of which then only the path is known. */
void target_prepare(void);
void target_record(void);

/* Both, and lets all rings together have this many blocks, but each two. */
void target_begin(uint32_t n_blocks);

/* Where the recording is. */
const char *target_path(void);

/* An event of this thread, with the function's number as it is. */
void target_put(unsigned kind, uint32_t fn);

/*
 * Events to the end of the block at hand, or of the next one where it is full: the functions from
 * `fn` on, `n_fns` of them in turn, are called and return.
 */
void target_fill(uint32_t fn, uint32_t n_fns);

/* The same of records that change no entry of a table. */
void target_fill_with_gaps(void);

/* The next event comes after a pause that the tick field of a record does not hold. */
void target_pause(void);

/*
 * Whether what this thread writes next lies within its block, and before the place where it looks
 * up.
 */
_Bool target_is_within_block(void);

/* From here on, this thread's events are those of a thread that has not been seen yet. */
void target_be_another(void);

/* Publishes the name of a function, made of `bytes` bytes. */
void target_name(uint32_t number, uint32_t bytes);

/* Times are those of the processor's counter from here on: the others have no pairs of clocks. */
void target_use_counter(void);

/* Events, so that the next one writes a pair of clocks first. */
void target_put_until_pair(void);

/* What a fork looks at: how many frames are found running. */
uint32_t target_find_frames(void);

/* The lock that a thread holds while it runs Python. */
void target_take_gil(void);
void target_drop_gil(void);

#endif
