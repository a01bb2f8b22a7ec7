/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pyshim-read: the wiring of the stages, and everything that is printed beside the report itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach.h"
#include "consume.h"
#include "drain.h"
#include "list.h"
#include "names.h"
#include "options.h"
#include "preamble.h"
#include "profile.h"
#include "pstats.h"
#include "rebuild.h"
#include "report.h"
#include "ticks.h"

static const char *recordings_dir(void)
{
	const char *dir = getenv("PYSHIM_DIR");

	return dir && *dir ? dir : "/dev/shm";
}

static int complain(const char *text)
{
	fprintf(stderr, "pyshim-read: %s\n", text);
	return -1;
}

/* --wait: does a live target's folding until it has ended. */
static void wait_for_end(const char *name)
{
	struct consume c;
	struct attach a;
	unsigned nap_us = 1000;
	bool consumes;

	if (attach_open(&a, name) < 0)
		return; /* read_source will say why */
	consumes = a.live && consume_open(&c, &a) == 0;
	while (a.live) {
		bool busy = consumes && consume_round(&c);

		nap_us = busy ? 1000 : nap_us < 20000 ? nap_us * 2 : nap_us;
		usleep(nap_us);
		a.live = attach_process_start(a.header.pid) == a.header.process_start;
	}
	if (consumes)
		consume_close(&c);
	attach_close(&a);
}

/* Adds one source to the profile. 0, or -1 when it has been said what is wrong. */
static int read_source(struct source *s, const char *name, struct profile *p)
{
	struct attach a;
	struct names names = { 0 };
	struct drain d = { 0 };
	int err;

	if (attach_open(&a, name) < 0)
		return complain(a.error);
	s->name = strdup(name);
	if (s->name)
		attach_make_printable(s->name);
	s->header = a.header;
	s->live = a.live;
	s->seconds_per_tick = ticks_seconds(&a);
	err = drain_open(&d, &a);
	if (!err)
		err = names_read(&names, &a);
	if (!err)
		err = rebuild(p, &d, &names, s->seconds_per_tick, &s->summary);
	memcpy(s->n_lost, d.n_lost, sizeof(s->n_lost));
	s->n_bad = d.n_bad + names.n_bad;
	names_fini(&names);
	drain_close(&d);
	attach_close(&a);
	if (err) {
		fprintf(stderr, "pyshim-read: read %s: %s\n", s->name, strerror(-err));
		return -1;
	}
	return 0;
}

static void print_source(FILE *to, const struct source *s, const struct options *o)
{
	preamble_print(to, s, o->verbose || o->check);
	if (o->check)
		preamble_print_checks(to, s);
	fputc('\n', to);
}

/* --- output ------------------------------------------------------------------------------------------- */

static int write_text(FILE *to, const struct options *o, const struct profile *p,
		      const struct source *sources, size_t n)
{
	for (size_t i = 0; i < n && (!o->quiet || o->check); i++)
		print_source(to, &sources[i], o);
	if (o->check)
		return 0;
	switch (o->listing) {
	case LISTING_CALLERS:
		return report_callers(to, p, &o->report);
	case LISTING_CALLEES:
		return report_callees(to, p, &o->report);
	case LISTING_FUNCTIONS:
		break;
	}
	return report_print(to, p, &o->report);
}

static int write_to(FILE *to, const struct options *o, const struct profile *p,
		    const struct source *sources, size_t n)
{
	int err =
		o->format == FORMAT_PSTATS ? pstats_write(to, p) : write_text(to, o, p, sources, n);

	if (!err && fflush(to) != 0)
		err = -errno;
	return err;
}

/* Into a new file that takes the name when it is whole: an old one is never left half written. */
static int write_file(const struct options *o, const struct profile *p,
		      const struct source *sources, size_t n)
{
	char *temporary;
	mode_t mask = umask(0);
	FILE *to;
	int fd, err;

	umask(mask);
	if (asprintf(&temporary, "%s.XXXXXX", o->output) < 0)
		return -ENOMEM;
	fd = mkstemp(temporary);
	to = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!to) {
		err = -errno;
		if (fd >= 0)
			close(fd);
	} else {
		err = write_to(to, o, p, sources, n);
		if (!err && fchmod(fd, 0666 & ~mask) < 0)
			err = -errno;
		if (fclose(to) != 0 && !err)
			err = -errno;
		if (!err && rename(temporary, o->output) < 0)
			err = -errno;
	}
	if (err && fd >= 0)
		unlink(temporary);
	free(temporary);
	return err;
}

/* Devices, pipes and the like are written to, not replaced. */
static bool is_replaceable(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 || S_ISREG(st.st_mode);
}

