/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blocks.h"
#include "clock.h"
#include "fold.h"
#include "pageguard.h"
#include "pyprof/clock.h"
#include "pyprof/order.h"
#include "python/pyapi.h"
#include "recording.h"
#include "region.h"
#include "rings.h"
#include "system/config.h"
#include "system/killpoint.h"
#include "system/log.h"
#include "system/sandbox.h"
#include "threadname.h"

#define FIRST_LOOKAHEAD 8u
#define BLOCK_PATIENCE_NS 1000000000ull
#define GIVEN_AT_ONCE 4

__thread struct thread_self thread_self
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

static __thread unsigned slow_depth __attribute__((tls_model("initial-exec")));

static uint32_t n_threads;
static pthread_key_t exit_key;
static bool has_exit_key;
/*
 * PYSHIM_OVERFLOW=block: how long to wait for a reader. It is shared by all threads, because they
 * wait with the GIL held.
 */
static uint64_t patience_ns = BLOCK_PATIENCE_NS;

static void forget_self(void)
{
	memset(&thread_self, 0, sizeof(thread_self));
	clock_reset();
}

/* --- time ------------------------------------------------------------------------------------- */

uint64_t thread_slow_enter(void)
{
	slow_depth++;
	return clock_read();
}

void thread_slow_leave(uint64_t entered)
{
	uint64_t passed;

	if (--slow_depth)
		return;
	if (recording.state == RECORDING_FORKED) { /* a signal handler has forked meanwhile */
		forget_self();
		return;
	}
	passed = clock_read() - entered;
	thread_self.base += passed;
	thread_self.skipped_ticks += passed;
	if (thread_self.ring)
		pyprof_set(&thread_self.ring->shared->skipped_ticks, thread_self.skipped_ticks);
}

bool thread_is_slow(void)
{
	return slow_depth != 0;
}

/* Publishes a pair of clocks for readers of a recording that was cut off. */
static void publish_clock_pair(void)
{
	uint64_t ticks, ns;

	if (recording.clock != PYPROF_CLOCK_TSC)
		return;
	pyprof_clock_pair(&ticks, &ns);
	pyprof_set(&region.header->sync_mono_ns, 0);
	pyprof_publish(&region.header->sync_ticks, ticks); /* P8 */
	KILLPOINT("half-a-pair");
	pyprof_publish(&region.header->sync_mono_ns, ns); /* P8 */
}

/* --- rings ------------------------------------------------------------------------------------ */

/* Continues the ring behind the last record of its former thread. */
static void continue_ring(struct thread_ring *ring)
{
	struct thread_self *s = &thread_self;
	const struct thread_self *left = &ring->left;

	s->ring = ring;
	ring->owner = s;
	s->next = left->next;
	s->stop = left->next; /* soft stop: asks for the name soon */
	s->end = left->end;
	s->block = left->block;
	s->sequence = left->sequence;
	s->skipped_ticks = left->skipped_ticks;
	s->base = left->base;
	s->lookahead = FIRST_LOOKAHEAD;
	s->named = false;
	pyprof_set(&ring->shared->ended_ticks, 0);
}

static void put(unsigned kind, uint32_t number, uint64_t now)
{
	struct thread_self *s = &thread_self;
	uint64_t ticks = now - s->base;
	uint64_t *at = s->next;

	if (at == s->stop || ticks >> PYPROF_TICK_BITS)
		at = thread_room(now, &ticks, false);
	if (!at)
		return;
	pyprof_put(at, pyprof_record(kind, number & ((1u << PYPROF_FN_BITS) - 1), ticks));
	s->next = at + 1;
}

/* Puts a record about the thread. It is not an event, so its loss is not counted. */
static void put_about_thread(unsigned kind, uint32_t number, uint64_t now)
{
	thread_self.not_event = true;
	put(kind, number, now);
	thread_self.not_event = false;
}

void thread_put(unsigned kind, uint32_t number, uint64_t now)
{
	put(kind, number, now);
	thread_self.stop = thread_self.next;
}

