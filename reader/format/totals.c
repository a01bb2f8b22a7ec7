/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "totals.h"

#include <math.h>
#include <string.h>

/* The time of a recording, in seconds of its machine's CLOCK_MONOTONIC. */
struct stretch {
	double begin_s, end_s;
};

/* Returns false if it is not known. */
static bool stretch_of(const struct source *s, struct stretch *stretch)
{
	const struct pyprof_header *h = &s->header;
	double start_s = (double)h->start_mono_ns * 1e-9;

	if (s->is_pstats || s->seconds_per_tick == 0 ||
	    (h->clock != PYPROF_CLOCK_TSC && h->clock != PYPROF_CLOCK_WALL))
		return false;
	if (h->clock == PYPROF_CLOCK_WALL)
		start_s = (double)s->summary.first_ticks * 1e-9;
	else
		start_s += (double)(int64_t)(s->summary.first_ticks - h->start_ticks) *
			   s->seconds_per_tick;
	stretch->begin_s = start_s;
	stretch->end_s = start_s + source_recorded_s(s);
	return true;
}

/* The time from the first event of all sources to the end of the last one; NAN: not known. */
static double all_seconds(const struct source *sources, size_t n, double *sum_s)
{
	struct stretch all = { INFINITY, -INFINITY }, one;

	*sum_s = 0;
	for (size_t i = 0; i < n; i++) {
		if (!stretch_of(&sources[i], &one) ||
		    strcmp(sources[i].header.boot_id, sources[0].header.boot_id) != 0)
			return NAN;
		if (!sources[i].summary.n_events)
			continue;
		all.begin_s = fmin(all.begin_s, one.begin_s);
		all.end_s = fmax(all.end_s, one.end_s);
		*sum_s += one.end_s - one.begin_s;
	}
	return all.end_s - all.begin_s;
}

void totals_print(FILE *to, const struct source *sources, size_t n, double self_s)
{
	double sum_s, all_s = n > 1 ? all_seconds(sources, n, &sum_s) : NAN;

	if (!isfinite(all_s) || !preamble_differ(self_s, all_s))
		return;
	fprintf(to,
		"pyshim: %.3f s in functions, %.3f s from the first event to the last: ", self_s,
		all_s);
	if (self_s < all_s)
		fputs("part of the time no process was in a function\n\n", to);
	else if (preamble_differ(sum_s, all_s))
		fputs("processes ran in parallel, and waiting for another process is counted, too\n\n",
		      to);
	else
		fputs("threads ran in parallel\n\n", to);
}
