/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * prctl and syscall are interposed to see a filter come. Both cost a comparison and a tail call.
 */
#include "sandbox.h"

#include <dlfcn.h>
#include <linux/prctl.h>
#include <sys/syscall.h>

#include "inject/rawfork.h"

static bool closed;

bool sandbox_is_closed(void)
{
	return __atomic_load_n(&closed, __ATOMIC_RELAXED);
}

static void close_sandbox(void)
{
	__atomic_store_n(&closed, true, __ATOMIC_RELAXED);
}

/* The C library's take a variable number of arguments, and read as many as there may be, as do these. */
__attribute__((visibility("default"))) int prctl(int option, unsigned long a, unsigned long b,
						 unsigned long c, unsigned long d);
__attribute__((visibility("default"))) long syscall(long number, long a, long b, long c, long d,
						    long e, long f);

int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	static int (*real)(int, unsigned long, unsigned long, unsigned long, unsigned long);

	if (__builtin_expect(!real, 0))
		real = (__typeof__(real))dlsym(RTLD_NEXT, "prctl");
	if (__builtin_expect(option == PR_SET_SECCOMP, 0))
		close_sandbox();
	return real(option, a, b, c, d);
}

long syscall(long number, long a, long b, long c, long d, long e, long f)
{
	static long (*real)(long, long, long, long, long, long, long);

	if (__builtin_expect(!real, 0))
		real = (__typeof__(real))dlsym(RTLD_NEXT, "syscall");
	if (__builtin_expect(number == SYS_seccomp, 0) ||
	    (number == SYS_prctl && a == PR_SET_SECCOMP))
		close_sandbox();
	if (__builtin_expect(rawfork_is_fork(number, a, b), 0))
		return rawfork_call(number, a, b, c, d, e);
	return real(number, a, b, c, d, e, f);
}
