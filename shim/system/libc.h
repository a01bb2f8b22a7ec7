/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The C library's own versions of functions that the shim exports (inject/interpose.c). The shim's
 * own code calls them through this table, so that it does not call its own definitions. Any thread,
 * with or without the GIL. The first use of an entry calls dlsym, so it is not async-signal-safe.
 */
#ifndef SHIM_LIBC_H
#define SHIM_LIBC_H

#include <pthread.h>
#include <spawn.h>

typedef int libc_spawn(pid_t *, const char *, const posix_spawn_file_actions_t *,
		       const posix_spawnattr_t *, char *const *, char *const *);

/*
 * Each is NULL until LIBC() has looked it up. Those with variable arguments are declared with the
 * largest number that can be passed.
 */
struct libc {
	void *(*dlsym)(void *, const char *);
	int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	int (*prctl)(int, unsigned long, unsigned long, unsigned long, unsigned long);
	long (*syscall)(long, long, long, long, long, long, long);
	int (*clone)(int (*)(void *), void *, int, void *, void *, void *, void *);
	pid_t (*_Fork)(void); /* glibc 2.34 */
	int (*execve)(const char *, char *const *, char *const *);
	libc_spawn *posix_spawn, *posix_spawnp;
};

extern struct libc libc __attribute__((visibility("hidden")));

/*
 * Finds dlsym itself. libc.dlsym stays NULL if that fails; then LIBC() finds no other function
 * either.
 */
void libc_init(void);

/*
 * Returns the next definition of a symbol after the shim's, or NULL. Stores it in `*pointer` too.
 */
void *libc_look_up(void *pointer, const char *name);

/* libc.NAME, looked up at the first use; NULL: the C library does not have it. */
#define LIBC(name)                              \
	(__builtin_expect(libc.name != NULL, 1) \
		 ? libc.name                    \
		 : (__typeof__(libc.name))libc_look_up(&libc.name, #name))

#endif
