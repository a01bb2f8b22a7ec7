/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the sources that the user names (recordings, PIDs, pstats files), reads them and adds them
 * up. Owns the list of names and the sum. main, browse, format and load/reading.c call it, from one
 * thread. It must not print.
 */
#ifndef READER_SOURCES_H
#define READER_SOURCES_H

#include "base/error.h"
#include "profile/profile.h"
#include "recording.h"

/* The files to read, in the order in which they were named. */
struct names_list {
	char **name;
	size_t n;
};

/* The sum of sources. */
struct sum {
	struct profile profile;
	struct contexts contexts;    /* if requested; contexts_finish has been called */
	struct profile_counts total; /* in pstats' order, because float sums depend on it */
	const struct request *request;
	size_t n_sources;
	size_t n_threads; /* threads that request.thread matches */
	bool sampled;	  /* the first source holds samples */
	bool has_pstats;  /* a source is a pstats file: it has no contexts */
};

/* Returns the folder of recordings, in which a PID is looked up: PYSHIM_DIR or /dev/shm. */
const char *sources_dir(void);

/* Adds the files of a source. A PID may have several recordings. 0 or -errno. */
int sources_find(struct names_list *l, const char *source);
/* Adds a name unchanged. 0 or -ENOMEM. */
int sources_add_name(struct names_list *l, const char *name);
/* Adds the names in a file, each ended by NUL. "-" is standard input. 0 or -errno. */
int sources_list(struct names_list *l, const char *file);
void sources_free(struct names_list *l);

/*
 * Adds one file. 0, or -errno with `error` set; `sum` may then hold a part of it. `s` must be
 * zeroed before; call sources_fini in either case. If request.thread is set, only that thread is
 * added, but `s` still describes the whole file.
 */
int sources_read(struct source *s, const char *name, struct sum *sum, struct error *error);
void sources_fini(struct source *s);

/* Frees the profile and the contexts. */
void sources_sum_fini(struct sum *sum);

/* True if the request names this thread. */
bool sources_is_chosen(const struct request *q, const struct rebuild_thread *t);

/* Adds the profile of a thread of `name`, and empties it. 0, or -errno with `error` set. */
int sources_add_thread(struct sum *sum, struct rebuild_thread *t, const char *name,
		       struct error *error);

/*
 * Leaves out the functions, callers and folders that the request does not want. Call it when all
 * sources are read. 0, -ENOMEM, or -E2BIG if the report would be too long; `error` is set.
 */
int sources_shape(struct sum *sum, struct error *error);

/* Sets the error for a request.thread that matches no thread of any source. Returns -ENOENT. */
int sources_no_thread(const struct request *q, struct error *error);

/* Adds `more` to sum->total, as pstats.Stats.add does. 0, or -EOVERFLOW beyond 2^64 calls. */
int sources_total(struct sum *sum, const struct profile_counts *more);

#endif
