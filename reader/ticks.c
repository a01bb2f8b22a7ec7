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
