/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A library to preload: counts allocations and locks in the whole process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

long count_allocations(void);
long count_locks(void);

static long n_allocations, n_locks;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static void note(long *n)
{
	__atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t bytes)
{
	note(&n_allocations);
	return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
	note(&n_allocations);
	return __libc_calloc(n, bytes);
}

void *realloc(void *old, size_t bytes)
{
	note(&n_allocations);
	return __libc_realloc(old, bytes);
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	static int (*real)(pthread_mutex_t *);

	if (!real)
		real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock");
	note(&n_locks);
	return real(mutex);
}

long count_allocations(void)
{
	return n_allocations;
}

long count_locks(void)
{
	return n_locks;
}