static void put_thread(uint64_t now)
{
	put_about_thread(PYPROF_THREAD, thread_self.number, now);
}

/* Ends the calls that ran when recording was paused, at the time of the pause. */
static void put_pause(void)
{
	struct thread_self *s = &thread_self;
	uint64_t paused = s->paused_ticks;

	s->paused_ticks = 0;
	if (paused && (int64_t)(paused - s->base) >= 0)
		put_about_thread(PYPROF_THREAD_END, s->number, paused);
}

/* Ends the calls that were recorded as running, and records the frames that do run. */
static void catch_up(uint64_t now, bool entering)
{
	struct thread_self *s = &thread_self;
	bool blind = s->blind;

	s->n_restarts = recording.n_restarts;
	s->blind = false;
	put_pause();
	if (blind)
		put_about_thread(PYPROF_BLIND, 0, now);
	put_thread(now);
	recording_upcalls.open_frames(entering, now);
}

/* True if all threads have this clock in common. */
static bool has_common_clock(void)
{
	return recording.clock != PYPROF_CLOCK_THREAD && recording.clock != PYPROF_CLOCK_COUNT;
}

/*
 * Returns when the calls of an ending thread end: at a pause, or now. 0: unknown. Another thread
 * may be in pyshim_start(): it stores the time of the pause in this thread before it changes the
 * state, and clears the header's afterwards.
 */
static uint64_t end_of_thread(void)
{
	enum recording_state state = __atomic_load_n(&recording.state, __ATOMIC_RELAXED);
	uint64_t paused = pyprof_get(&thread_self.paused_ticks);

	if (!paused && state == RECORDING_PAUSED && has_common_clock())
		paused = pyprof_get(&region.header->paused_ticks);
	if (!paused)
		paused = pyprof_get(&thread_self.paused_ticks);
	if (paused)
		return paused;
	return state == RECORDING_ON ? clock_event() : 0;
}

/* Puts the end of the thread into the rest of the block: no block can be added here. */
static void put_thread_end(uint64_t at)
{
	struct thread_self *s = &thread_self;
	uint64_t ticks = at - s->base;

	if (!at || !s->next || s->next >= s->end || (int64_t)ticks < 0)
		return;
	if (ticks >> PYPROF_TICK_BITS && s->end - s->next > 1) {
		pyprof_put(s->next++, pyprof_record(PYPROF_SYNC, 0, ticks >> PYPROF_SYNC_SHIFT));
		s->base += ticks >> PYPROF_SYNC_SHIFT << PYPROF_SYNC_SHIFT;
		ticks = at - s->base;
	}
	if (ticks >> PYPROF_TICK_BITS)
		ticks = (1ull << PYPROF_TICK_BITS) - 1;
	pyprof_put(s->next++, pyprof_record(PYPROF_THREAD_END, s->number & 0xffffff, ticks));
}

/* Puts a record without the GIL, so no block can be added. */
static void put_end(unsigned kind, uint32_t number)
{
	struct thread_self *s = &thread_self;
	uint64_t ticks;

	if (!s->next || s->next >= s->end)
		return;
	ticks = clock_event() - s->base;
	if (ticks >> PYPROF_TICK_BITS)
		ticks = (1ull << PYPROF_TICK_BITS) - 1;
	pyprof_put(s->next++, pyprof_record(kind, number, ticks));
}

/* A destructor of thread-specific data: runs in the thread, without the GIL. */
static void thread_exit(void *arg)
{
	struct thread_ring *ring = arg;
	struct thread_self *s = &thread_self;
	uint64_t at;

	recording_upcalls.thread_ends();
	if (s->ring != ring) /* in a forked child the ring has no owner, see thread_reset() */
		return;
	at = end_of_thread();
	if (recording.state == RECORDING_ON && s->taken) { /* the running calls ended unseen */
		put_end(PYPROF_BLIND, 0);
		put_end(PYPROF_THREAD, s->number & 0xffffff);
	}
	put_thread_end(at);
	if (recording.state != RECORDING_OFF)
		pyprof_set(&ring->shared->ended_ticks, at ? at : 1);
	ring->last = clock_read();
	ring->left = *s;
	forget_self();
	rings_leave(ring);
}

