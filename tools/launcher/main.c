/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pyshim: runs a command with the shim preloaded, then pyshim-read on what that has left.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attach.h"
#include "child.h"
#include "options.h"
#include "places.h"
#include "rundir.h"
#include "say.h"

enum { EXIT_CANNOT_RUN = 126, EXIT_NO_COMMAND = 127 };

/* What stays behind for a moment, as multiprocessing's resource tracker does, is waited for. */
#define GRACE_NS 1000000000

/* No file, and no folder to make one in. */
#define NO_SOURCE "/dev/null/none"

/* --- what a child does first ------------------------------------------------------------------ */

static void preload_shim(void *arg)
{
	const struct rundir *d = arg;
	const char *others = getenv("LD_PRELOAD");
	char *both = NULL;

	if (others && *others && asprintf(&both, "%s:%s", d->preload, others) < 0)
		return; /* it runs, and is not recorded: main will say so */
	setenv("LD_PRELOAD", both ? both : d->preload, 1);
	setenv("PYSHIM_DIR", d->path, 1);
}

static void discard(int from, int to)
{
	int fd = open("/dev/null", O_RDWR);

	for (int i = from; i <= to && fd >= 0; i++)
		dup2(fd, i);
	if (fd > to)
		close(fd);
}

static void print_nothing(void *arg)
{
	const bool *errors_too = arg;

	discard(STDIN_FILENO, *errors_too ? STDERR_FILENO : STDOUT_FILENO);
}

/* The command's output is not to be mixed with the report. */
static void print_to_stderr(void *arg)
{
	(void)arg;
	if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		discard(STDOUT_FILENO, STDOUT_FILENO);
}

/* --- the other parts --------------------------------------------------------------------------- */

struct parts {
	char *shim, *reader; /* their paths */
};

/* 0, or -1 when it has been said what is missing. */
static int find_parts(struct parts *p)
{
	p->reader = places_find("pyshim-read");
	p->shim = places_find("libpyshim.so");
	if (p->reader && p->shim)
		return 0;
	say("find %s: found none beside this program and in its LIBDIR, expected it where `make` or "
	    "`make install` puts it",
	    p->reader ? "libpyshim.so" : "pyshim-read");
	return -1;
}

/* --- the reader ------------------------------------------------------------------------------- */

/* Its wait status; a failure to run it looks like one of its own. */
static int run_reader(const struct parts *p, const struct options *o, char *const *source,
		      size_t n_sources, void (*prepare)(void *), void *arg)
{
	char **argv = calloc(o->n_reader + n_sources + 4, sizeof(*argv));
	char **at = argv;
	pid_t pid;

	if (!argv) {
		say("run %s: out of memory", p->reader);
		return W_EXITCODE(EXIT_FAILED, 0);
	}
	*at++ = p->reader;
	if (geteuid() == 0) /* may start Python as another user: these are its own recordings too */
		*at++ = (char *)"--force";
	at = mempcpy(at, o->reader, o->n_reader * sizeof(*at));
	*at++ = (char *)"--";
	memcpy(at, source, n_sources * sizeof(*at));
	pid = child_start(argv, prepare, arg);
	free(argv);
	if (pid < 0) {
		say("run %s: %s", p->reader, strerror(-pid));
		return W_EXITCODE(EXIT_FAILED, 0);
	}
	return child_wait(pid);
}

/*
 * Options are pyshim-read's to judge, and before the command has run for an hour, not after: so it
 * is asked for a report on what cannot be. It finds fault with its options first, which it may say
 * when it is asked again. -1, or the wait status to end with.
 */
static int check_options(const struct parts *p, const struct options *o)
{
	char *source = (char *)NO_SOURCE;
	bool errors_too = true;
	int status = run_reader(p, o, &source, 1, print_nothing, &errors_too);

	if (WIFEXITED(status) && WEXITSTATUS(status) != EXIT_USAGE)
		return -1;
	errors_too = false;
	return WIFEXITED(status) ? run_reader(p, o, &source, 1, print_nothing, &errors_too)
				 : status;
}

