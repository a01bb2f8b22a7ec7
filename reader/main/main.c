/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pyshim-read: calls the stages, and prints warnings and errors beside the report.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/progress.h"
#include "browse/browse.h"
#include "calibrate/calibrate.h"
#include "format/preamble.h"
#include "format/report.h"
#include "load/reading.h"
#include "load/sources.h"
#include "options.h"
#include "output.h"
#include "recording/attach.h"
#include "recording/consume.h"
#include "recording/list.h"
#include "recording/snapshot.h"

static int complain(const char *text)
{
	fprintf(stderr, "pyshim-read: %s\n", text);
	return -1;
}

static int complain_of_unknown(const char *path)
{
	char *line;

	if (asprintf(
		    &line,
		    "wait for %s: found a process that cannot be seen from here (another PID "
		    "namespace), expected a visible one (without --wait the recording is read as it "
		    "is)",
		    path) < 0)
		return -1;
	error_make_printable(line);
	complain(line);
	free(line);
	return -1;
}

/*
 * --wait: folds for a live target until it has ended, and writes the time of the end into its
 * recording. Returns -1 after a message if the process cannot be seen from here.
 */
static int wait_for_end(const char *name)
{
	struct consume c;
	struct attach a;
	unsigned nap_us = 1000;
	bool writes = false, consumes;
	int err = 0;

	if (attach_open(&a, name) < 0)
		return 0; /* sources_read will say why */
	if (a.owner.state == OWNER_UNKNOWN)
		err = complain_of_unknown(a.path);
	/* The target finds out by PID and start time if a claim's holder has died. */
	consumes = owner_shares_namespaces(&a.owner, &a.header) && consume_open(&c, &a) == 0;
	while (a.owner.state == OWNER_RUNS) {
		bool busy = consumes && consume_round(&c);

		nap_us = busy ? 1000 : nap_us < 20000 ? nap_us * 2 : nap_us;
		writes = owner_may_write(&a.owner, a.path);
		usleep(nap_us);
		if (!owner_still_runs(&a.owner))
			break;
	}
	if (consumes) {
		if (writes)
			consume_note_end(&c);
		consume_close(&c);
	}
	attach_close(&a);
	return err;
}

/* Without a visible preamble (-q, or output to a file) losses go to standard error. */
static void warn_of_losses(const struct options *o, const struct source *sources, size_t n)
{
	if (!o->show.quiet && !o->output)
		return;
	for (size_t i = 0; i < n; i++)
		preamble_warn(stderr, &sources[i]);
}

static int list_or_clean(const struct options *o)
{
	const char *dir = sources_dir();
	int err = o->clean ? list_clean(stdout, dir, o->force) : list_print(stdout, dir, o->force);

	if (err)
		fprintf(stderr, "pyshim-read: list %s: %s\n", dir, strerror(-err));
	return err ? EXIT_FAILED : EXIT_OK;
}

/*
 * The sources as they were named, on the command line and in a file. Returns 0, or -1 after a
 * message.
 */
static int collect_names(struct names_list *named, const struct options *o)
{
	int err = 0;

	for (size_t i = 0; i < o->n_sources && !err; i++)
		err = sources_add_name(named, o->source[i]);
	if (err || !o->sources_from)
		return err;
	err = sources_list(named, o->sources_from);
	if (!err && named->n)
		return 0;
	fprintf(stderr,
		"pyshim-read: read sources from %s: found %s, expected names, each ended by NUL\n",
		o->sources_from, err ? strerror(-err) : "none");
	return -1;
}

/* The files that the names stand for at this moment. */
static int find_names(struct names_list *l, const struct names_list *named)
{
	int err = 0;

	for (size_t i = 0; i < named->n && !err; i++)
		err = sources_find(l, named->name[i]);
	if (err)
		fprintf(stderr, "pyshim-read: find recordings: %s\n", strerror(-err));
	return err;
}

static int print_report(const struct reading *r, const struct options *o)
{
	int status = EXIT_OK;
	struct error error = { "" };
	int err = output_write(r, o, &error);

	if (err && err != -EPIPE) { /* a closed pipe is not an error */
		fprintf(stderr, "pyshim-read: write %s: %s\n", o->output ? o->output : "output",
			error_text(&error, err));
		return EXIT_FAILED;
	}
	warn_of_losses(o, r->source, r->n_sources);
	for (size_t i = 0; i < r->n_sources; i++) {
		if (o->strict && source_has_loss(&r->source[i]))
			status = EXIT_LOSS;
	}
	return status;
}

/* Returns 0, or -1 after a message. */
static int check_sort(const struct reading *r, const struct options *o)
{
	for (size_t i = 0; i < r->n_reports; i++) {
		if (o->show.report.select.sort.of_samples && !r->report[i].sum.sampled)
			return complain("sort functions: found a key for samples, expected one for "
					"calls: the first source has no samples");
	}
	return 0;
}

static int copy_source(const struct options *o, const struct names_list *l)
{
	struct error error;

	if (l->n != 1) {
		fprintf(stderr,
			"pyshim-read: copy %s: found %zu recordings, expected one: give its path "
			"instead (--list shows them)\n",
			o->source[0], l->n);
		return EXIT_FAILED;
	}
	if (snapshot_write(o->snapshot, l->name[0], &error))
		return complain(error.text), EXIT_FAILED;
	return EXIT_OK;
}

static int report(const struct options *o, const struct names_list *l)
{
	struct reading r;
	struct error error;
	int err;

	if (!o->show.quiet)
		progress_start();
	for (size_t i = 0; i < l->n; i++)
		progress_expect(l->name[i]);
	err = reading_init(&r, &o->request, l, &error);
	progress_stop();
	if (err)
		complain(error.text);
	else
		err = check_sort(&r, o);
	err = err ? EXIT_FAILED : print_report(&r, o);
	reading_fini(&r);
	return err;
}

/* The browser gets the names, because it looks for the files each time that it reads. */
static int browse_sources(const struct options *o, const struct names_list *named)
{
	const struct browse_options options = { .request = o->request,
						.exceptions = o->show.report.exceptions,
						.quiet = o->show.quiet,
						.verbose = o->show.verbose };

	return browse(named->name, named->n, &options) ? EXIT_FAILED : EXIT_OK;
}

int main(int argc, char **argv)
{
	struct names_list named = { 0 }, l = { 0 };
	struct options o;
	int status;

	signal(SIGPIPE, SIG_IGN);
	status = options_parse(&o, argc, argv);
	if (status >= 0)
		return status;
	if (o.force)
		attach_allow_foreign();
	if (o.calibrate)
		return calibrate(&o.calibration) ? EXIT_FAILED : EXIT_OK;
	if (o.list || o.clean)
		return list_or_clean(&o);
	status = collect_names(&named, &o) || find_names(&l, &named) ? EXIT_FAILED : EXIT_OK;
	if (!status && o.wait) {
		for (size_t i = 0; i < l.n && !status; i++)
			status = wait_for_end(l.name[i]) ? EXIT_FAILED : EXIT_OK;
		sources_free(&l); /* a target that called execve has more recordings now */
		if (!status)
			status = find_names(&l, &named) ? EXIT_FAILED : EXIT_OK;
	}
	if (!status)
		status = o.snapshot ? copy_source(&o, &l)
			 : o.browse ? browse_sources(&o, &named)
				    : report(&o, &l);
	sources_free(&named);
	sources_free(&l);
	return status;
}
