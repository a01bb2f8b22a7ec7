/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pyshim: runs a command with the shim preloaded, and then pyshim-read on its recordings.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/places.h"
#include "child.h"
#include "options.h"
#include "recording/attach.h"
#include "rundir.h"
#include "say.h"

enum { EXIT_CANNOT_RUN = 126, EXIT_NO_COMMAND = 127 };

/* Time for processes that end shortly after the command, such as multiprocessing's tracker. */
#define GRACE_NS 1000000000

/* A path that cannot exist, since /dev/null is not a folder. */
#define NO_SOURCE "/dev/null/none"

/* --- what a child does first ------------------------------------------------------------------ */

static void preload_shim(void *arg)
{
	const struct rundir *d = arg;
	const char *others = getenv("LD_PRELOAD");
	char *both = NULL;

	if (others && *others && asprintf(&both, "%s:%s", d->preload, others) < 0)
		return; /* the command runs without the shim; report() says that nothing was found */
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

/* --- the other parts -------------------------------------------------------------------------- */

struct parts {
	char *shim, *reader; /* their paths */
};

/* Returns 0, or -1 after a message. */
static int find_parts(struct parts *p)
{
	p->reader = places_find("pyshim-read");
	p->shim = places_find("libpyshim.so");
	if (p->reader && p->shim)
		return 0;
	say("find %s: found none beside this program or in its LIBDIR, expected it where `make` or "
	    "`make install` puts it",
	    p->reader ? "libpyshim.so" : "pyshim-read");
	return -1;
}

/* --- the reader ------------------------------------------------------------------------------- */

#define MAX_ARGUMENT_BYTES (64u << 10) /* for sources; a longer list is passed in a file */

/* One run of pyshim-read. */
struct question {
	const struct parts *parts;
	const struct options *options;
	char *const *source;
	size_t n_sources;
	const char *relative_to; /* a folder that is left out of their names, or NULL */
	bool has_foreign;	 /* some belong to another user */
	bool text_too;		 /* --text: the text report in addition to the file */
	void (*prepare)(struct question *q);
	bool errors_too; /* print_nothing discards standard error, too */
	int list_fd;	 /* the list of sources, or -1 */
};

static void print_nothing(struct question *q)
{
	discard(STDIN_FILENO, q->errors_too ? STDERR_FILENO : STDOUT_FILENO);
}

/* Keeps the report apart from the command's output. */
static void print_to_stderr(struct question *q)
{
	(void)q;
	if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		discard(STDOUT_FILENO, STDOUT_FILENO);
}

static void prepare_reader(void *arg)
{
	struct question *q = arg;

	if (q->list_fd >= 0)
		dup2(q->list_fd, STDIN_FILENO);
	if (q->prepare)
		q->prepare(q);
}

/* Lists the sources in a file in memory if they are too long for arguments. Returns it, or -1. */
static int list_sources(const struct question *q)
{
	size_t bytes = 0;
	FILE *f;
	int fd;

	for (size_t i = 0; i < q->n_sources; i++)
		bytes += strlen(q->source[i]) + 1;
	if (bytes <= MAX_ARGUMENT_BYTES || q->options->browse) /* stdin is needed for commands */
		return -1;
	fd = memfd_create("sources", MFD_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(dup(fd), "w");
	for (size_t i = 0; f && i < q->n_sources; i++)
		fwrite(q->source[i], 1, strlen(q->source[i]) + 1, f);
	if (!f || fclose(f) != 0 || lseek(fd, 0, SEEK_SET) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* True for the options that concern only the file. */
static bool is_of_file(const char *word)
{
	return !strncmp(word, "--output=", 9) || !strncmp(word, "--format=", 9);
}

static char **add_options(char **at, const struct question *q, char **relative)
{
	const struct options *o = q->options;

	/* The command became another user. These recordings are its own, so they are trusted. */
	if (q->has_foreign)
		*at++ = (char *)"--force";
	if (q->relative_to && asprintf(relative, "--relative-to=%s", q->relative_to) >= 0)
		*at++ = *relative;
	for (size_t i = 0; i < o->n_reader; i++) {
		if (!q->text_too || !is_of_file(o->reader[i]))
			*at++ = o->reader[i];
	}
	if (q->list_fd >= 0)
		*at++ = (char *)"--names-from=-";
	return at;
}

/* Returns the reader's wait status. If it cannot be run, the status is that of a failed reader. */
static int run_reader(struct question *q)
{
	char **argv = calloc(q->options->n_reader + q->n_sources + 6, sizeof(*argv));
	char *relative = NULL, **at = argv;
	pid_t pid;

	if (!argv) {
		say("run %s: out of memory", q->parts->reader);
		return W_EXITCODE(EXIT_FAILED, 0);
	}
	q->list_fd = list_sources(q);
	*at++ = q->parts->reader;
	at = add_options(at, q, &relative);
	*at++ = (char *)"--";
	if (q->list_fd < 0)
		memcpy(at, q->source, q->n_sources * sizeof(*at));
	pid = child_start(argv, prepare_reader, q);
	free(argv);
	free(relative);
	if (q->list_fd >= 0)
		close(q->list_fd);
	if (pid < 0) {
		say("run %s: %s", q->parts->reader, strerror(-pid));
		return W_EXITCODE(EXIT_FAILED, 0);
	}
	return child_wait(pid);
}

/*
 * Lets pyshim-read check its options before the command runs, which may take an hour. It is run on
 * a source that cannot exist, and checks its options first. If they are wrong, it is run again, so
 * that it prints its message. Returns -1, or the wait status to end with.
 */
static int check_options(const struct parts *p, const struct options *o)
{
	char *source = (char *)NO_SOURCE;
	struct question q = { .parts = p,
			      .options = o,
			      .source = &source,
			      .n_sources = 1,
			      .prepare = print_nothing,
			      .errors_too = true };
	int status = run_reader(&q);

	if (WIFEXITED(status) && WEXITSTATUS(status) != EXIT_USAGE)
		return -1;
	q.errors_too = false;
	return WIFEXITED(status) ? run_reader(&q) : status;
}

/* --- after the command ------------------------------------------------------------------------ */

static bool has_user(struct rundir *d)
{
	return rundir_collect(d, false) == 0 && rundir_user(d);
}

/* Returns true if processes of the command still run after GRACE_NS. */
static bool wait_for_stragglers(struct rundir *d)
{
	struct timespec nap = { .tv_nsec = 1000000 };

	for (long waited_ns = 0; has_user(d);) {
		if (waited_ns >= GRACE_NS)
			return true;
		nanosleep(&nap, NULL);
		waited_ns += nap.tv_nsec;
		if (nap.tv_nsec < 50000000)
			nap.tv_nsec *= 2;
	}
	return false;
}

/* With -o FILE this is a failure: a script relies on FILE. */
static int say_none_found(const struct options *o)
{
	say("find recordings of %s: found none, expected that it starts CPython 3.8 or later "
	    "(programs that are static, setuid or free-threaded, or that clear their environment, "
	    "are not recorded)%s",
	    o->command[0], o->output_is_file ? "; no file is written" : "");
	return o->output_is_file ? EXIT_FAILED : EXIT_OK;
}

static int ask_reader(struct question *q)
{
	int status = run_reader(q);

	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

/* The reader's exit code. Without recordings: that of say_none_found. */
static int report(const struct parts *p, const struct options *o, struct rundir *d)
{
	struct question q = { .parts = p, .options = o };
	int reported, err = rundir_collect(d, true);

	if (err) {
		say("look for recordings in %s: %s", d->path, strerror(-err));
		return EXIT_FAILED;
	}
	if (child_was_interrupted() && isatty(STDERR_FILENO))
		fputc('\n', stderr);
	if (!d->n_recordings)
		return say_none_found(o);
	rundir_move_up(d);
	q.source = d->recording;
	q.n_sources = d->n_recordings;
	q.has_foreign = d->has_foreign;
	q.relative_to = d->is_kept || o->keep || o->browse ? NULL : d->path;
	q.prepare = o->output ? NULL : print_to_stderr;
	reported = ask_reader(&q);
	if (!o->text || (reported != EXIT_OK && reported != EXIT_LOSS))
		return reported;
	q.text_too = true;
	q.prepare = print_to_stderr;
	return ask_reader(&q);
}

static void clean_up(const struct options *o, struct rundir *d, bool failed)
{
	pid_t user = rundir_user(d);
	int err;

	if (user) {
		say("remove %s: found that process %d still runs, expected that all have ended; "
		    "the folder is kept, with its recordings",
		    d->path, (int)user);
		return;
	}
	if (failed && d->n_recordings && !d->is_kept) {
		say("report on the recordings: pyshim-read failed; they are kept in %s", d->path);
		d->stays = true;
	} else if (o->keep && d->n_recordings) {
		say("keep recordings: they are in %s", d->is_kept ? d->parent : d->path);
		d->stays = !d->is_kept;
	}
	rundir_move_up(d); /* recordings whose process has ended since report() */
	err = rundir_remove(d);
	if (err)
		say("remove %s: %s", d->path, strerror(-err));
}

/* Returns the wait status to end with: the command's, or the report's if the command succeeded. */
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
	/* The process at the other end of a pipe must notice when the command closes its end. */
	if (!o->browse)
		discard(STDIN_FILENO, STDIN_FILENO);
	if (!o->output)
		discard(STDOUT_FILENO, STDOUT_FILENO);
	status = child_wait(pid);
	if (geteuid() == 0)
		attach_allow_foreign();
	if (!wait_for_stragglers(d))
		rundir_shut(d);
	reported = report(p, o, d);
	clean_up(o, d, reported != EXIT_OK && reported != EXIT_LOSS);
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
