/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "events.h"

#include <errno.h>

#include "replay.h"

#define MAX_TRIES 1000

struct walk {
	struct replay ring;
	uint64_t end;	 /* ticks_end() */
	bool begun;	 /* the first event of the ring is reported */
	uint32_t thread; /* of the last EVENT_THREAD */
	uint64_t latest; /* ticks of the last event */
	uint64_t blind;	 /* length of a blind interval that is not reported yet ... */
	uint64_t until;	 /* ... and its end */
	int (*use)(void *arg, const struct event *e);
	void *arg;
};

static int emit(struct walk *w, struct event *e)
{
	if ((int64_t)(e->ticks - w->latest) < 0)
		e->ticks = w->latest;
	w->latest = e->ticks;
	return w->use(w->arg, e);
}

/* Converts a time of the thread's own clock to the recording's. */
static uint64_t clock_at(const struct walk *w, uint64_t own)
{
	return own + w->ring.f.s.skipped_ticks;
}

static int enter(struct walk *w, const struct pyprof_fold_frame *frame)
{
	struct event e = { .kind = EVENT_ENTER,
			   .ticks = clock_at(w, w->ring.f.s.now),
			   .number = frame->number,
			   .flags = frame->flags };

	return emit(w, &e);
}

/* The innermost `n` calls end. All but the last one, which ends as `end`, have no return. */
static int leave(struct walk *w, uint32_t n, uint64_t own, enum event_end end)
{
	struct event e = { .kind = EVENT_LEAVE, .ticks = clock_at(w, own) };
	int err = 0;

	for (; n && !err; n--) {
		e.end = n > 1 && end != EVENT_OPEN ? EVENT_CUT : end;
		err = emit(w, &e);
	}
	return err;
}

/* Reports that another thread continues in the ring. `own` is the time of its first record. */
static int change_thread(struct walk *w, uint32_t number, uint64_t own)
{
	struct event e = { .kind = EVENT_THREAD, .number = number, .ticks = clock_at(w, own) };

	if (w->begun && number == w->thread)
		return 0;
	w->latest = w->begun ? w->latest : e.ticks;
	w->begun = true;
	w->thread = number;
	return emit(w, &e);
}

/* --- blind intervals -------------------------------------------------------------------------- */

static int report_blind(struct walk *w)
{
	struct event e = { .kind = EVENT_BLIND, .ticks = w->until, .ticks_before = w->blind };

	if (!w->blind)
		return 0;
	w->blind = 0;
	if ((int64_t)(w->until - w->latest) <= 0)
		return 0;
	if (e.ticks_before > w->until - w->latest)
		e.ticks_before = w->until - w->latest;
	return emit(w, &e);
}

/*
 * Keeps a blind interval until the next record: a PYPROF_THREAD ends the calls that ran before it.
 */
static void note_blind(struct walk *w, uint64_t record)
{
	const struct pyprof_fold_state *s = &w->ring.f.s;
	uint64_t at = s->base + pyprof_record_ticks(record);

	if (pyprof_record_kind(record) != PYPROF_BLIND ||
	    pyprof_record_fn(record) == PYPROF_BLIND_BEGINS || !s->n_records ||
	    (int64_t)(at - s->now) <= 0)
		return;
	w->blind = at - s->now;
	w->until = clock_at(w, at);
}

/* --- records ---------------------------------------------------------------------------------- */

static enum event_end end_of(uint64_t record)
{
	if (pyprof_record_is(record, PYPROF_KINDS_EXCEPTION))
		return EVENT_RAISED;
	if (pyprof_record_is(record, 1u << PYPROF_YIELD))
		return EVENT_YIELDED;
	return pyprof_record_is(record, PYPROF_KINDS_END) ? EVENT_RETURNED : EVENT_CUT;
}

/* Folds a record, and reports what that has done to the stack. */
static int feed_record(struct walk *w, uint64_t record)
{
	struct pyprof_fold *f = &w->ring.f;
	bool thread = pyprof_record_is(record, 1u << PYPROF_THREAD);
	uint64_t before = f->s.now;
	uint32_t depth = f->s.depth;
	int err = thread ? 0 : report_blind(w);

	pyprof_fold_record_as(f, record, false, false);
	if (!err && f->s.depth > depth)
		err = enter(w, &f->stack[depth]);
	else if (!err && f->s.depth < depth)
		err = leave(w, depth - f->s.depth, thread ? before : f->s.now, end_of(record));
	if (!err && thread)
		err = report_blind(w);
	if (!err && thread)
		err = change_thread(w, f->s.thread, f->s.now);
	note_blind(w, record);
	return err;
}

