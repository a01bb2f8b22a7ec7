/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions of the C library that the shim exports itself. Each does what the module named in
 * its comment asks for, and calls the C library's own. They run in every program that is started
 * with the shim, Python or not, where each takes one or two comparisons. Any thread, with or
 * without the GIL; some in signal handlers and in the child of a vfork.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/spawn.h"
#include "exec.h"
#include "preload.h"
#include "record/recording.h"
#include "session/session.h"
#include "system/libc.h"
#include "system/sandbox.h"

#define EXPORT __attribute__((visibility("default")))

/*
 * The headers declare these three with variable arguments. The C library's definitions read as many
 * as can be passed. Ours do too, and so have other names in C.
 */
EXPORT int our_prctl(int option, unsigned long a, unsigned long b, unsigned long c,
		     unsigned long d) __asm__("prctl");
EXPORT long our_syscall(long number, long a, long b, long c, long d, long e,
			long f) __asm__("syscall");
EXPORT int our_clone(int (*run)(void *), void *stack, int flags, void *arg, void *parent_tid,
		     void *tls, void *child_tid) __asm__("clone");

/* preload.c: a libpython that the program opens. */
EXPORT void *dlsym(void *restrict handle, const char *restrict name)
{
	if (__builtin_expect(preload_searching, 0))
		preload_search();
	if (__builtin_expect(!libc.dlsym, 0))
		libc_init();
	/*
	 * A tail call: RTLD_NEXT and the like depend on the caller's address, which must be kept.
	 */
	return libc.dlsym(handle, name);
}

/* spawn.c: a thread that may run Python. */
EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	if (!LIBC(pthread_create))
		return EAGAIN;
	spawn_before_create();
	return libc.pthread_create(thread, attr, run, arg);
}

/* sandbox.c: a seccomp filter. */
int our_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	if (__builtin_expect(option == PR_SET_SECCOMP, 0))
		sandbox_close();
	return LIBC(prctl)(option, a, b, c, d);
}

/* --- forks that run no handler of pthread_atfork ---------------------------------------------- */

/*
 * Children that are not made by fork(2): by syscall() with the number of clone or fork, by _Fork,
 * and by clone without CLONE_VM. A child that the program makes by its own system call instruction
 * is noticed at its next slow path (recording_check_process). Its records until then are in the
 * parent's ring.
 */

/* True if this system call makes a child with its own memory, which continues at the same place. */
static bool is_clone(long number, long a, long b)
{
	const struct clone_args *args = (const struct clone_args *)a;

	if (number == SYS_clone) /* with a stack, the child does not return here */
		return !(a & CLONE_VM) && !b;
	return args && !(args->flags & CLONE_VM) && !args->stack;
}

static inline bool is_fork(long number, long a, long b)
{
#ifdef SYS_fork
	if (__builtin_expect(number == SYS_fork, 0))
		return true;
#endif
	return __builtin_expect(number == SYS_clone || number == SYS_clone3, 0) &&
	       is_clone(number, a, b);
}

/*
 * Has no more arguments than there are registers. our_syscall() ends with this call, and the stack
 * behind its return address belongs to its caller, which may have passed fewer arguments than
 * our_syscall() declares.
 */
static __attribute__((noinline)) long fork_by_number(long number, long a, long b, long c, long d,
						     long e)
{
	long result;

	session_before_fork();
	result = LIBC(syscall)(number, a, b, c, d, e, 0);
	if (result == 0)
		session_forked();
	else
		session_after_fork();
	return result;
}

long our_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (__builtin_expect(number == SYS_seccomp, 0) ||
	    (number == SYS_prctl && a == PR_SET_SECCOMP))
		sandbox_close();
	if (__builtin_expect(is_fork(number, a, b), 0))
		return fork_by_number(number, a, b, c, d, e);
	return LIBC(syscall)(number, a, b, c, d, e, f);
}

EXPORT pid_t _Fork(void)
{
	pid_t pid;

	if (!LIBC(_Fork)) {
		errno = ENOSYS;
		return -1;
	}
	session_before_fork();
	pid = libc._Fork();
	if (pid == 0)
		session_forked();
	else
		session_after_fork();
	return pid;
}

/*
 * The function that the child of clone() must run. It lies on the parent's stack, of which the
 * child has a copy.
 */
struct start {
	int (*run)(void *);
	void *arg;
};

static int run_child(void *at)
{
	struct start start = *(struct start *)at;

	session_forked();
	return start.run(start.arg);
}

int our_clone(int (*run)(void *), void *stack, int flags, void *arg, void *parent_tid, void *tls,
	      void *child_tid)
{
	struct start start = { run, arg };
	int pid;

	if (flags & CLONE_VM || !run)
		return LIBC(clone)(run, stack, flags, arg, parent_tid, tls, child_tid);
	session_before_fork();
	pid = LIBC(clone)(run_child, stack, flags, &start, parent_tid, tls, child_tid);
	session_after_fork();
	return pid;
}

/* --- exec.c: programs that are started without the shim --------------------------------------- */

/*
 * If the C library's execve was not found when the shim was loaded, it is not looked up now: see
 * exec.h.
 */
EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	bool counted = exec_is_to_be_counted(path, envp);
	int result;

	if (counted)
		exec_count(path);
	result = libc.execve ? libc.execve(path, argv, envp)
			     : (int)our_syscall(SYS_execve, (long)path, (long)argv, (long)envp, 0,
						0, 0);
	if (counted)
		exec_uncount();
	return result;
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

static int spawn(libc_spawn *real, pid_t *pid, const char *path,
		 const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
		 char *const *argv, char *const *envp)
{
	bool counts = exec_is_to_be_counted(path, envp);
	int err = real(pid, path, actions, attributes, argv, envp);

	if (counts && !err)
		exec_count(path);
	return err;
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
	return spawn(LIBC(posix_spawn), pid, path, actions, attributes, argv, envp);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
	return spawn(LIBC(posix_spawnp), pid, file, actions, attributes, argv, envp);
}
