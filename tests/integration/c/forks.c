/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Forks as C libraries do, for ctypes: in threads without the GIL, in a signal handler, and without
 * fork(2).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t _Fork(void);

/*
 * Starts n children that end at once, as a library with helper processes does. Returns how many
 * succeeded.
 */
int spawn_helpers(int n)
{
	int n_well = 0, status;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		n_well += pid > 0 && waitpid(pid, &status, 0) == pid && !status;
	}
	return n_well;
}

static volatile int n_forked;

static void fork_in_handler(int signal)
{
	int saved = errno;

	(void)signal;
	n_forked += spawn_helpers(1);
	errno = saved;
}

/*
 * Forks in a signal handler after each `us` of processor time; 0 stops it. Returns the number of
 * forks.
 */
int fork_by_signal(int us)
{
	struct sigaction action = { .sa_handler = fork_in_handler, .sa_flags = SA_RESTART };
	struct itimerval t = { { 0, us }, { 0, us } };

	sigaction(SIGVTALRM, &action, NULL);
	setitimer(ITIMER_VIRTUAL, &t, NULL);
	return n_forked;
}

int fork_raw(void)
{
	return (int)syscall(SYS_fork);
}

int clone_raw(void)
{
	return (int)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

int fork_safe(void)
{
	return _Fork();
}

/* Forks by an inline system call, which no interposed function can see. */
int fork_inline(void)
{
	long pid;

#if defined(__x86_64__)
	__asm__ __volatile__("syscall" : "=a"(pid) : "a"(SYS_fork) : "rcx", "r11", "memory");
#else
	pid = syscall(SYS_fork);
#endif
	return (int)pid;
}

/* Calls clone(2) of the C library. The child calls `run`, which does not return. */
int clone_with(int (*run)(void *))
{
	const size_t bytes = 1 << 20;
	char *stack = malloc(bytes);

	return stack ? clone(run, stack + bytes, SIGCHLD, NULL) : -1;
}
