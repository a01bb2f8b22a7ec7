/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two threads that alternate, and the recording that they share. The target's side is the shim's
 * own code without an interpreter, the reader's side is the reader's code. Both map the recording
 * at one address, because ThreadSanitizer compares addresses: a second mmap() of a mapped recording
 * returns the first mapping.
 *
 * Turns from `a2` on are passed by relaxed stores, which order nothing. So only the label under
 * test makes the stores of one side visible to the other. If it does not, ThreadSanitizer reports a
 * race.
 */
#ifndef TESTS_LITMUS_SIDES_H
#define TESTS_LITMUS_SIDES_H

#include <stdint.h>

/* Each may be NULL. The first two are ordered before all others. */
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
 * For a2: stops this thread when it passes `place` (killpoint.h) for the `count`th time, runs b2,
 * and then continues. Calls `before` first, unless it is NULL; `before` may name another place.
 */
void hold_at(const char *place, int count, void (*before)(void));

/* Returns true if this thread was stopped in a2, as it should have been. */
_Bool was_held(void);

/* --- the target ------------------------------------------------------------------------------- */

/*
 * Makes the folder for the recordings of all tests. Each test is a process and may end in any way.
 */
void target_make_folder(void);
void target_remove_folder(void);

/* Chooses the path of the recording, before it begins. */
void target_prepare(void);
void target_record(void);

/* Does both. All rings together have `n_blocks` blocks, and each has at least two. */
void target_begin(uint32_t n_blocks);

/* Returns the path of the recording. */
const char *target_path(void);

/* Records an event of this thread with this function number. */
void target_put(unsigned kind, uint32_t fn);

/*
 * Fills the current block, or the next one if it is full, with calls and returns of the `n_fns`
 * functions from `fn` on, in turn.
 */
void target_fill(uint32_t fn, uint32_t n_fns);

/* The same with records that change no table entry. */
void target_fill_with_gaps(void);

/* Makes the next event follow a pause that the tick field of a record cannot hold. */
void target_pause(void);

/*
 * Returns true if the next record of this thread is within its block and before the place where the
 * target stops.
 */
_Bool target_is_within_block(void);

/* Makes this thread's next events those of a new thread. */
void target_be_another(void);

/* Publishes a name of `bytes` bytes for a function. */
void target_name(uint32_t number, uint32_t bytes);

/* Switches to the processor's counter. Other clocks have no pairs. */
void target_use_counter(void);

/* Records events until the next one must write a pair of clocks first. */
void target_put_until_pair(void);

/* Returns the number of frames that a fork finds running. */
uint32_t target_find_frames(void);

/* The lock that a thread holds while it runs Python. */
void target_take_gil(void);
void target_drop_gil(void);

#endif
