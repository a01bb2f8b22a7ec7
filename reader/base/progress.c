/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "progress.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS 1000
#define THEN_MS 200

static struct {
	pthread_mutex_t lock; /* protects the fields that the printer reads */
	pthread_cond_t stopped;
	pthread_t printer;
	bool runs, stops;
	uint64_t total;	 /* bytes of all files */
	uint64_t before; /* bytes of the files that are done */
	uint64_t size;	 /* bytes of the current file */
	uint64_t done;	 /* bytes of it that were read; atomic */
} progress = { .lock = PTHREAD_MUTEX_INITIALIZER, .stopped = PTHREAD_COND_INITIALIZER };

/* Leaves out holes, because a recording has its maximum length from the start. */
static uint64_t size_of(const char *path)
{
	struct stat st;
	uint64_t stored;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	stored = (uint64_t)st.st_blocks * 512;
	return stored < (uint64_t)st.st_size ? stored : (uint64_t)st.st_size;
}

/* True if another program has the terminal. */
static bool is_in_background(void)
{
	pid_t group = tcgetpgrp(STDERR_FILENO);

	return group >= 0 && group != getpgrp();
}

/* Prints the line; false if it did not. A file that is still written may exceed its known size. */
static bool print(void)
{
	uint64_t done = __atomic_load_n(&progress.done, __ATOMIC_RELAXED);
	uint64_t all = progress.before + (done < progress.size ? done : progress.size);

	if (all >= progress.total || is_in_background())
		return false;
	fprintf(stderr, "\rpyshim-read: %.0f of %.0f MiB read", (double)all / (1 << 20),
		(double)progress.total / (1 << 20));
	return true;
}

static void add_ms(struct timespec *t, long ms)
{
	t->tv_nsec += ms % 1000 * 1000000;
	t->tv_sec += ms / 1000 + t->tv_nsec / 1000000000;
	t->tv_nsec %= 1000000000;
}

static void *print_now_and_then(void *arg)
{
	struct timespec next;
	bool any = false;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &next);
	add_ms(&next, FIRST_MS);
	pthread_mutex_lock(&progress.lock);
	while (!progress.stops) {
		if (!pthread_cond_clockwait(&progress.stopped, &progress.lock, CLOCK_MONOTONIC,
					    &next))
			continue;
		any |= print();
		add_ms(&next, THEN_MS);
	}
	pthread_mutex_unlock(&progress.lock);
	if (any && !is_in_background())
		fputs("\r\033[K", stderr);
	return NULL;
}

void progress_start(void)
{
	if (!isatty(STDERR_FILENO))
		return;
	progress.total = progress.before = progress.size = 0;
	progress.stops = false;
	progress.runs = !pthread_create(&progress.printer, NULL, print_now_and_then, NULL);
}

void progress_stop(void)
{
	if (!progress.runs)
		return;
	pthread_mutex_lock(&progress.lock);
	progress.stops = true;
	pthread_cond_signal(&progress.stopped);
	pthread_mutex_unlock(&progress.lock);
	pthread_join(progress.printer, NULL);
	progress.runs = false;
}

void progress_expect(const char *path)
{
	if (!progress.runs)
		return;
	pthread_mutex_lock(&progress.lock);
	progress.total += size_of(path);
	pthread_mutex_unlock(&progress.lock);
}

void progress_next(const char *path)
{
	if (!progress.runs)
		return;
	pthread_mutex_lock(&progress.lock);
	progress.before += progress.size;
	progress.size = size_of(path);
	__atomic_store_n(&progress.done, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&progress.lock);
}

void progress_add(uint64_t bytes)
{
	__atomic_fetch_add(&progress.done, bytes, __ATOMIC_RELAXED);
}
