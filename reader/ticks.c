/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ticks.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "pyprof/clock.h"
#include "pyprof/ring.h"

#define FAR_ENOUGH_NS 1000000u /* a pair is off by some 20 ns: by less than a part in 10,000 */

static bool same_boot(const struct pyprof_header *h)
{
	char id[sizeof(h->boot_id)] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, id, sizeof(id) - 1);
	close(fd);
	while (n > 0 && id[n - 1] == '\n')
		id[--n] = '\0';
	return n > 0 && !strcmp(id, h->boot_id);
}

struct pair {
	uint64_t ticks, ns;
};

static bool is_before(const struct pair *a, const struct pair *b)
{
	return a->ticks < b->ticks && a->ns < b->ns;
}

/* The one in the header; false: none was written, or it was just being written. */
static bool header_pair(const struct attach *a, struct pair *p)
{
	const struct pyprof_header *h = (const void *)a->base;

	p->ns = pyprof_observe(&h->sync_mono_ns);  /* C8 */
	p->ticks = pyprof_observe(&h->sync_ticks); /* C8 */
	return p->ns && p->ns == pyprof_get(&h->sync_mono_ns);
}

/* The latest of all blocks: each has one, though not read so close together. */
static bool block_pair(struct drain *d, struct pair *latest)
{
	struct drain_batch batch;
	struct drain_ring r;
	uint64_t table;
	bool any = false;

	if (drain_ring_open(&r, d))
		return false;
	drain_rewind(d);
	for (size_t i = 0; i < d->n_rings; i++) {
		if (drain_ring_start(&r, i, &table))
			break;
		while (drain_next(&r, &batch) == DRAIN_BATCH) {
			struct pair p = { batch.base_ticks + batch.skipped_ticks, batch.mono_ns };

			if (!batch.mono_ns || (any && !is_before(latest, &p)))
				continue;
			*latest = p;
			any = true;
		}
	}
	drain_ring_close(&r);
	return any;
}

static bool last_pair(struct drain *d, struct pair *last)
{
	const struct pyprof_header *h = &d->attach->header;
	bool known = header_pair(d->attach, last) || block_pair(d, last);

	if ((!known || last->ns - h->start_mono_ns < FAR_ENOUGH_NS) && same_boot(h)) {
		pyprof_clock_pair(&last->ticks, &last->ns);
		known = true;
	}
	return known;
}

void ticks_last_pair(struct drain *d, uint64_t *ticks, uint64_t *mono_ns)
{
	struct pair last = { 0, 0 };

	if (!last_pair(d, &last))
		last = (struct pair){ 0, 0 };
	*ticks = last.ticks;
	*mono_ns = last.ns;
}

double ticks_seconds(struct drain *d)
{
	const struct pyprof_header *h = &d->attach->header;
	const struct pair first = { h->start_ticks, h->start_mono_ns };
	struct pair last;

	if (h->clock != PYPROF_CLOCK_TSC)
		return 1.0 / 1e9;
	if (!last_pair(d, &last) || !is_before(&first, &last))
		return 0;
	return (double)(last.ns - first.ns) / (double)(last.ticks - first.ticks) * 1e-9;
}

/* --- the end of the records --------------------------------------------------------------------------- */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The clock at the last event of a block. `skipped`: the ring's. */
static uint64_t block_end(const struct attach *a, const struct pyprof_block *b, uint64_t skipped)
{
	size_t n = (a->header.block_bytes - sizeof(*b)) / sizeof(uint64_t);
	uint64_t base = pyprof_get(&b->base_ticks), latest = base, record;

	for (size_t i = 0; i < n && (record = pyprof_take(&b->record[i])); i++) {
		if (pyprof_record_kind(record) != PYPROF_SYNC)
			latest = base + pyprof_record_ticks(record);
		else if (!pyprof_record_fn(record))
			base += pyprof_record_ticks(record) << PYPROF_SYNC_SHIFT;
	}
	return latest + later(pyprof_get(&b->skipped_ticks), skipped);
}

/* The ring's last block, or NULL. `left`: how many blocks the rings still to come can have in all. */
static const struct pyprof_block *last_block(const struct attach *a, const struct pyprof_ring *ring,
					     uint64_t *left)
{
	uint64_t offset = pyprof_get(&ring->first_block);
	const struct pyprof_block *last = NULL;

	for (; offset && *left; --*left) {
		const struct pyprof_block *b = attach_at(a, offset, a->header.block_bytes);

		if (!b || b->kind != PYPROF_EXTENT_BLOCK)
			break;
		last = b;
		offset = pyprof_get(&b->next);
	}
	return last;
}

/* The clock at the last event that is in the ring's fold table. */
static uint64_t table_end(const struct attach *a, const struct pyprof_ring *ring, uint64_t folded,
			  uint64_t skipped)
{
	uint64_t offset = pyprof_get(&ring->fold);
	const struct pyprof_fold_table *t = attach_at(a, offset, sizeof(*t));
	struct pyprof_fold_state s;

	if (!offset || !t || t->extent.kind != PYPROF_EXTENT_FOLD)
		return 0;
	pyprof_copy(&s, &t->state[folded & 1], sizeof(s));
	return s.now + later(s.skipped_ticks, skipped);
}

static uint64_t ring_end(const struct drain *d, size_t i, uint64_t *left)
{
	const struct attach *a = d->attach;
	const struct pyprof_ring *ring = attach_at(a, d->offset[i], sizeof(*ring));
	uint64_t folded = pyprof_get(&ring->folded);
	uint64_t skipped = pyprof_get(&ring->skipped_ticks);
	const struct pyprof_block *b = last_block(a, ring, left);

	if (b && pyprof_get(&b->sequence) > folded)
		return block_end(a, b, skipped);
	return folded ? table_end(a, ring, folded, skipped) : 0;
}

/*
 * Of a process that has ended, so without order. A process of unknown state may still run: then the value may be
 * an older one; each offset is checked all the same.
 */
static uint64_t latest_event(const struct drain *d)
{
	uint64_t left = attach_bytes(d->attach) / d->attach->header.block_bytes;
	uint64_t latest = 0;

	for (size_t i = 0; i < d->n_rings; i++)
		latest = later(latest, ring_end(d, i, &left));
	return latest;
}

/* A living process's clock now, or 0. */
static uint64_t clock_of(const struct pyprof_header *h)
{
	clockid_t cpu;

	switch (h->clock) {
	case PYPROF_CLOCK_TSC:
		return pyprof_tsc();
	case PYPROF_CLOCK_WALL:
		return pyprof_clock_ns(CLOCK_MONOTONIC);
	default:
		return clock_getcpuclockid((pid_t)h->pid, &cpu) ? 0 : pyprof_clock_ns(cpu);
	}
}

uint64_t ticks_end(const struct drain *d)
{
	const struct attach *a = d->attach;
	const struct pyprof_header *h = &a->header;

	if (h->clock == PYPROF_CLOCK_THREAD || h->clock == PYPROF_CLOCK_COUNT)
		return 0;
	if (h->paused_ticks)
		return h->paused_ticks;
	if (a->owner.state != OWNER_RUNS || !attach_is_mapped(a))
		return later(latest_event(d), h->end_ticks);
	return same_boot(h) ? clock_of(h) : 0;
}
