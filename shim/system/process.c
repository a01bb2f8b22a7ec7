/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "digits.h"
#include "libc.h"
#include "pyprof/clock.h"
#include "pyprof/process.h"
#include "sandbox.h"

#define LOOKED_AT 8 /* the highest descriptors that are allowed: so many are tried */
#define KNOWN_NS 50000000ull
#define WANTED 4 /* so many of them must be free: two for the shim, two for other threads */

size_t process_read(const char *path, char *out, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0)
		return 0;
	while (n < cap) {
		ssize_t got = read(fd, out + n, cap - n);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	return n;
}

/* Reads /proc/PID/stat; PID 0 is this process. The text is "" if the file cannot be read. */
static void read_stat(pid_t pid, char *text, size_t cap)
{
	char path[sizeof("/proc//stat") + DIGITS_MAX] = "/proc/self/stat";

	if (pid)
		strcpy(digits_put(path + strlen("/proc/"), (uint32_t)pid), "/stat");
	text[process_read(path, text, cap - 1)] = '\0';
}

static uint64_t read_field(pid_t pid, int field)
{
	char text[512];

	read_stat(pid, text, sizeof(text));
	return pyprof_stat_field(text, field);
}

static bool is_filtered; /* as last read; a filter can never be removed */
static bool is_known;	 /* it has been read */

bool process_has_descriptors(void)
{
	struct rlimit limit;
	int n_free = 0;

	if (sandbox_is_closed() || is_filtered || getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur > INT32_MAX)
		return true;
	for (int i = 1; i <= LOOKED_AT && n_free < WANTED; i++) {
		int fd = (int)limit.rlim_cur - i;

		n_free += fd >= 0 && fcntl(fd, F_GETFD) < 0 && errno == EBADF;
	}
	return n_free == WANTED;
}

/*
 * Copies the text behind `name` in /proc/self/status, at most `cap` - 1 bytes; "" if it is not
 * found. `name` begins with a newline. The file is read in pieces: the list of groups in it may be
 * long, and a thread's stack small.
 */
static void read_status(const char *name, char *value, size_t cap)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	const size_t n_name = strlen(name);
	char piece[512];
	size_t kept = 0; /* the end of the preceding piece: the name may begin in it */
	bool found = false;
	ssize_t n;

	*value = '\0';
	while (fd >= 0 && !found && (n = read(fd, piece + kept, sizeof(piece) - kept)) > 0) {
		size_t end = kept + (size_t)n;
		const char *at = memmem(piece, end, name, n_name);

		found = at;
		kept = found ? end - (size_t)(at + n_name - piece) : end < n_name ? end : n_name;
		memmove(piece, piece + end - kept, kept);
	}
	if (found) {
		n = kept < cap ? read(fd, piece + kept, sizeof(piece) - kept) : 0;
		kept += n > 0 ? (size_t)n : 0;
		kept = kept < cap ? kept : cap - 1;
		memcpy(value, piece, kept);
		value[kept] = '\0';
	}
	if (fd >= 0)
		close(fd);
}

bool process_is_filtered(void)
{
	/* A slow path asks several times, and so does each forked child. */
	static uint64_t known_until_ns;
	uint64_t now;
	char mode[2]; /* "2": a filter */

	if (is_filtered ||
	    sandbox_is_closed()) /* after sandbox_close() even this file may not be read */
		return true;
	now = pyprof_clock_ns(CLOCK_MONOTONIC);
	if (is_known && (now < known_until_ns || !process_has_descriptors()))
		return false;
	read_status("\nSeccomp:\t", mode, sizeof(mode));
	is_filtered = *mode == '2';
	is_known = *mode != 0;
	known_until_ns = now + KNOWN_NS;
	return is_filtered;
}

bool process_was_filtered(void)
{
	return is_filtered;
}

pid_t process_thread_id(void)
{
	char text[16];

	if (!process_is_filtered())
		return (pid_t)LIBC(syscall)(SYS_gettid, 0, 0, 0, 0, 0, 0);
	if (sandbox_is_closed() || !process_has_descriptors())
		return 0;
	text[process_read("/proc/thread-self/stat", text, sizeof(text) - 1)] = '\0';
	return (pid_t)digits_get(text);
}

void process_ids(pid_t *pid, pid_t *parent)
{
	char text[512];

	if (!process_is_filtered()) {
		*pid = getpid();
		*parent = getppid();
		return;
	}
	read_stat(0, text, sizeof(text));
	*pid = (pid_t)digits_get(text);
	*parent = (pid_t)pyprof_stat_field(text, PYPROF_STAT_PARENT);
}

void process_describe(struct process_self *s, bool forked)
{
	static bool has_own_proc; /* the preceding caller's PID was the one in /proc */
	static uint64_t pid_namespace;
	char text[512];
	bool filtered = process_is_filtered();

	read_stat(0, text, sizeof(text));
	s->pid = filtered ? (pid_t)digits_get(text) : getpid();
	s->parent = filtered ? (pid_t)pyprof_stat_field(text, PYPROF_STAT_PARENT) : getppid();
	s->start = pyprof_stat_field(text, PYPROF_STAT_START);
	if (!forked || filtered || !has_own_proc || s->pid != (pid_t)digits_get(text))
		pid_namespace = process_pid_namespace();
	has_own_proc = s->pid == (pid_t)digits_get(text);
	s->pid_namespace = pid_namespace;
}

uint64_t process_address_bytes(void)
{
	char text[128];

	text[process_read("/proc/self/statm", text, sizeof(text) - 1)] = '\0';
	return digits_get(text) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t process_start(pid_t pid)
{
	return read_field(pid, PYPROF_STAT_START);
}

uint64_t process_pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) < 0 ? 0 : (uint64_t)st.st_ino;
}

bool process_has_own_proc(void)
{
	char pids[64];

	/*
	 * The line has one PID for each namespace, from that of /proc to the innermost. Linux
	 * before 4.1 does not have it, and then this returns true.
	 */
	read_status("\nNSpid:\t", pids, sizeof(pids));
	return !memchr(pids, '\t', strcspn(pids, "\n"));
}

uint64_t process_threads(void)
{
	return read_field(0, PYPROF_STAT_THREADS);
}

bool process_is_zombie(pid_t pid)
{
	char text[512];

	read_stat(pid, text, sizeof(text));
	return pyprof_stat_is_zombie(text);
}

bool process_is_gone(pid_t pid)
{
	return !process_is_filtered() && kill(pid, 0) < 0 && errno == ESRCH;
}

/*
 * True if a process that /proc does not show has ended. Without a filter kill(2) would have said
 * so, and another user's process may be hidden in /proc.
 */
static bool is_missing(uint32_t start)
{
	return start && process_is_filtered() && process_start(0);
}

bool process_has_ended(pid_t pid, uint32_t start)
{
	uint64_t found;

	if (process_is_gone(pid))
		return true;
	if (!process_has_own_proc())
		return false; /* /proc shows another process by this PID */
	if (process_is_zombie(pid))
		return true;
	found = process_start(pid);
	return found && start ? (uint32_t)found != start : is_missing(start) && !found;
}

bool process_is_foreign(pid_t pid)
{
	return !is_filtered && !sandbox_is_closed() && getpid() != pid;
}
