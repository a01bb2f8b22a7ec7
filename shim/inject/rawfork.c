/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rawfork.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/sched.h>
#include <stdint.h>
#include <sys/types.h>

#include "session/recording.h"

#define VISIBLE __attribute__((visibility("default")))

bool rawfork_is_clone(long number, long a, long b)
{
	if (number == SYS_clone) /* with a stack, it does not return here in the child */
		return !(a & CLONE_VM) && !b;
	return a && !(((const struct clone_args *)a)->flags & CLONE_VM) &&
	       !((const struct clone_args *)a)->stack;
}

long rawfork_call(long number, long a, long b, long c, long d, long e)
{
	long (*real)(long, ...) = (__typeof__(real))dlsym(RTLD_NEXT, "syscall");
	long result;

	recording_before_fork();
	result = real(number, a, b, c, d, e);
	if (result == 0)
		recording_forked();
	else
		recording_after_fork();
	return result;
}

VISIBLE pid_t _Fork(void);

pid_t _Fork(void)
{
	static pid_t (*real)(void);
	pid_t pid;

	if (!real)
		real = (__typeof__(real))dlsym(RTLD_NEXT, "_Fork");
	if (!real) { /* glibc before 2.34 */
		errno = ENOSYS;
		return -1;
	}
	recording_before_fork();
	pid = real();
	if (pid == 0)
		recording_forked();
	else
		recording_after_fork();
	return pid;
}

/* What the child of clone() is to run. It lies on the parent's stack, of which the child has a copy. */
struct start {
	int (*run)(void *);
	void *arg;
};

static int run_child(void *at)
{
	struct start start = *(struct start *)at;

	recording_forked();
	return start.run(start.arg);
}

VISIBLE int clone(int (*run)(void *), void *stack, int flags, void *arg, void *parent_tid,
		  void *tls, void *child_tid);

/* The C library's takes a variable number of arguments, and reads as many as there may be. */
int clone(int (*run)(void *), void *stack, int flags, void *arg, void *parent_tid, void *tls,
	  void *child_tid)
{
	static int (*real)(int (*)(void *), void *, int, void *, void *, void *, void *);
	struct start start = { run, arg };
	int pid;

	if (!real)
		real = (__typeof__(real))dlsym(RTLD_NEXT, "clone");
	if (flags & CLONE_VM || !run)
		return real(run, stack, flags, arg, parent_tid, tls, child_tid);
	recording_before_fork();
	pid = real(run_child, stack, flags, &start, parent_tid, tls, child_tid);
	recording_after_fork();
	return pid;
}