static void count_loss(enum pyprof_loss cause)
{
	struct thread_ring *ring = thread_self.ring;
	uint64_t *n = ring ? &ring->shared->n_lost[cause] : &region.header->n_lost[cause];

	if (!thread_self.not_event)
		pyprof_set(n, *n + 1);
}

/*
 * Takes out the oldest block, zeroed. PYSHIM_OVERFLOW=block waits for a reader to fold it. If no
 * reader does, only the first wait is long: patience decreases with each block that no reader
 * folded, and is restored by one that a reader did fold.
 */
static uint64_t oldest_block(struct thread_ring *ring, uint64_t claim_ns, enum pyprof_loss *cause)
{
	uint64_t folded = ring->table.folded;
	bool waits = config.overflow == PYPROF_OVERFLOW_BLOCK;
	uint64_t offset = fold_oldest(&ring->table, waits ? patience_ns : 0, claim_ns, cause);

	if (offset)
		memset(region_at(offset), 0, REGION_BLOCK_BYTES);
	if (waits && offset && ring->table.folded == folded)
		patience_ns = BLOCK_PATIENCE_NS;
	else if (waits)
		patience_ns /= 8;
	return offset;
}

/*
 * True if a ring should give blocks back: down to two if space is short, down to one if tables have
 * used up the budget.
 */
static bool has_too_many(const struct thread_ring *ring)
{
	return (ring->n_blocks > 2 && region_is_short()) ||
	       (ring->n_blocks > 1 && blocks_are_over_budget());
}

/*
 * Takes the oldest block to reuse it. A ring with too many blocks first gives some back, a few at a
 * time; they are folded already.
 */
static uint64_t reuse_oldest(struct thread_ring *ring, uint64_t claim_ns, enum pyprof_loss *cause)
{
	uint64_t offset = oldest_block(ring, claim_ns, cause);

	for (int i = 0; i < GIVEN_AT_ONCE && offset && has_too_many(ring); i++) {
		region_free(offset, REGION_BLOCK_BYTES);
		ring->n_blocks--;
		recording.n_blocks--;
		offset = oldest_block(ring, claim_ns, cause);
	}
	return offset;
}

/*
 * Returns an empty block for this ring, if need be its oldest one; or 0, and the loss is counted.
 */
static uint64_t find_block(struct thread_ring *ring)
{
	enum pyprof_loss cause;
	uint64_t offset;

	if (ring->n_blocks == 1 && config.overflow != PYPROF_OVERFLOW_DROP)
		fold_prepare(&ring->table);
	offset = blocks_take(ring->n_blocks, &cause);
	if (!offset && config.overflow != PYPROF_OVERFLOW_DROP) {
		offset = reuse_oldest(ring, FOLD_SHORT_PATIENCE_NS, &cause);
		if (offset)
			return offset;
		if (cause == PYPROF_LOST_READER)
			offset = blocks_take_beyond();
		if (!offset && cause == PYPROF_LOST_READER) {
			offset = reuse_oldest(ring, FOLD_PATIENCE_NS, &cause);
			if (offset)
				return offset;
		}
	}
	if (offset)
		ring->n_blocks++;
	else
		count_loss(cause);
	return offset;
}

