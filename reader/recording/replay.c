/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "replay.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tables.h"
#include "trees.h"

#define MAX_TRIES 1000
#define MAX_WORKERS 16
#define RUN_AHEAD 4		    /* unused results for each worker, at most */
#define WORTH_A_THREAD (4ull << 20) /* bytes; a smaller recording gets no threads */

/* --- one ring --------------------------------------------------------------------------------- */

static void feed_table(struct replay *out, const struct drain_batch *batch)
{
	pyprof_fold_block(&out->f, batch->base_ticks, batch->skipped_ticks);
	for (size_t n = 0; n < batch->n; n++)
		pyprof_fold_record_as(&out->f, batch->record[n], false, out->f.max_idle);
}

static int feed_blocks(struct replay *out, struct drain_ring *r)
{
	struct pyprof_tree *t = &out->tree;
	struct drain_batch batch;
	enum drain_result result;

	while ((result = drain_next(r, &batch)) == DRAIN_BATCH) {
		pyprof_tree_block(t, batch.base_ticks, batch.skipped_ticks);
		t->epoch++;
		if (!pyprof_tree_records(t, batch.record, batch.record + batch.n))
			return -ENOMEM;
		if (batch.n)
			out->last_record = batch.record[batch.n - 1];
	}
	return result == DRAIN_OVERTAKEN ? -EAGAIN : 0;
}

/* Takes over the end of the ring: its time, and losses before it. */
static void note_end(struct replay *out, const struct pyprof_ring *ring)
{
	uint64_t skipped = pyprof_get(&ring->skipped_ticks);

	out->ended_ticks = pyprof_get(&ring->ended_ticks);
	out->ended = out->ended_ticks != 0;
	out->lost = false;
	for (int i = 0; i < PYPROF_LOST_CAUSES; i++)
		out->lost |= pyprof_get(&ring->n_lost[i]) != 0;
	if (skipped > out->tree.s.skipped_ticks)
		out->tree.s.skipped_ticks = skipped;
}

/*
 * Brings the table to the newest block that one of its entries is from. Uses the records of the
 * blocks up to that one, which were copied before the table was read.
 */
static int catch_up(struct replay *out, struct drain_ring *r, struct tables_source *s)
{
	uint64_t latest = tables_latest(s), at = s->folded;
	struct drain_batch batch;
	int err = 0;

	while (at < latest && !err) {
		if (drain_next(r, &batch) != DRAIN_BATCH)
			err = -EAGAIN;
		else
			feed_table(out, &batch);
		at = err ? at : batch.sequence;
		err = err ? err : tables_apply_late(&out->f, s, at);
	}
	r->folded = at;
	if (err)
		tables_clear(&out->f);
	return err;
}

void replay_fini(struct replay *ring)
{
	tables_fini(&ring->f);
	trees_fini(&ring->tree);
}

/* Reads the table. -EAGAIN if the copied blocks do not reach its newest entry. */
static int read_table(struct replay *out, struct drain_ring *r, struct tables_source *s)
{
	int err = tables_load_state(&out->f, s);

	if (!err)
		err = tables_load_entries(&out->f, s);
	if (!err && (!drain_ring_skip(r, s->folded) || tables_latest(s) > drain_ring_saved(r)))
		err = -EAGAIN;
	return err;
}

/* Tries again as long as a live target is faster. Entries that have not changed are kept. */
static int load_table(struct replay *out, struct drain_ring *r, uint64_t table)
{
	struct tables_source s = { .ring = r, .offset = table };
	int err = read_table(out, r, &s);

	for (int tries = 0; tries < MAX_TRIES && err == -EAGAIN && r->attach->live; tries++) {
		memset(&out->f.s, 0, sizeof(out->f.s));
		err = drain_ring_restart(r, &s.offset);
		if (!err)
			err = read_table(out, r, &s);
	}
	if (err == -EAGAIN && r->attach->live)
		err = -EBUSY; /* the target was always faster */
	if (!err)
		err = tables_index(&out->f, &s);
	if (!err)
		err = catch_up(out, r, &s);
	if (err == -EAGAIN && !r->attach->live)
		err = -EINVAL;
	if (err) /* the indices are empty in this case */
		memset(&out->f.s, 0, sizeof(out->f.s));
	r->torn |= s.torn || (err == -EINVAL && !r->attach->live);
	tables_source_fini(&s);
	return err;
}

int replay_table(struct replay *out, struct drain_ring *r, uint64_t table)
{
	const struct pyprof_header *h = &r->attach->header;
	struct pyprof_fold *f = &out->f;
	int err;

	*out = (struct replay){ .thread = REPLAY_MIXED_THREADS };
	err = tables_init(f);
	f->weight = h->overhead_weight;
	f->max_distance = h->max_distance;
	f->max_idle = h->max_idle;
	if (!err)
		err = load_table(out, r, table);
	if (err == -EINVAL) {
		r->n_bad++;
		tables_clear(f);
		f->s = (struct pyprof_fold_state){ .n_fns = 0 };
	} else if (err) {
		return err;
	}
	out->n_lost = f->s.n_lost;
	if (f->s.n_threads == 1)
		out->thread = f->s.thread;
	return 0;
}

/* Makes the tree of a ring. The calls that run in its table continue there. */
static int begin_tree(struct replay *out, const struct pyprof_header *h)
{
	int err = trees_init(&out->tree);

	out->tree.max_distance = h->max_distance;
	out->tree.max_idle = h->max_idle;
	if (!err && out->f.fn) {
		err = trees_continue(&out->tree, &out->f);
		pyprof_fold_close(&out->f);
	}
	return err;
}

