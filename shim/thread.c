/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _LGPL_SOURCE
#include <urcu/rculist.h>

#include "config.h"
#include "fold.h"
#include "hook.h"
#include "killpoint.h"
#include "log.h"
#include "pyapi.h"
#include "pyprof/clock.h"
#include "pyprof/ring.h"
#include "recording.h"
#include "region.h"
#include "sandbox.h"
#include "start.h"
#include "threadname.h"

#define FIRST_LOOKAHEAD 8u
#define BLOCK_PATIENCE_NS 1000000000ull

/*
 * A node of the registry. Added once, never freed while the process lives, so that whoever walks
 * the list needs no lock and no grace period; a thread that starts takes over the ring of one that
 * has ended, by one compare-and-swap on `state` (X2, in pyprof/ring.h): threads end without the GIL.
 */
struct thread_ring {
	struct cds_list_head node;
	struct pyprof_ring *shared;
	struct thread_self *owner; /* of the thread that writes now */
	struct thread_self left;   /* where the thread that ended stopped writing ... */
	uint64_t last;		   /* ... and its clock */
	struct pyprof_table table;
	uint64_t patience_ns; /* PYSHIM_OVERFLOW=block: how long to wait for a reader */
	uint32_t n_blocks;
	int state; /* RING_TAKEN, RING_FREE */
};

enum { RING_TAKEN, RING_FREE };

__thread struct thread_self thread_self
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

static __thread unsigned slow_depth __attribute__((tls_model("initial-exec")));

static CDS_LIST_HEAD(registry);
static struct pyprof_extent *last_rings; /* the extent that new rings go to */
static uint32_t n_threads;
static pthread_key_t exit_key;
static bool has_exit_key;

/* --- clock ------------------------------------------------------------------------------------ */

/* The recording's clock; PYSHIM_CLOCK=count does not move on by being read. */
static uint64_t read_clock(void)
{
	switch (recording.clock) {
	case PYPROF_CLOCK_TSC:
		return pyprof_tsc();
	case PYPROF_CLOCK_CPU:
		return pyprof_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	case PYPROF_CLOCK_THREAD:
		return pyprof_clock_ns(CLOCK_THREAD_CPUTIME_ID) + thread_self.count;
	case PYPROF_CLOCK_COUNT:
		return thread_self.count;
	default:
		return pyprof_clock_ns(CLOCK_MONOTONIC);
	}
}

uint64_t hook_clock_other(void)
{
	if (recording.clock == PYPROF_CLOCK_COUNT)
		return ++thread_self.count;
	return read_clock();
}

uint64_t thread_slow_enter(void)
{
	slow_depth++;
	return read_clock();
}

void thread_slow_leave(uint64_t entered)
{
	uint64_t passed;

	if (--slow_depth)
		return;
	passed = read_clock() - entered;
	thread_self.base += passed;
	thread_self.skipped_ticks += passed;
}

/* A pair of clocks for whoever reads a recording that was cut off. */
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

/* --- rings -------------------------------------------------------------------------------------- */

static struct pyprof_ring *new_shared_ring(void)
{
	struct pyprof_extent *x = last_rings;
	struct pyprof_ring *ring;

	if (!x || x->bytes - x->used < sizeof(*ring)) {
		uint64_t offset = region_alloc(PYPROF_EXTENT_ALIGN);

		if (!offset)
			return NULL;
		x = region_at(offset);
		x->kind = PYPROF_EXTENT_RINGS;
		x->bytes = PYPROF_EXTENT_ALIGN;
		x->used = sizeof(*x);
		pyprof_publish(last_rings ? &last_rings->next : &region.header->rings,
			       offset); /* P5 */
		last_rings = x;
	}
	ring = (struct pyprof_ring *)((char *)x + x->used);
	pyprof_publish(&x->used, x->used + sizeof(*ring)); /* P4 */
	return ring;
}

static bool try_take(struct thread_ring *ring)
{
	int is = RING_FREE;

	return __atomic_compare_exchange_n(&ring->state, &is, RING_TAKEN, false,
					   __ATOMIC_ACQUIRE, /* X2 */
					   __ATOMIC_RELAXED);
}

static struct thread_ring *take_ring(void)
{
	struct thread_ring *ring;

	cds_list_for_each_entry_rcu(ring, &registry, node) {
		if (try_take(ring))
			return ring;
	}
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return NULL;
	ring->shared = new_shared_ring();
	if (!ring->shared) {
		free(ring);
		return NULL;
	}
	ring->table.ring = ring->shared;
	ring->patience_ns = config.overflow == PYPROF_OVERFLOW_BLOCK ? BLOCK_PATIENCE_NS : 0;
	cds_list_add_rcu(&ring->node, &registry);
	return ring;
}