/* Links a new block behind the full one, or as the first; its time begins now. */
static bool add_block(uint64_t now)
{
	struct thread_self *s = &thread_self;
	uint64_t offset = find_block(s->ring);
	struct pyprof_block *b, *last = s->block;

	if (!offset)
		return false;
	b = region_at(offset);
	if (b == last) /* it was the only one */
		last = NULL;
	pyprof_set(&region.header->n_blocks, region.header->n_blocks + 1);
	b->kind = PYPROF_EXTENT_BLOCK;
	b->thread = s->number;
	b->number = region.header->n_blocks;
	b->sequence = ++s->sequence;
	b->base_ticks = now - s->skipped_ticks;
	b->skipped_ticks = s->skipped_ticks;
	if (recording.clock == PYPROF_CLOCK_TSC)
		b->mono_ns = pyprof_clock_ns(CLOCK_MONOTONIC);
	b->prev = last ? region_offset(last) : 0;
	KILLPOINT("block-ready");
	pyprof_publish(last ? &last->next : &s->ring->shared->first_block, offset); /* P2, P3 */
	KILLPOINT("block-linked");
	s->block = b;
	s->base = now;
	s->next = s->stop = b->record;
	s->end = (uint64_t *)((char *)b + REGION_BLOCK_BYTES);
	return true;
}

/*
 * Called at the thread's first event of this recording: without a ring, or in a forked child.
 * Converts the clock readings to the ring's time.
 */
static bool begin(uint64_t *now, uint64_t *entered)
{
	struct thread_self *s = &thread_self;
	struct thread_ring *ring;
	uint64_t ahead;

	if (!recording_ready())
		return false;
	ring = rings_take();
	if (!ring) {
		count_loss(PYPROF_LOST_STORAGE);
		return false;
	}
	s->number = ++n_threads;
	pyprof_set(&region.header->n_threads, n_threads);
	s->state = pyapi_state_id(py.PyThreadState_Get());
	continue_ring(ring);
	ahead = clock_continue(ring->last);
	*now += ahead;
	*entered += ahead;
	if (!sandbox_is_closed())
		threadname_publish_native(s->number);
	s->named = threadname_publish_python(s->number);
	if (has_exit_key)
		pthread_setspecific(exit_key, ring);
	if (s->n_restarts == recording.n_restarts) /* else catch_up does, with the running frames */
		put_thread(*now);
	return true;
}

/*
 * Handles a pause that is too long for a record's tick field. There is room for a record before the
 * stop.
 */
static void long_pause(uint64_t now)
{
	struct thread_self *s = &thread_self;
	uint64_t passed = now - s->base;
	uint64_t units = passed >> PYPROF_SYNC_SHIFT;

	if ((int64_t)passed < 0) { /* a clock ran backwards: stand still until it has caught up */
		s->base = now;
		return;
	}
	pyprof_put(s->next++, pyprof_record(PYPROF_SYNC, 0, units));
	s->base += units << PYPROF_SYNC_SHIFT;
}

/*
 * Handles a soft stop. These follow at growing distances within a block: a thread's name is known
 * only after its first calls, and a program that is killed early should leave a pair of clocks.
 */
static void soft_stop(void)
{
	struct thread_self *s = &thread_self;
	size_t left = (size_t)(s->end - s->next);

	if (!s->named)
		s->named = threadname_publish_python(s->number);
	publish_clock_pair();
	if (s->lookahead < left) {
		s->stop = s->next + s->lookahead;
		s->lookahead *= 2;
	} else {
		s->stop = s->end;
	}
}

/* Stops the events: nothing can be written any more. */
static void give_up(void)
{
	struct pyapi_pending pending;

	pyapi_pending_save(&pending);
	recording_upcalls.give_up();
	pyapi_pending_restore(&pending);
}

uint64_t *thread_room(uint64_t now, uint64_t *ticks, bool entering)
{
	struct thread_self *s = &thread_self;
	uint64_t entered = thread_slow_enter();
	int saved = errno;
	bool room = true;

	recording_check_process();
	if (pageguard_has_tripped())
		recording_is_damaged("that its pages are gone");
	/*
	 * The order matters: a record written at the stop would move past it, and it would never be
	 * reached.
	 */
	for (;;) {
		if (recording.state == RECORDING_OFF)
			room = false;
		else if (!s->ring)
			room = begin(&now, &entered);
		else if (s->next == s->end)
			room = add_block(now);
		else if (s->next == s->stop)
			soft_stop();
		else if ((now - s->base) >> PYPROF_TICK_BITS)
			long_pause(now);
		else if (s->n_restarts != recording.n_restarts || s->blind)
			catch_up(now, entering);
		else
			break;
		if (!room)
			break;
	}
	*ticks = now - s->base;
	thread_slow_leave(entered);
	if (!room && recording.state == RECORDING_OFF)
		give_up();
	errno = saved;
	return room ? s->next : NULL;
}