/* -EAGAIN if a live target has folded more meanwhile. */
static int feed(struct replay *out, struct drain_ring *r, uint64_t table)
{
	int err = 0;

	*out = (struct replay){ .thread = REPLAY_MIXED_THREADS };
	if (!r->first_block && !r->folded_at_start) /* no thread has written to this ring */
		return 0;
	if (r->folded_at_start)
		err = replay_table(out, r, table);
	if (!err)
		err = begin_tree(out, &r->attach->header);
	if (!err)
		err = feed_blocks(out, r);
	if (err)
		replay_fini(out);
	else
		note_end(out, r->ring);
	return err;
}

/* Starts again with a newer table as often as a live target is faster. */
static int replay_ring(struct replay *out, struct drain_ring *r, size_t i)
{
	uint64_t table;
	int err = drain_ring_start(r, i, &table);

	if (!err)
		err = feed(out, r, table);
	for (int tries = 0; tries < MAX_TRIES && err == -EAGAIN; tries++) {
		err = drain_ring_restart(r, &table);
		if (!err)
			err = feed(out, r, table);
	}
	return err;
}

static int replay_in_turn(struct drain *d, int (*use)(void *, struct replay *), void *arg)
{
	struct drain_ring r;
	int err = drain_ring_init(&r, d);

	for (size_t i = 0; i < d->n_rings && !err; i++) {
		struct replay ring;

		err = replay_ring(&ring, &r, i);
		if (err)
			break;
		drain_count_losses(d, &r);
		err = use(arg, &ring);
		replay_fini(&ring);
	}
	drain_ring_fini(&r);
	return err;
}

/* --- several at once -------------------------------------------------------------------------- */

struct result {
	struct replay ring;
	struct drain_ring drained; /* its losses */
	int err;
	bool done;
};

struct pool {
	struct drain *d;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a result is ready, or has been used */
	struct result *result;	/* ring i uses entry i % n_results */
	size_t n_results;
	size_t next;   /* the next ring to replay */
	size_t n_used; /* rings whose result has been used */
	bool stop;
};

/* Takes the next ring, when there is an entry for its result. False: no ring is left. */
static bool take_ring(struct pool *p, size_t *i)
{
	bool any;

	pthread_mutex_lock(&p->lock);
	while (!p->stop && p->next < p->d->n_rings && p->next >= p->n_used + p->n_results)
		pthread_cond_wait(&p->changed, &p->lock);
	any = !p->stop && p->next < p->d->n_rings;
	if (any)
		*i = p->next++;
	pthread_mutex_unlock(&p->lock);
	return any;
}

static void *work(void *arg)
{
	struct pool *p = arg;
	struct drain_ring r;
	int err = drain_ring_init(&r, p->d);
	size_t i;

	while (take_ring(p, &i)) {
		struct result *result = &p->result[i % p->n_results];

		result->err = err ? err : replay_ring(&result->ring, &r, i);
		result->drained = r;
		pthread_mutex_lock(&p->lock);
		result->done = true;
		pthread_cond_broadcast(&p->changed);
		pthread_mutex_unlock(&p->lock);
	}
	drain_ring_fini(&r);
	return NULL;
}

static void wait_until_done(struct pool *p, const struct result *result)
{
	pthread_mutex_lock(&p->lock);
	while (!result->done)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

static void set_used(struct pool *p, struct result *result, bool stop)
{
	pthread_mutex_lock(&p->lock);
	result->done = false;
	p->n_used++;
	p->stop = stop;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static int use_results(struct pool *p, struct drain *d, int (*use)(void *, struct replay *),
		       void *arg)
{
	int err = 0;

	for (size_t i = 0; i < d->n_rings && !err; i++) {
		struct result *result = &p->result[i % p->n_results];

		wait_until_done(p, result);
		err = result->err;
		if (!err) {
			drain_count_losses(d, &result->drained);
			err = use(arg, &result->ring);
			replay_fini(&result->ring);
		}
		set_used(p, result, err != 0);
	}
	return err;
}

/* Frees the results that were not used, because an error came first. */
static void drop_results(struct pool *p)
{
	for (size_t i = 0; p->result && i < p->n_results; i++) {
		if (p->result[i].done && !p->result[i].err)
			replay_fini(&p->result[i].ring);
	}
	free(p->result);
}

static size_t count_workers(const struct drain *d)
{
	cpu_set_t usable;
	size_t n = 1;

	if (d->attach->bytes >= WORTH_A_THREAD && !sched_getaffinity(0, sizeof(usable), &usable))
		n = (size_t)CPU_COUNT(&usable);
	if (n > MAX_WORKERS)
		n = MAX_WORKERS;
	return n < d->n_rings ? n : d->n_rings;
}

int replay_rings(struct drain *d, int (*use)(void *arg, struct replay *ring), void *arg)
{
	struct pool p = { .d = d,
			  .lock = PTHREAD_MUTEX_INITIALIZER,
			  .changed = PTHREAD_COND_INITIALIZER };
	size_t n_wanted = count_workers(d), n = 0;
	pthread_t worker[MAX_WORKERS];
	int err;

	drain_rewind(d);
	p.n_results = n_wanted * RUN_AHEAD;
	if (n_wanted > 1)
		p.result = calloc(p.n_results, sizeof(*p.result));
	while (p.result && n < n_wanted && !pthread_create(&worker[n], NULL, work, &p))
		n++;
	err = n ? use_results(&p, d, use, arg) : replay_in_turn(d, use, arg);
	while (n)
		pthread_join(worker[--n], NULL);
	drop_results(&p);
	return err;
}