/*
 * A clock of the thread's own begins anew with each thread, but within a ring time never goes back: it
 * goes on where the thread before stopped. The result is what readings from before now lack.
 */
static uint64_t continue_clock(uint64_t last)
{
	if (recording.clock != PYPROF_CLOCK_THREAD && recording.clock != PYPROF_CLOCK_COUNT)
		return 0;
	thread_self.count += last;
	return last;
}

/* Goes on behind the last record of the thread that had this ring before. */
static void go_on_in(struct thread_ring *ring)
{
	struct thread_self *s = &thread_self;
	const struct thread_self *left = &ring->left;

	s->ring = ring;
	ring->owner = s;
	s->next = left->next;
	s->stop = left->next; /* soft stop: look for the name soon */
	s->end = left->end;
	s->block = left->block;
	s->skipped_ticks = left->skipped_ticks;
	s->base = left->base;
	s->lookahead = FIRST_LOOKAHEAD;
	s->named = false;
}

/* A record that tells of the thread, and is no event. */
static void tell(unsigned kind, uint32_t number, uint64_t now)
{
	thread_self.telling = true;
	hook_put(kind, (number & ((1u << PYPROF_FN_BITS) - 1)) << PYPROF_FN_SHIFT, now, false,
		 NULL);
	thread_self.telling = false;
}

static void put_thread(uint64_t now)
{
	tell(PYPROF_THREAD, thread_self.number, now);
}

/* Closes what was recorded as running, and records what does run. */
static void catch_up(uint64_t now, bool entering)
{
	struct thread_self *s = &thread_self;
	bool blind = s->blind;

	s->n_restarts = recording.n_restarts;
	s->blind = false;
	if (blind)
		tell(PYPROF_GAP, 0, now);
	put_thread(now);
	hook_open_frames(entering, now);
}

/* A destructor of thread-specific data: runs in the thread, without the GIL. */
static void thread_exit(void *arg)
{
	struct thread_ring *ring = arg;
	struct thread_self *s = &thread_self;

	if (s->ring != ring) /* in a forked child it is nobody's, see thread_reset() */
		return;
	/* While paused, what is open ended with the pause, as the reader will find. */
	if (s->next && s->next < s->end && recording.state == RECORDING_ON) {
		uint64_t ticks = hook_clock_other() - s->base;

		if (ticks >> PYPROF_TICK_BITS)
			ticks = (1ull << PYPROF_TICK_BITS) - 1;
		pyprof_put(s->next++,
			   pyprof_record(PYPROF_THREAD_END, s->number & 0xffffff, ticks));
	}
	ring->last = read_clock();
	ring->left = *s;
	memset(s, 0, sizeof(*s));
	__atomic_store_n(&ring->state, RING_FREE, __ATOMIC_RELEASE); /* X2 */
}

static void count_loss(enum pyprof_loss cause)
{
	struct thread_ring *ring = thread_self.ring;
	uint64_t *n = ring ? &ring->shared->n_lost[cause] : &region.header->n_lost[cause];

	if (!thread_self.telling)
		pyprof_set(n, *n + 1);
}

/*
 * PYSHIM_OVERFLOW=block waits for a reader to fold. Where none comes, the first wait is the only long
 * one: patience is lost with each block that we had to fold, and won back with one that we had not.
 */
static uint64_t oldest_block(struct thread_ring *ring, uint64_t patience_ns,
			     enum pyprof_loss *cause)
{
	uint64_t folded = ring->table.folded;
	uint64_t offset = fold_oldest(&ring->table, ring->patience_ns, patience_ns, cause);

	if (offset)
		memset(region_at(offset), 0, region.header->block_bytes);
	if (config.overflow == PYPROF_OVERFLOW_BLOCK)
		ring->patience_ns =
			ring->table.folded == folded ? BLOCK_PATIENCE_NS : ring->patience_ns / 8;
	return offset;
}

