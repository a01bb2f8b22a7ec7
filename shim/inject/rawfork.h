/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Children that are made past fork(2): by _Fork, by clone without CLONE_VM, and by syscall() with
 * the number of either. No handler of pthread_atfork runs for them, so these functions are
 * interposed. A child that is made by a system call instruction of the program's own is noticed at
 * its next slow path (recording_is_foreign); its records until then are in the parent's ring.
 */
#ifndef SHIM_RAWFORK_H
#define SHIM_RAWFORK_H

#include <stdbool.h>
#include <sys/syscall.h>

/* Whether this system call makes a child with memory of its own, which goes on where it is. */
bool rawfork_is_clone(long number, long a, long b);

static inline bool rawfork_is_fork(long number, long a, long b)
{
#ifdef SYS_fork
	if (__builtin_expect(number == SYS_fork, 0))
		return true;
#endif
	return __builtin_expect(number == SYS_clone || number == SYS_clone3, 0) &&
	       rawfork_is_clone(number, a, b);
}

/*
 * Makes it. No more arguments than there are registers: syscall() calls this last, and the stack
 * behind its return address is its caller's, who may have passed fewer than syscall() declares.
 */
long rawfork_call(long number, long a, long b, long c, long d, long e);

#endif
