/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spans.h"

#include <errno.h>
#include <stdlib.h>

#include "base/seed.h"

#define MIN_EXCESS 65536u /* events beyond the bound before it is applied, at least */
#define MIN_SPANS 1024u

/* --- the order of events ---------------------------------------------------------------------- */

struct moment {
	int64_t ns;
	uint64_t position;
};

static bool is_before(struct moment a, struct moment b)
{
	return a.ns < b.ns || (a.ns == b.ns && a.position < b.position);
}

static struct moment begin_of(const struct span *s)
{
	return (struct moment){ s->start_ns, s->begin };
}

static struct moment end_of(const struct span *s)
{
	return (struct moment){ s->end_ns, s->last };
}

static void swap(struct moment *a, struct moment *b)
{
	struct moment was = *a;

	*a = *b;
	*b = was;
}

/* Moves those before moment[0] to the front. Returns the new index of that one. */
static size_t divide(struct moment *moment, size_t n)
{
	size_t low = 1, high = n - 1;

	for (;;) {
		while (low <= high && is_before(moment[low], moment[0]))
			low++;
		while (low <= high && is_before(moment[0], moment[high]))
			high--;
		if (low >= high)
			break;
		swap(&moment[low++], &moment[high--]);
	}
	swap(&moment[0], &moment[high]);
	return high;
}

/*
 * Returns the moment that would have index `k` in sorted order; k < n. No two are equal. A random
 * pivot, so that no file can make it slow.
 */
static struct moment select_moment(struct moment *moment, size_t n, size_t k)
{
	uint64_t random = seed_odd[0];

	while (n > 1) {
		size_t at;

		random = random * 6364136223846793005ull + seed_odd[1];
		swap(&moment[0], &moment[(random >> 32) % n]);
		at = divide(moment, n);
		if (at == k)
			return moment[k];
		if (at < k) {
			moment += at + 1;
			n -= at + 1;
			k -= at + 1;
		} else {
			n = at;
		}
	}
	return moment[0];
}

/* --- the bound -------------------------------------------------------------------------------- */

/* The oldest event that is kept. -ENOMEM, or 0. */
static int find_oldest(const struct spans *s, struct moment *oldest)
{
	struct moment *all = reallocarray(NULL, s->n_events, sizeof(*all));
	size_t n = 0;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		if (s->span[i].flags & SPAN_BEGAN)
			all[n++] = begin_of(&s->span[i]);
		if (s->span[i].flags & SPAN_ENDED)
			all[n++] = end_of(&s->span[i]);
	}
	*oldest = select_moment(all, n, n - s->max_events);
	free(all);
	return 0;
}

/* Leaves out what is older. False: nothing is left of the span. */
static bool cut(struct span *s, struct moment oldest)
{
	if (!(s->flags & SPAN_RUNNING) && is_before(end_of(s), oldest))
		return false;
	if (s->flags & SPAN_BEGAN && is_before(begin_of(s), oldest))
		s->flags = (uint16_t)((s->flags & ~SPAN_BEGAN) | SPAN_EARLY);
	return true;
}

/* The running spans were moved, but are in the same order. */
static void find_running(struct spans *s)
{
	size_t at = 0;

	for (size_t i = 0; i < s->n_running; i++) {
		if (s->running[i] == SIZE_MAX)
			continue;
		while (!(s->span[at].flags & SPAN_RUNNING))
			at++;
		s->running[i] = at++;
	}
}

int spans_bound(struct spans *s)
{
	struct moment oldest;
	size_t n = 0;
	int err;

	if (!s->max_events || s->n_events <= s->max_events)
		return 0;
	err = find_oldest(s, &oldest);
	if (err)
		return err;
	for (size_t i = 0; i < s->n; i++) {
		if (cut(&s->span[i], oldest))
			s->span[n++] = s->span[i];
	}
	s->n = n;
	s->n_left_out += s->n_events - s->max_events;
	s->n_events = s->max_events;
	s->from_ns = oldest.ns;
	find_running(s);
	return 0;
}

/* Counts an event. */
static int count(struct spans *s)
{
	uint64_t excess = s->max_events / 2 > MIN_EXCESS ? s->max_events / 2 : MIN_EXCESS;

	s->n_events++;
	if (!s->max_events || s->n_events - 1 < s->max_events ||
	    s->n_events - s->max_events < excess)
		return 0;
	return spans_bound(s);
}

/* --- adding ----------------------------------------------------------------------------------- */

static int reserve(struct spans *s)
{
	size_t cap = s->cap ? s->cap * 2 : MIN_SPANS;
	struct span *more;

	if (s->n < s->cap)
		return 0;
	more = reallocarray(s->span, cap, sizeof(*more));
	if (!more)
		return -ENOMEM;
	s->span = more;
	s->cap = cap;
	return 0;
}

static int push(struct spans *s, size_t at)
{
	size_t cap = s->cap_running ? s->cap_running * 2 : 64;
	size_t *more;

	if (s->n_running == s->cap_running) {
		more = reallocarray(s->running, cap, sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->running = more;
		s->cap_running = cap;
	}
	s->running[s->n_running++] = at;
	return 0;
}

int spans_enter(struct spans *s, const struct span *span)
{
	int err = span ? reserve(s) : 0;
	struct span *to;

	if (!err)
		err = push(s, span ? s->n : SIZE_MAX);
	if (err || !span)
		return err;
	to = &s->span[s->n++];
	*to = *span;
	to->flags |= SPAN_RUNNING;
	to->begin = s->position++;
	return to->flags & SPAN_BEGAN ? count(s) : 0;
}

int spans_leave(struct spans *s, int64_t ns, unsigned end, bool is_event)
{
	size_t at = s->n_running ? s->running[--s->n_running] : SIZE_MAX;
	struct span *span;

	if (at == SIZE_MAX)
		return 0;
	span = &s->span[at];
	span->end_ns = ns;
	span->end = (uint16_t)end;
	span->last = s->position++;
	span->flags = (uint16_t)((span->flags & ~SPAN_RUNNING) | (is_event ? SPAN_ENDED : 0));
	return is_event ? count(s) : 0;
}

int spans_add(struct spans *s, const struct span *span)
{
	int err = reserve(s);

	if (err)
		return err;
	s->span[s->n] = *span;
	s->span[s->n].begin = s->span[s->n].last = s->position++;
	s->span[s->n++].flags |= SPAN_ENDED;
	return count(s);
}

void spans_forget(struct spans *s, uint32_t track)
{
	for (; s->n && s->span[s->n - 1].track >= track; s->n--) {
		const struct span *last = &s->span[s->n - 1];

		s->n_events -= (last->flags & SPAN_BEGAN) != 0;
		s->n_events -= (last->flags & SPAN_ENDED) != 0;
	}
	s->n_running = 0;
}

void spans_fini(struct spans *s)
{
	free(s->span);
	free(s->running);
	*s = (struct spans){ .n = 0 };
}
