/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forkstack.h"

#include <string.h>
#include <sys/mman.h>

#include "intern.h"
#include "pyprof/table.h"
#include "region.h"
#include "system/sandbox.h"
#include "thread.h"

#define MAX_LOOK_BACK (1u << 20) /* records: takes a few milliseconds */
#define FIRST_FRAMES 64u

__thread struct forkstack forkstack_born
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

static size_t bytes_of(size_t n_frames)
{
	return n_frames * sizeof(struct intern_origin);
}

/* Frames for one fork at a time, and for its child: they save both a mapping. */
static struct intern_origin first_frames[FIRST_FRAMES];
static bool first_frames_taken;

static void release(const struct forkstack *f)
{
	if (f->frame == first_frames)
		__atomic_store_n(&first_frames_taken, false, __ATOMIC_RELAXED);
	else if (f->cap)
		munmap(f->frame, bytes_of(f->cap));
}

static bool make_room(struct forkstack *f)
{
	size_t cap = f->cap ? f->cap * 2 : FIRST_FRAMES;
	void *more;

	if (!f->cap && !__atomic_exchange_n(&first_frames_taken, true, __ATOMIC_RELAXED)) {
		f->frame = first_frames;
		f->cap = cap;
		return true;
	}
	if (sandbox_is_closed())
		return false;
	more = mmap(NULL, bytes_of(cap), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	if (more == MAP_FAILED)
		return false;
	if (f->n)
		memcpy(more, f->frame, bytes_of(f->n));
	release(f);
	f->frame = more;
	f->cap = cap;
	return true;
}

static bool add(struct forkstack *f, uint32_t number)
{
	if (f->n == f->cap && !make_room(f))
		return false;
	intern_describe(number, &f->frame[f->n++]);
	return true;
}

/* Returns the preceding block, or NULL if it has been folded and may be reused. */
static const struct pyprof_block *before(const struct pyprof_block *b,
					 const struct pyprof_ring *ring)
{
	const struct pyprof_block *prev = region_check(b->prev, REGION_BLOCK_BYTES);

	return prev && prev->sequence == b->sequence - 1 &&
			       prev->sequence > pyprof_get(&ring->folded)
		       ? prev
		       : NULL;
}

/*
 * Reads a block backwards from `at`; `*ended` counts ends whose beginnings lie further back. False:
 * a record says that the stack was empty there, or memory is short.
 */
static bool scan(struct forkstack *f, const struct pyprof_block *b, const uint64_t *at,
		 uint32_t *ended)
{
	while (at > b->record) {
		uint64_t r = *--at;
		bool begins = pyprof_record_is(r, PYPROF_KINDS_BEGIN);

		if (pyprof_record_kind(r) == PYPROF_THREAD) {
			f->complete = true;
			return false;
		}
		if (pyprof_record_is(r, PYPROF_KINDS_END))
			++*ended;
		else if (begins && *ended)
			--*ended;
		else if (begins && !add(f, pyprof_record_fn(r)))
			return false;
	}
	return true;
}

/* Returns the fold table of a ring, or NULL. */
static struct pyprof_fold_table *find_table(const struct pyprof_ring *ring,
					    struct pyprof_table_layout *l)
{
	uint64_t offset = ring->fold;
	struct pyprof_fold_table *t = region_check(offset, sizeof(*t));

	return t && pyprof_table_find(t, region.used_bytes - offset, l) ? t : NULL;
}

/*
 * Adds the frames that ran when the last folded block ended, without those that have ended since.
 */
static void add_folded(struct forkstack *f, const struct pyprof_ring *ring, uint32_t ended)
{
	uint64_t folded = pyprof_observe(&ring->folded); /* C9 */
	struct pyprof_table_layout l;
	const struct pyprof_fold_table *t = folded ? find_table(ring, &l) : NULL;
	uint32_t depth;

	f->complete = !folded;
	if (!t)
		return;
	depth = t->state[folded & 1].depth;
	f->complete = depth <= l.cap_depth;
	for (depth -= ended < depth ? ended : depth; depth && f->complete; depth--) {
		uint32_t edge = l.stack[folded & 1][depth - 1].edge;
		uint32_t slot = edge <= l.cap_edges ? l.edge[edge].callee : UINT32_MAX;

		f->complete = slot <= l.cap_fns && add(f, l.fn[slot].number);
	}
}

void forkstack_take(struct forkstack *f)
{
	const struct thread_self *s = &thread_self;
	const struct pyprof_ring *ring = thread_ring_of_self();
	const struct pyprof_block *b = s->block;
	const uint64_t *at = s->next;
	uint32_t ended = 0;
	size_t n = 0;

	memset(f, 0, sizeof(*f));
	if (!b || !ring)
		return;
	while (scan(f, b, at, &ended)) {
		const struct pyprof_block *prev = before(b, ring);

		n += (size_t)(at - b->record);
		if (!prev) {
			/*
			 * Only if the oldest record that was read follows the folded blocks
			 * directly.
			 */
			if (b->sequence == pyprof_get(&ring->folded) + 1)
				add_folded(f, ring, ended);
			return;
		}
		if (n > MAX_LOOK_BACK)
			return;
		b = prev;
		at = (const uint64_t *)((const char *)b + REGION_BLOCK_BYTES);
	}
}

void forkstack_free(struct forkstack *f)
{
	release(f);
	memset(f, 0, sizeof(*f));
}
