/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: syscalls trace FILE COMMAND...	run COMMAND, write the numbers of its system calls
 *        syscalls allow FILE COMMAND...	run COMMAND, kill it for other system calls
 *        syscalls after MARK FILE COMMAND...	as `trace`, from the first call of number MARK on
 *
 * Includes threads and children. Exit status: that of COMMAND; 125 if this machine does not permit
 * tracing or filters.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_CALLS 1024
#define OPTIONS                                                                                   \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
	 PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)

static bool made[N_CALLS];
static long mark = -1; /* calls count from the first one of this number on */

static int not_permitted(const char *what)
{
	fprintf(stderr, "syscalls: %s: %s\n", what, strerror(errno));
	return 125;
}

static void note(pid_t pid)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY || info.entry.nr >= N_CALLS)
		return;
	if (mark == (long)info.entry.nr)
		mark = -1;
	made[info.entry.nr] |= mark < 0;
}

/*
 * Continues all processes from stop to stop until the first one has ended, and returns its status.
 */
static int follow(pid_t first)
{
	int status, result = 125;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		int deliver = 0;

		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (pid == first)
				result = WIFEXITED(status) ? WEXITSTATUS(status)
							   : 128 + WTERMSIG(status);
			continue;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			note(pid);
		else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP)
			deliver = WSTOPSIG(status);
		ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)deliver);
	}
	return result;
}

static int trace(const char *path, char **command)
{
	pid_t pid = fork();
	int status;
	FILE *out;

	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(not_permitted("trace"));
		raise(SIGSTOP);
		execvp(command[0], command);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(long)OPTIONS) < 0)
		return not_permitted("trace");
	ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	status = follow(pid);
	out = fopen(path, "w");
	for (int i = 0; out && i < N_CALLS; i++) {
		if (made[i])
			fprintf(out, "%d\n", i);
	}
	return out && !fclose(out) ? status : 125;
}

static int allow(const char *path, char **command)
{
	static struct sock_filter filter[2 * N_CALLS + 2];
	struct sock_fprog program = { .filter = filter };
	unsigned n = 0;
	FILE *in = fopen(path, "r");
	int nr;

	if (!in)
		return not_permitted(path);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						   offsetof(struct seccomp_data, nr));
	while (fscanf(in, "%d", &nr) == 1 && n < 2 * N_CALLS) {
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1);
		filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	program.len = (unsigned short)n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		return not_permitted("filter");
	execvp(command[0], command);
	return 127;
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "trace"))
		return trace(argv[2], argv + 3);
	if (argc > 4 && !strcmp(argv[1], "after")) {
		mark = atol(argv[2]);
		return trace(argv[3], argv + 4);
	}
	if (argc > 3 && !strcmp(argv[1], "allow"))
		return allow(argv[2], argv + 3);
	return 2;
}
