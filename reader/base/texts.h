/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Texts, each kept once: thousands of functions share a file's name. Owned by a profile; one thread
 * at a time.
 */
#ifndef READER_TEXTS_H
#define READER_TEXTS_H

#include <stddef.h>
#include <stdint.h>

/* A text with a length: see profile.h. */
struct text {
	const char *bytes;
	size_t n;
};

struct texts {
	struct text *text; /* open addressing; bytes NULL: free */
	size_t n, cap;
	char **chunk; /* that the texts lie in */
	size_t n_chunks, cap_chunks;
	size_t used, room; /* of the last chunk */
};

/* Mixes a word into a hash that nobody can foresee, so that texts cannot be chosen to collide. */
uint64_t texts_hash_word(uint64_t hash, uint64_t word);
uint64_t texts_hash(uint64_t hash, struct text t);

/* Lets the text be one that is kept: it lives as long as `s`. 0 or -ENOMEM. */
int texts_keep(struct texts *s, struct text *t);

/* Leaves none. */
void texts_fini(struct texts *s);

#endif
