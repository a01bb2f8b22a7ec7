/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A signal to the group has reached all of its processes after this time. */
#define GROUP_DELAY_NS 20000000
#define MAX_FDS 65536 /* a container may allow 2^30, and has none of the higher ones open */

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };

static sigset_t passing; /* those of passed_on that were not ignored at the start */
static sigset_t awaited; /* these, SIGCHLD and SIGCONT: blocked, and taken by child_wait */
static sigset_t original_mask;
static struct sigaction original_chld, original_pipe;

static bool was_interrupted;

static pid_t witness; /* a child in the group; 0 or -1: there is no witness */

static void keep_witness(void);

void child_init(void)
{
	struct sigaction preset = { .sa_handler = SIG_DFL }, now;

	sigemptyset(&passing);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
		if (sigaction(passed_on[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			sigaddset(&passing, passed_on[i]);
	}
	awaited = passing;
	sigaddset(&awaited, SIGCHLD);
	sigaddset(&awaited, SIGCONT);
	sigprocmask(SIG_BLOCK, &awaited, &original_mask);
	/* If SIGCHLD is ignored, the kernel discards the status of an ended child. */
	sigaction(SIGCHLD, &preset, &original_chld);
	preset.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &preset, &original_pipe);
	keep_witness();
}

static void give_signals_back(void)
{
	sigaction(SIGCHLD, &original_chld, NULL);
	sigaction(SIGPIPE, &original_pipe, NULL);
	sigprocmask(SIG_SETMASK, &original_mask, NULL);
}

/* --- signals to the launcher or to its group -------------------------------------------------- */

static void be_witness(pid_t launcher)
{
	long n_fds = sysconf(_SC_OPEN_MAX);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0); /* no core file if SIGQUIT kills it */
	if (getppid() != launcher)
		_exit(0);
	/* The reader of a pipe sees its end only after every process has closed it. */
	for (int fd = 0; fd < n_fds && fd < MAX_FDS; fd++)
		close(fd);
	sigprocmask(SIG_UNBLOCK, &passing, NULL);
	for (;;)
		pause();
}

static void keep_witness(void)
{
	pid_t launcher = getpid();

	witness = fork();
	if (witness == 0)
		be_witness(launcher);
}

static void dismiss_witness(void)
{
	if (witness <= 0)
		return;
	kill(witness, SIGKILL);
	waitpid(witness, NULL, 0);
	witness = 0;
}

/*
 * True if a signal is pending for a process: a busy machine may not have run it since. The lines
 * SigPnd and ShdPnd of /proc/PID/status say so.
 */
static bool has_pending(pid_t pid)
{
	unsigned long long own = 0, shared = 0;
	char path[32], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "SigPnd: %llx", &own);
		sscanf(line, "ShdPnd: %llx", &shared);
	}
	if (f)
		fclose(f);
	return own | shared;
}

/* True if the witness received a signal: it has ended, or would do so. It is gone then. */
static bool witness_was_hit(void)
{
	if (witness <= 0)
		return false;
	if (waitpid(witness, NULL, WNOHANG) == witness)
		return true;
	if (!has_pending(witness))
		return false;
	dismiss_witness();
	return true;
}

/* True if the signal that the launcher has just received was sent to the whole group. */
static bool was_for_group(void)
{
	struct timespec delay = { .tv_nsec = GROUP_DELAY_NS }, none = { 0 };

	nanosleep(&delay, NULL);
	if (!witness_was_hit())
		return false;
	/* Signals that are pending by now count as sent to the group: the witness dies only once. */
	while (sigtimedwait(&passing, NULL, &none) > 0)
		;
	keep_witness();
	return true;
}

static void pass_on(pid_t pid, const siginfo_t *info)
{
	/* Positive: sent by the kernel. It sends typed ones to the whole foreground group. */
	was_interrupted |=
		info->si_code > 0 && (info->si_signo == SIGINT || info->si_signo == SIGQUIT);
	if (info->si_code <= 0 && !was_for_group())
		kill(pid, info->si_signo);
}

/* --- job control ------------------------------------------------------------------------------ */

/* The signal that has stopped the child, or 0. The stop stays visible to later calls. */
static int stopped_by(pid_t pid)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) < 0)
		return 0;
	return info.si_pid == pid ? info.si_status : 0;
}

/*
 * Stops the launcher too. Ctrl-Z stops both, but a program may catch SIGTSTP and then stop itself
 * alone. SIGSTOP is left out: a process that sends it to the child alone continues it alone, too.
 */
static void stop_along(pid_t pid)
{
	int sig = stopped_by(pid);

	if (sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
		raise(sig);
}

int child_wait(pid_t pid)
{
	siginfo_t info;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		int sig = sigwaitinfo(&awaited, &info);

		if (sig == SIGCHLD)
			stop_along(pid);
		else if (sig == SIGCONT && stopped_by(pid))
			kill(pid, SIGCONT);
		else if (sig > 0 && sig != SIGCONT)
			pass_on(pid, &info);
	}
	return status;
}

bool child_was_interrupted(void)
{
	return was_interrupted;
}

/* --- start and end ---------------------------------------------------------------------------- */

/* In the child. execvp closes the pipe if it succeeds. If not, errno is written there. */
static void run(char *const *argv, void (*prepare)(void *), void *arg, int pipe_fd)
{
	int err;

	give_signals_back();
	if (prepare)
		prepare(arg);
	execvp(argv[0], argv);
	err = errno;
	if (write(pipe_fd, &err, sizeof(err)) < 0) {
		/* The launcher has ended. */
	}
	_exit(127);
}

pid_t child_start(char *const *argv, void (*prepare)(void *arg), void *arg)
{
	int fds[2], err = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		run(argv, prepare, arg, fds[1]);
	if (pid < 0)
		err = errno;
	close(fds[1]);
	do
		n = read(fds[0], &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	close(fds[0]);
	if (pid > 0 && err)
		waitpid(pid, NULL, 0);
	return err ? -err : pid;
}

void child_end_like(int status)
{
	struct rlimit none = { 0, 0 };
	sigset_t all;
	int sig = WTERMSIG(status);

	dismiss_witness();
	if (WIFEXITED(status))
		exit(WEXITSTATUS(status));
	/* Only the child's core is wanted. The launcher's could have the same name and replace it. */
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
	signal(sig, SIG_DFL);
	sigemptyset(&all);
	sigaddset(&all, sig);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	raise(sig);
	exit(128 + sig); /* the first process of a container does not die of a signal */
}
