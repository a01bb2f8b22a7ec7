/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sources that somebody names (recordings, PIDs, pstats files) -> what they add up to.
 */
#ifndef READER_SOURCES_H
#define READER_SOURCES_H

#include "base/error.h"
#include "profile/profile.h"
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
	const struct request *request;
	size_t n_sources;
	size_t n_threads; /* that were found to be the one that is wished for */
	bool sampled;	  /* as the first source is */
};

/* Where recordings are looked for by PID. */
const char *sources_dir(void);

/* Adds the files that a source stands for: a PID may have several recordings. 0 or -errno. */
int sources_find(struct names_list *l, const char *source);
/*
 * Adds a name as it stands, and those that a file lists, each ended by NUL ("-": standard input). 0
 * or -errno.
 */
int sources_add_name(struct names_list *l, const char *name);
int sources_list(struct names_list *l, const char *file);
void sources_free(struct names_list *l);

/*
 * Adds one file. 0, or -errno with what is wrong in `error` as "read NAME: found,
 * expected"; `sum` may then hold a part of it. `s` is to be closed in any case; where only one
 * thread is wished for, it still tells of the whole file.
 */
int sources_read(struct source *s, const char *name, struct sum *sum, struct error *error);
void sources_fini(struct source *s);

/* Whether `id` means that thread: its native id, # and its number, or its name. Several may fit. */
bool sources_is_thread(const struct rebuild_thread *t, const char *id);

/* Whether it is the one that the request is for. */
bool sources_is_chosen(const struct request *q, const struct rebuild_thread *t);

/* Adds what a thread of `name` did, and takes it from `t`. 0 or -errno with `error`. */
int sources_add_thread(struct sum *sum, struct rebuild_thread *t, const char *name,
		       struct error *error);

/*
 * Leaves out what is not wished for, when all sources are read. 0 or -ENOMEM with `error`.
 */
int sources_shape(struct sum *sum, struct error *error);

/* What is to be said where sum->n_threads is 0 of all sums: -ENOENT. */
int sources_no_thread(const struct request *q, struct error *error);

/*
 * Adds `more` to the sum of the total, as pstats.Stats.add does. 0, or -EOVERFLOW where there are
 * more calls than fit.
 */
int sources_total(struct sum *sum, const struct profile_counts *more);

#endif
