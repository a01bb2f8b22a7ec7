/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scribble SECONDS RECORDING...: reads copies of recordings again and again, and folds in them as --wait does,
 * while another process writes random words into them and makes them shorter and longer. What comes out may be
 * anything; a sanitizer says whether memory was safe. Exit status 1 where it never came to read or to fold.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "consume.h"
#include "fuzz.h"

static char path[] = "/dev/shm/pyshim-scribble-XXXXXX";
static uint64_t state = 20260101;

static uint32_t roll(uint64_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull; /* Knuth, MMIX */
	return (uint32_t)((state >> 33) % n);
}

/* Words that were in the file before, numbers that lie near, and any. */
static uint64_t odd_word(const uint64_t *words, size_t n)
{
	switch (roll(4)) {
	case 0:
		return words[roll(n)];
	case 1:
		return roll(n * 8);
	case 2:
		return words[roll(n)] + roll(17) - 8;
	default:
		return state;
	}
}

/* Until it is killed. A page beyond the end that is written to is a bus error, and no harm: it begins anew. */
static void scribble(int fd, const void *whole, size_t bytes)
{
	const uint64_t *words = whole;
	size_t n = bytes / sizeof(*words);
	uint64_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0;; i++) {
		size_t place = roll(n);

		__atomic_store_n(&at[place], odd_word(words, n), __ATOMIC_RELAXED);
		if (i % (n / 64 + 1) == 0 && pwrite(fd, whole, bytes, 0) < 0)
			_exit(1);
		if (i % 4096 == 0 &&
		    (ftruncate(fd, roll(bytes)) < 0 || ftruncate(fd, (off_t)bytes) < 0))
			_exit(1);
	}
}

static unsigned long n_folded;

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

static unsigned long read_for(double seconds, const char *recording)
{
	int fd = open(path, O_RDWR | O_TRUNC), in = open(recording, O_RDONLY);
	struct timespec begin, now;
	unsigned long n = 0;
	struct stat st;
	void *whole;
	pid_t pid;

	if (fd < 0 || in < 0 || fstat(in, &st) < 0)
		abort();
	whole = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, in, 0);
	if (whole == MAP_FAILED || write(fd, whole, (size_t)st.st_size) != st.st_size)
		abort();
	pid = fork();
	if (!pid)
		scribble(fd, whole, (size_t)st.st_size);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		fold_in_place();
		fuzz_source(path, (unsigned)n++);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9 <
		 seconds);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap(whole, (size_t)st.st_size);
	close(fd);
	close(in);
	return n;
}

int main(int argc, char **argv)
{
	double seconds = argc > 2 ? atof(argv[1]) : 0;
	unsigned long n = 0;
	int fd;

	if (argc < 3) {
		fputs("usage: scribble SECONDS RECORDING...\n", stderr);
		return 2;
	}
	fuzz_init();
	fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	for (int i = 2; i < argc; i++)
		n += read_for(seconds / (argc - 2), argv[i]);
	unlink(path);
	printf("%lu reads of files that were scribbled in, and %lu blocks folded there\n", n,
	       n_folded);
	return !n || !n_folded;
}