static uint64_t less(uint64_t later, uint64_t by)
{
	return (int64_t)(later - by) > 0 ? later - by : 0;
}

/*
 * Reports the thread of the first record, and the calls that run then: those of the fold table.
 * `own` is the time of that record.
 */
static int begin(struct walk *w, uint32_t thread, uint64_t own)
{
	const struct pyprof_fold *f = &w->ring.f;
	int err = change_thread(w, thread, own);

	for (uint32_t i = 0; i < f->s.depth && !err; i++) {
		struct event e = { .kind = EVENT_ENTER,
				   .ticks = w->latest,
				   .ticks_before = less(own, f->stack[i].start),
				   .number = f->stack[i].number,
				   .flags = f->stack[i].flags,
				   .is_early = true };

		err = emit(w, &e);
	}
	return err;
}

static int feed_batch(struct walk *w, const struct drain_batch *batch)
{
	struct pyprof_fold *f = &w->ring.f;
	bool folded = f->s.n_records != 0;
	int err = 0;

	pyprof_fold_block(f, batch->base_ticks, batch->skipped_ticks);
	if (!w->begun && (folded || !pyprof_record_is(batch->record[0], 1u << PYPROF_THREAD)))
		err = begin(w, folded ? f->s.thread : batch->thread, batch->base_ticks);
	for (size_t i = 0; i < batch->n && !err; i++)
		err = feed_record(w, batch->record[i]);
	if (batch->n)
		w->ring.last_record = batch->record[batch->n - 1];
	return err;
}

/* --- rings ------------------------------------------------------------------------------------ */

/* The calls that are still open end with the thread or with the records. */
static int close_ring(struct walk *w, const struct pyprof_ring *shared)
{
	struct pyprof_fold *f = &w->ring.f;
	bool blind = replay_ends_blind(&w->ring);
	int err = report_blind(w);

	if (!err && !w->begun && f->s.n_records) /* all records are in the table */
		err = begin(w, f->s.thread, f->s.now);
	replay_note_end(&w->ring, shared);
	return err ? err
		   : leave(w, f->s.depth, replay_end(&w->ring, w->end),
			   w->ring.ended || blind ? EVENT_CUT : EVENT_OPEN);
}

/* -EAGAIN if a live target has folded more meanwhile. */
static int walk_ring(struct walk *w, struct drain_ring *r, size_t i, uint64_t table)
{
	struct event e = { .kind = EVENT_RING, .number = (uint32_t)i };
	enum drain_result result;
	struct drain_batch batch;
	int err;

	w->begun = false;
	w->blind = 0;
	if (!r->first_block && !r->folded_at_start) /* no thread has written to this ring */
		return 0;
	err = replay_start(&w->ring, r, table);
	e.n_folded = w->ring.f.s.n_records;
	if (!err)
		err = w->use(w->arg, &e);
	while (!err && (result = drain_next(r, &batch)) == DRAIN_BATCH)
		err = batch.n ? feed_batch(w, &batch) : 0;
	if (!err && result == DRAIN_OVERTAKEN)
		err = -EAGAIN;
	if (!err)
		err = close_ring(w, r->ring);
	replay_fini(&w->ring);
	return err;
}

int events_walk(struct drain *d, uint64_t end, int (*use)(void *arg, const struct event *e),
		void *arg)
{
	struct walk w = { .end = end, .use = use, .arg = arg };
	struct drain_ring r;
	uint64_t table;
	int err;

	drain_rewind(d);
	err = drain_ring_init(&r, d);
	for (size_t i = 0; i < d->n_rings && !err; i++) {
		err = drain_ring_start(&r, i, &table);
		if (!err)
			err = walk_ring(&w, &r, i, table);
		for (int tries = 0; tries < MAX_TRIES && err == -EAGAIN; tries++) {
			err = drain_ring_restart(&r, &table);
			if (!err)
				err = walk_ring(&w, &r, i, table);
		}
		if (!err)
			drain_count_losses(d, &r);
	}
	drain_ring_fini(&r);
	return err;
}
