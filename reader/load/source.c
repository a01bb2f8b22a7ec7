/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "source.h"

bool source_has_loss(const struct source *s)
{
	uint64_t n = s->n_bad + s->summary.n_lost_here + s->summary.n_closed + s->header.n_unnamed +
		     s->summary.n_blind_intervals + s->summary.n_blind_ends +
		     s->summary.n_time_broken + s->summary.n_calls_broken +
		     s->header.n_subinterpreters + s->header.n_images_removed +
		     s->header.n_lost_children;

	for (int i = 0; i < PYPROF_LOST_CAUSES; i++)
		n += s->n_lost[i];
	return n != 0;
}

double source_recorded_s(const struct source *s)
{
	const struct rebuild_summary *sum = &s->summary;
	uint64_t ticks = sum->last_ticks - sum->first_ticks;

	if (s->header.clock == PYPROF_CLOCK_THREAD)
		ticks = sum->span_ticks;
	return (double)ticks * s->seconds_per_tick;
}
