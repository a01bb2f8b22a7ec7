/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scribble SECONDS RECORDING...: reads copies of recordings again and again, and folds them as
 * --wait does, while a simulated writer changes, truncates and extends them. The writer runs
 * between any two loads of the reader (traced.h) and mostly writes where the reader has just read.
 * Any result is accepted; a sanitizer checks that memory accesses are safe. Runs are reproducible.
 * Exit status 1 if no copy was read, folded or changed.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "recording/consume.h"
#include "traced.h"

#define MAX_MAPPINGS 8

static char path[] = "/dev/shm/pyshim-scribble-XXXXXX";
static uint64_t state = 20260101;
static struct mapping {
	const char *at;
	size_t bytes;
	off_t offset;
} mapping[MAX_MAPPINGS];
static const uint64_t *words; /* of the unchanged file */
static size_t n_words;
static int fd;
static bool is_short;
static uint32_t rate, looks; /* loads until the next write, up to `rate` */
static unsigned long n_reads, n_folded, n_writes;

static uint32_t roll(uint64_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull; /* Knuth, MMIX */
	return (uint32_t)((state >> 33) % n);
}

/* --- the writer ------------------------------------------------------------------------------- */

void *__real_mmap(void *at, size_t bytes, int prot, int flags, int file, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int file, off_t offset);
int __real_munmap(void *at, size_t bytes);
int __wrap_munmap(void *at, size_t bytes);

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int file, off_t offset)
{
	void *mapped = __real_mmap(at, bytes, prot, flags, file, offset);

	for (int i = 0; mapped != MAP_FAILED && file >= 0 && i < MAX_MAPPINGS; i++) {
		if (!mapping[i].at) {
			mapping[i] = (struct mapping){ mapped, bytes, offset };
			break;
		}
	}
	return mapped;
}

int __wrap_munmap(void *at, size_t bytes)
{
	for (int i = 0; i < MAX_MAPPINGS; i++) {
		if (mapping[i].at == at)
			mapping[i].at = NULL;
	}
	return __real_munmap(at, bytes);
}

/* Returns the offset in the file, or -1. */
static off_t place_of(const void *word)
{
	for (int i = 0; i < MAX_MAPPINGS; i++) {
		const struct mapping *m = &mapping[i];
		size_t in = (size_t)((const char *)word - m->at);

		if (m->at && (const char *)word >= m->at && in < m->bytes)
			return m->offset + (off_t)in;
	}
	return -1;
}

/* Returns a word of the original file, a nearby number, a length, an offset or a random number. */
static uint64_t odd_word(uint64_t was)
{
	switch (roll(7)) {
	case 0:
		return words[roll(n_words)];
	case 1:
		return roll(n_words * 8);
	case 2:
		return was + roll(17) - 8;
	case 3:
		return roll(64);
	case 4:
		return was ^ 1ull << roll(64);
	case 5: /* two capacities */
		return 1ull << roll(32) | 1ull << (32 + roll(32));
	default:
		return state;
	}
}

static void scribble_at(off_t place)
{
	size_t i = (size_t)place / sizeof(*words);
	uint64_t word;

	if (roll(3) == 0)
		i = roll(3) ? i + roll(32) - 16 : roll(n_words);
	if (i >= n_words)
		return;
	word = odd_word(words[i]);
	if (pwrite(fd, &word, sizeof(word), (off_t)(i * sizeof(word))) < 0)
		abort();
	n_writes++;
}

void scribble_after_load(const void *word)
{
	off_t bytes = (off_t)(n_words * sizeof(*words)), place;

	if (!looks || --looks)
		return;
	looks = 1 + roll(rate);
	place = place_of(word);
	if (is_short || roll(200) == 0) {
		is_short = !is_short;
		if (ftruncate(fd, is_short ? (off_t)roll((uint64_t)bytes) : bytes) < 0)
			abort();
	} else if (place >= 0) {
		scribble_at(place);
	}
}

/* --- the reader ------------------------------------------------------------------------------- */

static void fold_in_place(void)
{
	struct consume c;
	struct attach a;

	if (attach_open(&a, path) < 0)
		return;
	if (consume_open(&c, &a) == 0) {
		n_folded += consume_round(&c);
		consume_close(&c);
	}
	attach_close(&a);
}

static void read_once(void)
{
	static const uint32_t rates[] = { 3, 20, 200, 2000 };

	is_short = false;
	if (ftruncate(fd, 0) < 0 || pwrite(fd, words, n_words * sizeof(*words), 0) < 0)
		abort();
	rate = rates[roll(sizeof(rates) / sizeof(rates[0]))];
	looks = 1 + roll(20 * rate); /* the start is not always broken */
	if (roll(2))
		fold_in_place();
	fuzz_source(path, roll(256));
	looks = 0;
	n_reads++;
}

static void load(const char *recording)
{
	int in = open(recording, O_RDONLY);
	struct stat st;
	void *whole;

	if (in < 0 || fstat(in, &st) < 0)
		abort();
	whole = malloc((size_t)st.st_size);
	if (!whole || read(in, whole, (size_t)st.st_size) != st.st_size)
		abort();
	close(in);
	free((void *)words);
	words = whole;
	n_words = (size_t)st.st_size / sizeof(*words);
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double end = seconds_now() + (argc > 2 ? atof(argv[1]) : 0);

	if (argc < 3) {
		fputs("usage: scribble SECONDS RECORDING...\n", stderr);
		return 2;
	}
	fuzz_init();
	fd = mkstemp(path);
	if (fd < 0)
		return 1;
	for (int i = 2; seconds_now() < end; i = i + 1 < argc ? i + 1 : 2) {
		load(argv[i]);
		for (int n = 0; n < 20 && seconds_now() < end; n++)
			read_once();
	}
	unlink(path);
	free((void *)words);
	printf("%lu reads with %lu words written in their midst, and %lu blocks folded\n", n_reads,
	       n_writes, n_folded);
	return !n_reads || !n_writes || !n_folded;
}
