/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "preamble.h"
#include "pstats.h"
#include "report.h"

static void print_source(FILE *to, const struct source *s, const struct options *o)
{
	preamble_print(to, s, o->verbose || o->check);
	if (o->check)
		preamble_print_checks(to, s);
	fputc('\n', to);
}

static int write_text(FILE *to, const struct options *o, const struct sum *sum,
		      const struct source *sources, size_t n)
{
	struct report_options options = o->report;

	options.total = &sum->total;
	options.sampled = sum->sampled;
	for (size_t i = 0; i < n && (!o->quiet || o->check); i++)
		print_source(to, &sources[i], o);
	if (o->check)
		return 0;
	switch (o->listing) {
	case LISTING_CALLERS:
		return report_callers(to, &sum->profile, &options);
	case LISTING_CALLEES:
		return report_callees(to, &sum->profile, &options);
	case LISTING_FUNCTIONS:
		break;
	}
	return report_print(to, &sum->profile, &options);
}

static int write_json(FILE *to, const struct options *o, const struct sum *sum,
		      const struct source *sources, size_t n)
{
	struct report_options options = o->report;
	struct json_report report = { &sum->profile, &options, SIZE_MAX };

	options.total = &sum->total;
	options.sampled = sum->sampled;
	return json_write(to, sources, n, &report, 1);
}

static int write_to(FILE *to, const struct options *o, const struct sum *sum,
		    const struct source *sources, size_t n)
{
	int err;

	if (o->format == FORMAT_PSTATS)
		err = pstats_write(to, &sum->profile);
	else if (o->format == FORMAT_JSON)
		err = write_json(to, o, sum, sources, n);
	else
		err = write_text(to, o, sum, sources, n);
	if (!err && fflush(to) != 0)
		err = -errno;
	return err;
}

/* Into a new file that takes the name when it is whole: an old one is never left half written. */
static int write_file(const struct options *o, const struct sum *sum, const struct source *sources,
		      size_t n)
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
		err = write_to(to, o, sum, sources, n);
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

int output_write(const struct options *o, const struct sum *sum, const struct source *sources,
		 size_t n)
{
	FILE *to;
	int err;

	if (!o->output)
		return write_to(stdout, o, sum, sources, n);
	if (is_replaceable(o->output))
		return write_file(o, sum, sources, n);
	to = fopen(o->output, "wb");
	if (!to)
		return -errno;
	err = write_to(to, o, sum, sources, n);
	if (fclose(to) != 0 && !err)
		err = -errno;
	return err;
}
