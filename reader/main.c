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
#include "profile.h"
#include "pstats.h"
#include "rebuild.h"
#include "report.h"
#include "ticks.h"

/* What is known of one source when it has been read. */
struct source {
	struct pyprof_header header;
	struct rebuild_summary summary;
	uint64_t n_lost[PYPROF_LOST_CAUSES];
	uint64_t n_bad;
	double seconds_per_tick;
	const char *name;
	bool live;
};

static const char *const loss_text[PYPROF_LOST_CAUSES] = {
	"events lost: the buffer was full (PYSHIM_BUFFER)",
	"events lost: the file could not grow",
	"events lost: a reader held the ring and did not go on",
	"events lost: unknown cause",
};

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
	s->name = name;
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
		fprintf(stderr, "pyshim-read: read %s: %s\n", name, strerror(-err));
		return -1;
	}
	return 0;
}

static bool has_loss(const struct source *s)
{
	uint64_t n = s->n_bad + s->summary.n_lost_here + s->summary.n_closed + s->header.n_unnamed +
		     s->summary.n_gaps + s->summary.n_blind_ends;

	for (int i = 0; i < PYPROF_LOST_CAUSES; i++)
		n += s->n_lost[i];
	return n != 0;
}

/* --- preamble ---------------------------------------------------------------------------------------- */

static void print_command(FILE *to, const struct pyprof_header *h)
{
	uint32_t n = h->cmdline_bytes < sizeof(h->cmdline) ? h->cmdline_bytes : sizeof(h->cmdline);

	fputs("  command: ", to);
	for (uint32_t i = 0; i + 1 < n; i++) {
		unsigned char c = (unsigned char)h->cmdline[i];

		fputc(c ? c < ' ' || c == 127 ? '?' : c : ' ', to);
	}
	fputc('\n', to);
}

static const char *clock_name(uint32_t clock)
{
	static const char *const name[] = { "?",
					    "wall clock",
					    "wall clock",
					    "process CPU time",
					    "thread CPU time",
					    "counted events" };

	return name[clock];
}

static void print_line_of(FILE *to, uint64_t n, const char *text)
{
	if (n)
		fprintf(to, "  %" PRIu64 " %s\n", n, text);
}

static void print_losses(FILE *to, const struct source *s)
{
	for (int i = 0; i < PYPROF_LOST_CAUSES; i++)
		print_line_of(to, s->n_lost[i], loss_text[i]);
	print_line_of(to, s->n_bad, "places of the file made no sense; what lay behind them is lost");
	print_line_of(to, s->summary.n_lost_here, "events lost: out of memory here");
	print_line_of(to, s->header.n_unnamed, "functions without a name: no space for it was left");
	print_line_of(to, s->summary.n_closed,
		      "calls whose return is missing, ended with their caller");
	if (s->summary.n_gaps)
		fprintf(to, "  %.3f s in %" PRIu64 " gaps were not seen: the program had the profile "
			    "hook for itself\n",
			(double)s->summary.gap_ticks * s->seconds_per_tick, s->summary.n_gaps);
	print_line_of(to, s->summary.n_blind_ends,
		      "threads were not seen after a call that took the profile hook");
	print_line_of(to, s->summary.n_open, "calls were running at the end and are counted up to it");
}

static void print_preamble(FILE *to, const struct source *s, bool verbose)
{
	const struct pyprof_header *h = &s->header;
	const struct rebuild_summary *sum = &s->summary;
	double seconds = (double)(sum->last_ticks - sum->first_ticks) * s->seconds_per_tick;
	int words = (int)strcspn(h->python, " ");

	fprintf(to, "pyshim: %s: CPython %.*s, process %u%s%s\n", s->name, words, h->python, h->pid,
		h->forked ? " (forked)" : "", s->live ? ", still running" : "");
	print_command(to, h);
	fprintf(to, "  %.3f s recorded, %" PRIu64 " events, %zu thread%s, %s; raw times, no bias "
		    "removed\n",
		seconds, sum->n_events, sum->n_threads, sum->n_threads == 1 ? "" : "s",
		clock_name(h->clock));
	if (verbose) {
		fprintf(to, "  %s; engine %s; parent %u; %s\n", h->shim,
			h->engine == PYPROF_ENGINE_MONITORING ? "monitoring" : "tracefunc",
			h->parent_pid, h->builtins ? "C functions too" : "no C functions");
		print_line_of(to, sum->n_unmatched,
			      "returns from functions that were entered before recording began");
	}
	if (s->seconds_per_tick == 0)
		fputs("  times are unknown: the recording holds no second pair of clocks\n", to);
	print_losses(to, s);
	fputc('\n', to);
}

