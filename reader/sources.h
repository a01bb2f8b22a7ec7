/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sources that somebody names (recordings, PIDs, pstats files) -> what they add up to.
 */
#ifndef READER_SOURCES_H
#define READER_SOURCES_H

#include "profile.h"
#include "recording.h"

/* Files to read, in the order in which they were named. */
struct names_list {
	char **name;
	size_t n;
};

/* What the sources add up to. */
struct sum {
	struct profile profile;
	struct profile_counts total; /* source by source, as pstats adds: the last digits tell */
	const struct bias_wish *wish;
	size_t n_sources;
	bool sampled; /* as the first source is */
};

/* Where recordings are looked for by PID. */
const char *sources_dir(void);

/* Adds the files that a source stands for: a PID may have several recordings. 0 or -errno. */
int sources_find(struct names_list *l, const char *source);
void sources_free(struct names_list *l);

/*
 * Adds one file. 0, or -errno with what is wrong in `error`, of 512 bytes, as "read NAME: found,
 * expected"; `sum` may then hold a part of it. The caller frees s->name, which may be NULL.
 */
int sources_read(struct source *s, const char *name, struct sum *sum, char *error);

/*
 * Adds `more` to the sum of the total, as pstats.Stats.add does. 0, or -EOVERFLOW where there are more
 * calls than fit.
 */
int sources_total(struct sum *sum, const struct profile_counts *more);

#endif
