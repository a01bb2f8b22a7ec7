/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The request: which reports to make of the sources, and which options apply. Plain data without
 * ownership. main fills it from the command line, calibrate in code, and load reads it. Nothing may
 * change it afterwards, and it must outlive all that is read with it. Zeroes mean one report of all
 * sources, with all that pstats has.
 */
#ifndef READER_REQUEST_H
#define READER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum request_bias {
	REQUEST_BIAS_AUTO,    /* the kept calibration that fits */
	REQUEST_BIAS_NONE,    /* raw times */
	REQUEST_BIAS_SECONDS, /* bias_s */
	REQUEST_BIAS_FILE,    /* the calibration in bias_file */
};

struct request {
	bool threads;	    /* one report for each thread of each source */
	bool each;	    /* one report for each source */
	const char *thread; /* only this native id, #number or name; NULL: all threads */
	bool lists_threads; /* the summary of a source lists its threads in any case */

	/*
	 * Resumes of generators are not counted as calls. It is not known how many resumes of an
	 * edge were recursive, so its primitive calls are the largest possible number.
	 */
	bool true_calls;
	/*
	 * Functions that share file, line and name are kept apart: from the second one, in the
	 * order of their numbers, they are named name#2, name#3, ...
	 */
	bool by_code;
	bool cprofile_labels; /* C functions have cProfile's names */
	bool no_subcalls;     /* callers and callees are left out */
	bool no_builtins;     /* C functions are left out; callers get their time */
	bool strip_dirs;      /* file names without folders */
	/* Functions are added up by one of these, and importing as one function (group.h). */
	bool by_module, by_package, by_file;
	bool imports_as_one;
	const char *relative_to; /* sources in this folder are named relative to it; or NULL */

	bool contexts; /* the calling contexts too: sources must be recordings */
	/* Single events, for formats that show them: the newest ones. */
	bool timeline;
	uint64_t max_events; /* 0: all */

	/* Correction of times. */
	enum request_bias bias;
	double bias_s; /* overhead per event, in seconds */
	const char *bias_file;
	double bare_s; /* seconds that the native run took; 0: not known */
};

/* True if each thread gets a profile of its own. */
static inline bool request_splits_threads(const struct request *q)
{
	return q->threads || q->thread;
}

/* Returns what functions are added up by, or NULL. */
static inline const char *request_grouped_by(const struct request *q)
{
	return q->by_module ? "module" : q->by_package ? "package" : q->by_file ? "file" : NULL;
}

/* True if functions are added up. */
static inline bool request_groups(const struct request *q)
{
	return request_grouped_by(q) || q->imports_as_one;
}

#endif
