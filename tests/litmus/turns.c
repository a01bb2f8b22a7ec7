/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sides.h"
#include "system/killpoint.h"

/* --- one mapping ------------------------------------------------------------------------------ */

#define ARENA_BYTES (3ull << 30)

void *__real_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *addr, size_t bytes);
void *__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *addr, size_t bytes);

static char *arena;
static ino_t inode; /* of the mapped file; each side maps it in its own turn */

/*
 * Uses the system call directly. ThreadSanitizer counts an intercepted mmap() as a write by its
 * caller, but both sides know that the recording is mapped here.
 */
void *__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	struct stat st;

	if (fd < 0 || !(flags & MAP_SHARED) || fstat(fd, &st) < 0)
		return __real_mmap(addr, bytes, prot, flags, fd, offset);
	if (bytes > ARENA_BYTES)
		abort();
	if (__atomic_load_n(&inode, __ATOMIC_RELAXED) != st.st_ino) {
		if (syscall(SYS_mmap, arena, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			    fd, 0) < 0)
			abort();
		__atomic_store_n(&inode, st.st_ino, __ATOMIC_RELAXED);
	}
	return arena;
}

int __wrap_munmap(void *addr, size_t bytes)
{
	return addr == arena ? 0 : __real_munmap(addr, bytes);
}

/* --- turns ------------------------------------------------------------------------------------ */

static struct turns now;
static int turn;

static __thread const char *held_at;
static __thread int passes_left;
static __thread void (*before_held)(void);
static bool held;

static void run(void (*what)(void))
{
	if (what)
		what();
}

static void pass(int to)
{
	__atomic_store_n(&turn, to, __ATOMIC_RELAXED);
}

static void wait_for(int mine)
{
	while (__atomic_load_n(&turn, __ATOMIC_RELAXED) != mine)
		sched_yield();
}

/* The same, and orders all earlier stores. */
static void hand_over(int to)
{
	__atomic_store_n(&turn, to, __ATOMIC_RELEASE);
}

static void take_over(int mine)
{
	while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine)
		sched_yield();
}

static void *side_a(void *arg)
{
	run(now.a1);
	hand_over(1);
	take_over(2);
	run(now.a2);
	if (!held) {
		pass(3);
		wait_for(4);
	}
	run(now.a3);
	pass(5);
	return arg;
}

static void *side_b(void *arg)
{
	take_over(1);
	run(now.b1);
	hand_over(2);
	wait_for(3);
	run(now.b2);
	pass(4);
	wait_for(5);
	return arg;
}

void hold_at(const char *place, int count, void (*before)(void))
{
	held_at = place;
	passes_left = count;
	before_held = before;
}

bool was_held(void)
{
	return held;
}

void killpoint(const char *name)
{
	if (!held_at || strcmp(name, held_at) || --passes_left)
		return;
	held_at = NULL;
	run(before_held);
	if (held_at) /* somewhere else, then */
		return;
	held = true;
	pass(3);
	wait_for(4);
}

void take_turns(const struct turns *turns)
{
	pthread_t a, b;

	now = *turns;
	arena = __real_mmap(NULL, ARENA_BYTES, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED || pthread_create(&a, NULL, side_a, NULL) ||
	    pthread_create(&b, NULL, side_b, NULL))
		abort();
	pthread_join(a, NULL);
	pthread_join(b, NULL);
}