static int write_output(const struct options *o, const struct profile *p,
			const struct source *sources, size_t n)
{
	FILE *to;
	int err;

	if (!o->output)
		return write_to(stdout, o, p, sources, n);
	if (is_replaceable(o->output))
		return write_file(o, p, sources, n);
	to = fopen(o->output, "wb");
	if (!to)
		return -errno;
	err = write_to(to, o, p, sources, n);
	if (fclose(to) != 0 && !err)
		err = -errno;
	return err;
}

/* Losses go where they are seen, also where the output is a file or the preamble is left out. */
static void warn_of_losses(const struct options *o, const struct source *sources, size_t n)
{
	if (!o->quiet && !o->output)
		return;
	for (size_t i = 0; i < n; i++) {
		if (!preamble_has_loss(&sources[i]))
			continue;
		fprintf(stderr, "pyshim-read: read %s: found losses, expected none:\n",
			sources[i].name);
		preamble_print_losses(stderr, &sources[i]);
	}
}

static int list_or_clean(const struct options *o)
{
	const char *dir = recordings_dir();
	int err = o->clean ? list_clean(stdout, dir) : list_print(stdout, dir);

	if (err)
		fprintf(stderr, "pyshim-read: list %s: %s\n", dir, strerror(-err));
	return err ? EXIT_FAILED : EXIT_OK;
}

/* The recordings that the command line names: a PID may have several. */
struct names_list {
	char **name;
	size_t n;
};

static int add_name(struct names_list *l, char *name)
{
	char **more = name ? realloc(l->name, (l->n + 1) * sizeof(*more)) : NULL;

	if (!more) {
		free(name);
		return -ENOMEM;
	}
	l->name = more;
	l->name[l->n++] = name;
	return 0;
}

static int add_source(struct names_list *l, const char *source)
{
	char **path, *plain;
	size_t n;
	int err;

	if (strspn(source, "0123456789") != strlen(source) || access(source, F_OK) == 0)
		return add_name(l, strdup(source));
	err = list_of_pid(recordings_dir(), source, &path, &n);
	if (err == -ENOENT) /* opening it will say what is wrong */
		return asprintf(&plain, "%s/pyprof.%s", recordings_dir(), source) < 0
			       ? -ENOMEM
			       : add_name(l, plain);
	for (size_t i = 0; i < n && !err; i++)
		err = add_name(l, path[i]);
	free(path);
	return err;
}

static void free_names(struct names_list *l)
{
	while (l->n)
		free(l->name[--l->n]);
	free(l->name);
	l->name = NULL;
}

static int find_names(struct names_list *l, const struct options *o)
{
	int err = 0;

	for (size_t i = 0; i < o->n_sources && !err; i++)
		err = add_source(l, o->source[i]);
	if (err)
		fprintf(stderr, "pyshim-read: find recordings: %s\n", strerror(-err));
	return err;
}

static int report(const struct options *o, const struct names_list *l)
{
	struct source *sources = calloc(l->n, sizeof(*sources));
	int status = sources ? EXIT_OK : EXIT_FAILED;
	struct profile p;
	int err;

	profile_init(&p);
	for (size_t i = 0; i < l->n && !status; i++) {
		if (read_source(&sources[i], l->name[i], &p) < 0)
			status = EXIT_FAILED;
	}
	err = status ? 0 : write_output(o, &p, sources, l->n);
	if (err && err != -EPIPE) { /* whoever closed the pipe has seen enough */
		fprintf(stderr, "pyshim-read: write %s: %s\n", o->output ? o->output : "output",
			strerror(-err));
		status = EXIT_FAILED;
	}
	if (!status)
		warn_of_losses(o, sources, l->n);
	for (size_t i = 0; i < l->n && !status; i++) {
		if (o->strict && preamble_has_loss(&sources[i]))
			status = EXIT_LOSS;
	}
	for (size_t i = 0; sources && i < l->n; i++)
		free(sources[i].name);
	free(sources);
	profile_fini(&p);
	return status;
}

int main(int argc, char **argv)
{
	struct names_list l = { 0 };
	struct options o;
	int status = options_parse(&o, argc, argv);

	if (status >= 0)
		return status;
	signal(SIGPIPE, SIG_IGN);
	if (o.list || o.clean)
		return list_or_clean(&o);
	status = find_names(&l, &o) ? EXIT_FAILED : EXIT_OK;
	if (!status && o.wait) {
		for (size_t i = 0; i < l.n; i++)
			wait_for_end(l.name[i]);
		free_names(&l); /* it may have called execv meanwhile */
		status = find_names(&l, &o) ? EXIT_FAILED : EXIT_OK;
	}
	if (!status)
		status = report(&o, &l);
	free_names(&l);
	return status;
}
