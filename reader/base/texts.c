/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "texts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "seed.h"

#define MIN_CAP 64
#define CHUNK_BYTES (16u << 10)

/* Both halves of the product together depend on all bits of the factors, one of them random. */
uint64_t texts_hash_word(uint64_t hash, uint64_t word)
{
	unsigned __int128 product = (unsigned __int128)(hash ^ word ^ seed_odd[0]) * seed_odd[1];

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t texts_hash(uint64_t hash, struct text t)
{
	uint64_t word;
	size_t at;

	for (at = 0; t.n - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, t.bytes + at, sizeof(word));
		hash = texts_hash_word(hash, word);
	}
	word = 0;
	if (at < t.n)
		memcpy(&word, t.bytes + at, t.n - at);
	return texts_hash_word(texts_hash_word(hash, word), t.n);
}

static struct text *find(const struct texts *s, struct text t)
{
	size_t i = texts_hash(0, t) & (s->cap - 1);

	for (; s->text[i].bytes; i = (i + 1) & (s->cap - 1)) {
		if (s->text[i].n == t.n && !memcmp(s->text[i].bytes, t.bytes, t.n))
			break;
	}
	return &s->text[i];
}

/* Keeps the table at most half full. */
static int grow(struct texts *s)
{
	struct texts more = *s;

	if (s->n < s->cap / 2)
		return 0;
	more.cap = s->cap ? s->cap * 2 : MIN_CAP;
	more.text = calloc(more.cap, sizeof(*more.text));
	if (!more.text)
		return -ENOMEM;
	for (size_t i = 0; i < s->cap; i++)
		if (s->text[i].bytes)
			*find(&more, s->text[i]) = s->text[i];
	free(s->text);
	*s = more;
	return 0;
}

/* Allocates `n` bytes, in a chunk of their own if they do not fit into one. NULL without memory. */
static char *take(struct texts *s, size_t n)
{
	size_t bytes = n > CHUNK_BYTES ? n : CHUNK_BYTES;
	char **more = s->chunk;

	if (s->room - s->used >= n) {
		s->used += n;
		return s->chunk[s->n_chunks - 1] + s->used - n;
	}
	if (s->n_chunks == s->cap_chunks) {
		more = reallocarray(s->chunk, s->cap_chunks * 2 + 4, sizeof(*more));
		if (!more)
			return NULL;
		s->chunk = more;
		s->cap_chunks = s->cap_chunks * 2 + 4;
	}
	s->chunk[s->n_chunks] = malloc(bytes);
	if (!s->chunk[s->n_chunks])
		return NULL;
	s->used = n;
	s->room = bytes;
	return s->chunk[s->n_chunks++];
}

int texts_keep(struct texts *s, struct text *t)
{
	struct text *kept;
	char *bytes;

	if (!t->n) {
		t->bytes = "";
		return 0;
	}
	if (grow(s))
		return -ENOMEM;
	kept = find(s, *t);
	if (!kept->bytes) {
		bytes = take(s, t->n);
		if (!bytes)
			return -ENOMEM;
		memcpy(bytes, t->bytes, t->n);
		*kept = (struct text){ bytes, t->n };
		s->n++;
	}
	*t = *kept;
	return 0;
}

void texts_fini(struct texts *s)
{
	while (s->n_chunks)
		free(s->chunk[--s->n_chunks]);
	free(s->chunk);
	free(s->text);
	memset(s, 0, sizeof(*s));
}
