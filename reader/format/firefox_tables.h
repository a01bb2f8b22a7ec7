/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shared tables of the format firefox: strings, source files, functions, frames, and a stack
 * for each calling context. Owns the numbers of their rows, until firefox_tables_fini. firefox.c
 * calls it, in the reader's one thread. It must not put threads.
 */
#ifndef READER_FIREFOX_TABLES_H
#define READER_FIREFOX_TABLES_H

#include "frames.h"
#include "put.h"

#define FIREFOX_NONE UINT32_MAX

/* Order of the categories in the file, and of the subcategories of each. */
enum firefox_category { FIREFOX_OTHER, FIREFOX_PYTHON, FIREFOX_C };
enum firefox_subcategory { FIREFOX_ENDED, FIREFOX_RUNNING };

struct firefox_tables {
	/* Set by the caller. */
	struct put *j;
	const struct frames *frames;
	const struct contexts *c;
	bool groups; /* functions are added up, and have the keys of C functions */
	/* Set by firefox_tables_put. */
	struct frames_functions functions;
	/* For function i, string[2 * i] is its name, and string[2 * i + 1] its file. */
	uint32_t *string, n_strings;
	uint32_t *source; /* by string: which source file it is the name of, or FIREFOX_NONE */
	uint32_t n_sources;
	/*
	 * 2 * function + subcategory of each frame. Calls that were running have frames of their
	 * own: the sums of functions do not depend on that.
	 */
	uint32_t *frame;
	uint32_t *frame_of, n_frames; /* the reverse, or FIREFOX_NONE */
	uint32_t *stack, n_stacks;    /* by node: its stack, or FIREFOX_NONE */
};

/* Puts the member "shared". 0 or -ENOMEM; firefox_tables_fini must follow in both cases. */
int firefox_tables_put(struct firefox_tables *f);
void firefox_tables_fini(struct firefox_tables *f);

#endif
