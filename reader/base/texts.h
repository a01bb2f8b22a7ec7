/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A set of texts that keeps each text once, because thousands of functions share a file name. Owns
 * the bytes. Each profile has one, and profile.c calls it, one thread at a time. It must not move
 * or change a text that it keeps.
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
	char **chunk; /* memory of the texts */
	size_t n_chunks, cap_chunks;
	size_t used, room; /* bytes used in the last chunk, and its size */
};

/* Mix a word or a text into a hash. It depends on seed.h, so texts cannot be chosen to collide. */
uint64_t texts_hash_word(uint64_t hash, uint64_t word);
uint64_t texts_hash(uint64_t hash, struct text t);

/* Replaces *t by an equal text that is kept as long as `s`, adding it if needed. 0 or -ENOMEM. */
int texts_keep(struct texts *s, struct text *t);

/* Frees all texts, and leaves an empty set. */
void texts_fini(struct texts *s);

#endif