void thread_note_pause(void)
{
	uint64_t now = clock_read();

	pyprof_set(&region.header->paused_ticks, now ? now : 1);
}

void thread_restart(void)
{
	uint64_t paused = recording.state == RECORDING_PAUSED && has_common_clock()
				  ? pyprof_get(&region.header->paused_ticks)
				  : 0;
	struct thread_ring *ring;

	recording.n_restarts++;
	for (ring = rings_next_taken(NULL); ring; ring = rings_next_taken(ring)) {
		/* We hold the GIL, so no thread is writing: its next event takes the slow path. */
		ring->owner->stop = ring->owner->next;
		if (!ring->owner->paused_ticks)
			pyprof_set(&ring->owner->paused_ticks, paused);
	}
}

void thread_mark_taken(void)
{
	struct thread_self *s = &thread_self;

	if (!s->ring || s->taken || recording.state != RECORDING_ON)
		return;
	put_about_thread(PYPROF_BLIND, PYPROF_BLIND_BEGINS, clock_read());
	s->stop = s->next; /* see thread_end_blind() */
	s->taken = true;
}

void thread_end_blind(void)
{
	struct thread_self *s = &thread_self;
	uint64_t ticks;

	s->taken = false;
	if (recording.state != RECORDING_ON && recording.state != RECORDING_FORKED)
		return;
	s->blind = true;
	s->stop = s->next;
	if (s->ring)
		thread_room(clock_read(), &ticks, false);
	s->stop = s->next; /* after open_frames, the next event may need the slow path */
}

bool thread_note_blind_of(uint64_t state)
{
	struct thread_ring *ring;

	for (ring = rings_next_taken(NULL); ring; ring = rings_next_taken(ring)) {
		if (ring->owner->state != state)
			continue;
		ring->owner->blind = true;
		ring->owner->stop = ring->owner->next; /* as in thread_restart() */
		return true;
	}
	return false;
}

uint32_t thread_last_c_call(void)
{
	const struct thread_self *s = &thread_self;
	uint64_t r = s->ring && s->next > s->block->record ? s->next[-1] : 0;

	return pyprof_record_kind(r) == PYPROF_C_CALL ? pyprof_record_fn(r) << PYPROF_FN_SHIFT : 0;
}

void thread_note_end(void)
{
	if (recording.state != RECORDING_ON && recording.state != RECORDING_PAUSED)
		return;
	if (recording.clock != PYPROF_CLOCK_THREAD && recording.clock != PYPROF_CLOCK_COUNT)
		pyprof_set(&region.header->end_ticks, clock_read());
}

const struct pyprof_ring *thread_ring_of_self(void)
{
	return thread_self.ring ? thread_self.ring->shared : NULL;
}

bool thread_adopt(void)
{
	if (!rings_adopt())
		return false;
	n_threads = (uint32_t)region.header->n_threads;
	return true;
}

void thread_reset(void)
{
	bool blind = thread_self.blind && recording.state != RECORDING_FORKED;

	rings_reset();
	forget_self();
	thread_self.blind = blind; /* not in a child: its recording begins after that interval */
	n_threads = 0;
	patience_ns = BLOCK_PATIENCE_NS;
}

void thread_init(void)
{
	has_exit_key = pthread_key_create(&exit_key, thread_exit) == 0;
	if (!has_exit_key)
		log_debug("no thread-specific key is left: rings of ended threads are not reused");
}
