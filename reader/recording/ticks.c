/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ticks.h"

#include <errno.h>
#include <string.h>

#include "attach.h"
#include "pyprof/clock.h"
#include "pyprof/order.h"
#include "tables.h"

#define MAX_TRIES 1000
#define FAR_ENOUGH_NS 1000000u /* a pair is off by some 20 ns, so the line by < 1 in 10,000 */

struct pair {
	uint64_t ticks, ns;
};

static bool is_before(const struct pair *a, const struct pair *b)
{
	return a->ticks < b->ticks && a->ns < b->ns;
}

/* Reads the pair in the header. False: none was written, or it is being written now. */
static bool header_pair(const struct attach *a, struct pair *p)
{
	const struct pyprof_header *h = (const void *)a->base;

	p->ns = pyprof_observe(&h->sync_mono_ns);  /* C8 */
	p->ticks = pyprof_observe(&h->sync_ticks); /* C8 */
	return p->ns && p->ns == pyprof_get(&h->sync_mono_ns);
}

/* Finds the latest pair of all blocks, whose clocks were read less close together. */
static bool block_pair(struct drain *d, struct pair *latest)
{
	struct drain_batch batch;
	struct drain_ring r;
	uint64_t table;
	bool any = false;

	if (drain_ring_init(&r, d))
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
	drain_ring_fini(&r);
	return any;
}

/*
 * Returns the pair of the shim's load, which is some milliseconds before the first record, or that
 * of the start.
 */
static struct pair first_pair(const struct pyprof_header *h)
{
	const struct pair load = { h->load_ticks, h->load_mono_ns };
	const struct pair start = { h->start_ticks, h->start_mono_ns };

	return load.ns && is_before(&load, &start) ? load : start;
}

static bool last_pair(struct drain *d, struct pair *last)
{
	const struct pyprof_header *h = &d->attach->header;
	const struct pair first = first_pair(h);

	if (!header_pair(d->attach, last) && !block_pair(d, last))
		*last = (struct pair){ h->start_ticks, h->start_mono_ns };
	if (last->ns - first.ns < FAR_ENOUGH_NS && owner_is_of_this_boot(h))
		pyprof_clock_pair(&last->ticks, &last->ns);
	return is_before(&first, last);
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
	const struct pair first = first_pair(h);
	struct pair last;

	if (h->clock != PYPROF_CLOCK_TSC)
		return 1.0 / 1e9;
	if (!last_pair(d, &last))
		return 0;
	return (double)(last.ns - first.ns) / (double)(last.ticks - first.ticks) * 1e-9;
}

/* --- the end of the records ------------------------------------------------------------------- */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Returns the time of the last event in a block. `skipped` is the ring's. */
static uint64_t block_end(const struct drain_batch *b, uint64_t skipped)
{
	uint64_t base = b->base_ticks, latest = base;

	for (size_t i = 0; i < b->n; i++) {
		uint64_t ticks = pyprof_record_ticks(b->record[i]);

		if (pyprof_record_kind(b->record[i]) != PYPROF_SYNC)
			latest = base + ticks;
		else if (!pyprof_record_fn(b->record[i]))
			base += ticks << PYPROF_SYNC_SHIFT;
	}
	return latest + later(b->skipped_ticks, skipped);
}

/* Returns the time of the last event in the ring's fold table. */
static uint64_t table_end(struct drain_ring *r, uint64_t offset, uint64_t skipped)
{
	struct tables_source source = { .ring = r, .offset = offset };
	struct pyprof_fold_state s;
	int err = -EAGAIN;

	for (int tries = 0; tries < MAX_TRIES && err == -EAGAIN; tries++)
		err = tables_read_state(&s, &source);
	return err ? 0 : s.now + later(s.skipped_ticks, skipped);
}

/* 0: the ring has no events, or the target always folds faster than it is read. */
static uint64_t ring_end(struct drain_ring *r, size_t i)
{
	struct drain_batch batch;
	uint64_t table;
	enum drain_result result = drain_ring_last(r, i, &table, &batch);
	uint64_t skipped = pyprof_get(&r->ring->skipped_ticks);

	if (result == DRAIN_BATCH)
		return block_end(&batch, skipped);
	return result == DRAIN_END && table ? table_end(r, table, skipped) : 0;
}

static uint64_t latest_event(struct drain *d)
{
	struct drain_ring r;
	uint64_t latest = 0;

	drain_rewind(d);
	if (drain_ring_init(&r, d) == 0) {
		for (size_t i = 0; i < d->n_rings; i++)
			latest = later(latest, ring_end(&r, i));
	}
	drain_ring_fini(&r);
	drain_rewind(d);
	return latest;
}

/* Returns the present time of a running process's clock, or 0. */
static uint64_t clock_of(const struct pyprof_header *h, const struct owner *o)
{
	clockid_t cpu;

	switch (h->clock) {
	case PYPROF_CLOCK_TSC:
		return pyprof_tsc();
	case PYPROF_CLOCK_WALL:
		return pyprof_clock_ns(CLOCK_MONOTONIC);
	default:
		return clock_getcpuclockid((pid_t)o->pid, &cpu) ? 0 : pyprof_clock_ns(cpu);
	}
}

uint64_t ticks_end(struct drain *d)
{
	const struct attach *a = d->attach;
	const struct pyprof_header *h = &a->header;

	if (h->clock == PYPROF_CLOCK_THREAD || h->clock == PYPROF_CLOCK_COUNT)
		return 0;
	if (h->paused_ticks)
		return h->paused_ticks;
	if (a->owner.state != OWNER_RUNS || !owner_may_write(&a->owner, a->path))
		return later(latest_event(d), h->end_ticks);
	return owner_is_of_this_boot(h) ? clock_of(h, &a->owner) : 0;
}