/* --- output ------------------------------------------------------------------------------------------- */

static int write_text(FILE *to, const struct options *o, const struct profile *p,
		      const struct source *sources)
{
	for (size_t i = 0; i < o->n_sources && (!o->quiet || o->check); i++)
		print_preamble(to, &sources[i], o->verbose || o->check);
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
		    const struct source *sources)
{
	int err = o->format == FORMAT_PSTATS ? pstats_write(to, p) : write_text(to, o, p, sources);

	if (!err && fflush(to) != 0)
		err = -errno;
	return err;
}

/* Into a new file that takes the name when it is whole: an old one is never left half written. */
static int write_file(const struct options *o, const struct profile *p, const struct source *sources)
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
		err = write_to(to, o, p, sources);
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
			const struct source *sources)
{
	FILE *to;
	int err;

	if (!o->output)
		return write_to(stdout, o, p, sources);
	if (is_replaceable(o->output))
		return write_file(o, p, sources);
	to = fopen(o->output, "wb");
	if (!to)
		return -errno;
	err = write_to(to, o, p, sources);
	if (fclose(to) != 0 && !err)
		err = -errno;
	return err;
}

/* Losses go where they are seen, also where the output is a file or the preamble is left out. */
static void warn_of_losses(const struct options *o, const struct source *sources)
{
	if (!o->quiet && !o->output)
		return;
	for (size_t i = 0; i < o->n_sources; i++) {
		if (!has_loss(&sources[i]))
			continue;
		fprintf(stderr, "pyshim-read: read %s: found losses, expected none:\n",
			sources[i].name);
		print_losses(stderr, &sources[i]);
	}
}

static int list_or_clean(const struct options *o)
{
	const char *dir = getenv("PYSHIM_DIR");
	int err;

	if (!dir || !*dir)
		dir = "/dev/shm";
	err = o->clean ? list_clean(o->quiet ? fopen("/dev/null", "w") : stdout, dir)
		       : list_print(stdout, dir);
	if (err)
		fprintf(stderr, "pyshim-read: list %s: %s\n", dir, strerror(-err));
	return err ? EXIT_FAILED : EXIT_OK;
}

int main(int argc, char **argv)
{
	struct options o;
	struct profile p;
	struct source *sources;
	int status = options_parse(&o, argc, argv);
	int err = 0;

	if (status >= 0)
		return status;
	signal(SIGPIPE, SIG_IGN);
	if (o.list || o.clean)
		return list_or_clean(&o);
	profile_init(&p);
	sources = calloc(o.n_sources, sizeof(*sources));
	status = sources ? EXIT_OK : EXIT_FAILED;
	for (size_t i = 0; i < o.n_sources && !status; i++) {
		if (o.wait)
			wait_for_end(o.source[i]);
		if (read_source(&sources[i], o.source[i], &p) < 0)
			status = EXIT_FAILED;
	}
	if (!status) {
		err = write_output(&o, &p, sources);
		if (err && err != -EPIPE) {
			fprintf(stderr, "pyshim-read: write %s: %s\n", o.output ? o.output : "output",
				strerror(-err));
			status = EXIT_FAILED;
		}
	}
	if (!status) {
		warn_of_losses(&o, sources);
		for (size_t i = 0; i < o.n_sources; i++) {
			if (o.strict && has_loss(&sources[i]))
				status = EXIT_LOSS;
		}
	}
	free(sources);
	profile_fini(&p);
	return status;
}