/* --- after the command ------------------------------------------------------------------------ */

static bool has_user(struct rundir *d)
{
	return rundir_collect(d, false) == 0 && rundir_user(d);
}

static void wait_for_stragglers(struct rundir *d)
{
	struct timespec nap = { .tv_nsec = 1000000 };

	for (long waited_ns = 0; waited_ns < GRACE_NS && has_user(d);) {
		nanosleep(&nap, NULL);
		waited_ns += nap.tv_nsec;
		if (nap.tv_nsec < 50000000)
			nap.tv_nsec *= 2;
	}
}

/* EXIT_OK also where there is nothing to report on; else how the reader ended. */
static int report(const struct parts *p, const struct options *o, struct rundir *d)
{
	int status, err = rundir_collect(d, true);

	if (err) {
		say("look for recordings in %s: %s", d->path, strerror(-err));
		return EXIT_FAILED;
	}
	if (!d->n_recordings) {
		say("find recordings of %s: found none, expected that it starts CPython 3.8 or "
		    "later (what is static, setuid or free-threaded, or clears its environment, is not recorded)",
		    o->command[0]);
		return EXIT_OK;
	}
	rundir_move_up(d);
	status = run_reader(p, o, d->recording, d->n_recordings, o->output ? NULL : print_to_stderr,
			    NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

static void clean_up(struct rundir *d, bool failed)
{
	pid_t user = rundir_user(d);
	int err;

	if (user) {
		say("remove %s: found that process %d still runs, expected none; it stays, with "
		    "the recordings in it",
		    d->path, (int)user);
		return;
	}
	if (failed && d->n_recordings && !d->is_kept) {
		say("report on the recordings: found a failure, expected none; they stay in %s",
		    d->path);
		return;
	}
	rundir_move_up(d); /* what was being written to until just now */
	err = rundir_remove(d);
	if (err)
		say("remove %s: %s", d->path, strerror(-err));
}

/* The wait status to end with: the command's, or the report's where that is a success. */
static int run(const struct parts *p, const struct options *o, struct rundir *d)
{
	pid_t pid = child_start(o->command, preload_shim, d);
	int status, reported;

	if (pid < 0) {
		say("run %s: %s, expected a command", o->command[0], strerror(-pid));
		rundir_remove(d);
		return W_EXITCODE(pid == -ENOENT ? EXIT_NO_COMMAND : EXIT_CANNOT_RUN, 0);
	}
	if (o->verbose)
		say("record process %d and its children in %s", (int)pid, d->path);
	/* Who reads or writes the other end is to notice when the command closes its own. */
	if (!o->browse)
		discard(STDIN_FILENO, STDIN_FILENO);
	if (!o->output)
		discard(STDOUT_FILENO, STDOUT_FILENO);
	status = child_wait(pid);
	if (geteuid() == 0)
		attach_allow_foreign();
	wait_for_stragglers(d);
	reported = report(p, o, d);
	clean_up(d, reported != EXIT_OK && reported != EXIT_LOSS);
	return status ? status : W_EXITCODE(reported, 0);
}

int main(int argc, char **argv)
{
	struct options o;
	struct parts p = { 0 };
	struct rundir d;
	int status = options_parse(&o, argc, argv);

	if (status < 0 && find_parts(&p) < 0)
		status = EXIT_FAILED;
	if (status >= 0) {
		status = W_EXITCODE(status, 0);
		goto out;
	}
	child_init();
	status = check_options(&p, &o);
	if (status >= 0)
		goto out;
	if (rundir_open(&d, p.shim) < 0) {
		status = W_EXITCODE(EXIT_FAILED, 0);
		goto out;
	}
	status = run(&p, &o, &d);
	rundir_fini(&d);
out:
	free(p.shim);
	free(p.reader);
	options_fini(&o);
	child_end_like(status);
}