/* An empty block for this ring, its last one's place for the oldest's where need be; or 0. */
static uint64_t find_block(struct thread_ring *ring)
{
	enum pyprof_loss cause;
	uint64_t offset;

	if (ring->n_blocks == 1 && config.overflow != PYPROF_OVERFLOW_DROP)
		fold_prepare(&ring->table);
	offset = recording_block(ring->n_blocks, &cause);
	if (!offset && config.overflow != PYPROF_OVERFLOW_DROP) {
		offset = oldest_block(ring, FOLD_SHORT_PATIENCE_NS, &cause);
		if (offset)
			return offset;
		if (cause == PYPROF_LOST_READER)
			offset = recording_block_beyond();
		if (!offset && cause == PYPROF_LOST_READER) {
			offset = oldest_block(ring, FOLD_PATIENCE_NS, &cause);
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

/* A fresh block behind the full one (or the first): its time begins now. */
static bool add_block(uint64_t now)
{
	struct thread_self *s = &thread_self;
	uint64_t sequence = s->block ? s->block->sequence + 1 : 1;
	uint64_t offset = find_block(s->ring);
	struct pyprof_block *b, *last = s->block;

	if (!offset)
		return false;
	b = region_at(offset);
	if (b == last) /* the only one there was */
		last = NULL;
	pyprof_set(&region.header->n_blocks, region.header->n_blocks + 1);
	b->kind = PYPROF_EXTENT_BLOCK;
	b->thread = s->number;
	b->number = region.header->n_blocks;
	b->sequence = sequence;
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
	s->end = (uint64_t *)((char *)b + region.header->block_bytes);
	return true;
}

/*
 * Without its own ring, or in a forked child: the thread's first event of this recording. The clock
 * readings are turned into the ring's time.
 */
static bool begin(uint64_t *now, uint64_t *entered)
{
	struct thread_self *s = &thread_self;
	struct thread_ring *ring;
	uint64_t ahead;

	if (!recording_ready())
		return false;
	ring = take_ring();
	if (!ring) {
		count_loss(PYPROF_LOST_STORAGE);
		return false;
	}
	s->number = ++n_threads;
	go_on_in(ring);
	ahead = continue_clock(ring->last);
	*now += ahead;
	*entered += ahead;
	if (!sandbox_is_closed())
		threadname_publish_native(s->number);
	s->named = threadname_publish_python(s->number);
	if (has_exit_key)
		pthread_setspecific(exit_key, ring);
	if (s->n_restarts == recording.n_restarts) /* else catch_up does, with what runs already */
		put_thread(*now);
	return true;
}

/* A pause that a record's tick field does not hold. There is room for a record, up to the stop. */
static void long_pause(uint64_t now)
{
	struct thread_self *s = &thread_self;
	uint64_t passed = now - s->base;
	uint64_t units = passed >> PYPROF_SYNC_SHIFT;

	if ((int64_t)passed < 0) { /* a clock that went back: stand still until it has caught up */
		s->base = now;
		return;
	}
	pyprof_put(s->next++, pyprof_record(PYPROF_SYNC, 0, units));
	s->base += units << PYPROF_SYNC_SHIFT;
}

/*
 * Stops that come at growing distances within a block: a thread's name is known only after its first
 * calls, and a program that is killed early should leave a pair of clocks.
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

/* Nothing can be written, and never will be: no more events, please. */
static void give_up(void)
{
	struct pyapi_pending pending;

	pyapi_pending_save(&pending);
	start_give_up();
	pyapi_pending_restore(&pending);
}

uint64_t *thread_room(uint64_t now, uint64_t *ticks, bool entering)
{
	struct thread_self *s = &thread_self;
	uint64_t entered = thread_slow_enter();
	int saved = errno;
	bool room = true;

	/* In this order: nothing is written where the stop is, or it would be passed for ever. */
	for (;;) {
		if (!s->ring)
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

void thread_begin_anew(void)
{
	struct thread_ring *ring;

	recording.n_restarts++;
	cds_list_for_each_entry_rcu(ring, &registry, node) {
		/* The GIL is ours, so no thread is writing: the next event takes the slow path. */
		if (__atomic_load_n(&ring->state, __ATOMIC_RELAXED) == RING_TAKEN)
			ring->owner->stop = ring->owner->next;
	}
}

void thread_note_gap(void)
{
	struct thread_self *s = &thread_self;

	if (!s->ring || recording.state != RECORDING_ON)
		return;
	s->blind = true;
	s->stop = s->next;
}

const struct pyprof_ring *thread_ring_of_self(void)
{
	return thread_self.ring ? thread_self.ring->shared : NULL;
}

void thread_reset(void)
{
	CDS_INIT_LIST_HEAD(&registry);
	memset(&thread_self, 0, sizeof(thread_self));
	last_rings = NULL;
	n_threads = 0;
}

void thread_init(void)
{
	has_exit_key = pthread_key_create(&exit_key, thread_exit) == 0;
	if (!has_exit_key)
		log_debug("no thread-specific key is left: rings of ended threads stay theirs");
}
