/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is wanted of the sources. Plain data, filled from the command line; zeros mean one report on
 * all sources, with all that pstats has. It must outlive everything that is read by it.
 */
#ifndef READER_REQUEST_H
#define READER_REQUEST_H

#include <stdbool.h>

enum request_bias {
	REQUEST_BIAS_AUTO,    /* the kept calibration that fits */
	REQUEST_BIAS_NONE,    /* raw times */
	REQUEST_BIAS_SECONDS, /* bias_s */
	REQUEST_BIAS_FILE,    /* the calibration in bias_file */
};

struct request {
	/* Reports: for each thread of each source, for each source, or on one thread. */
	bool threads;
	bool each;
	const char *thread; /* its native id, # and its number, or its name; NULL: all */
	bool lists_threads; /* the summary of a source names its threads in any case */

	/*
	 * A generator's resumes are not counted. How many of the resumes on an edge were recursive
	 * is not known: so many of its primitive calls as may be are given.
	 */
	bool true_calls;
	/*
	 * Functions that share file, line and name stay apart: from the second on, in the order of
	 * their numbers, they are called name#2, name#3 ...
	 */
	bool by_code;
	bool cprofile_labels; /* C functions have cProfile's names, where these are others */
	bool no_subcalls;     /* callers and callees are left out */
	bool no_builtins;     /* C functions are: their time is their callers' */
	bool strip_dirs;
	const char *relative_to; /* a folder, whose files are shown by their names in it; or NULL */

	/* How times are corrected. */
	enum request_bias bias;
	double bias_s; /* per event */
	const char *bias_file;
	double bare_s; /* the run's time without recording; 0: not known */
};

/* Whether each thread is to have a profile of its own. */
static inline bool request_splits_threads(const struct request *q)
{
	return q->threads || q->thread;
}

#endif
