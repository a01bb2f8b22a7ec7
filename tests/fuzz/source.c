/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/json.h"
#include "format/preamble.h"
#include "format/report.h"
#include "format/registry.h"
#include "fuzz.h"
#include "load/sources.h"
#include "overhead/calibration.h"
#include "pstats/pstats.h"
#include "pstats/pstats_read.h"

static FILE *nowhere;
static char path[] = "/dev/shm/pyshim-fuzz-XXXXXX";

static void remove_file(void)
{
	unlink(path);
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
	static int fd = -1;

	if (fd < 0) {
		fd = mkstemp(path);
		if (fd < 0 || atexit(remove_file))
			abort();
	}
	if (ftruncate(fd, (off_t)size) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	return path;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_init();
	return 0;
}

void fuzz_init(void)
{
	nowhere = fopen("/dev/null", "w");
	if (!nowhere)
		abort();
}

/* Our own pstats output must be readable. */
static void write_pstats(const struct profile *p)
{
	struct pstats_file f;
	struct profile again;
	char *bytes = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&bytes, &n);

	if (!to || pstats_write(to, p))
		abort();
	fclose(to);
	profile_init(&again);
	if (pstats_read(&f, &again, bytes, n)) {
		fprintf(stderr, "our own pstats file: %s\n", f.error.text);
		abort();
	}
	if (again.n_listed != p->n_listed)
		abort();
	profile_fini(&again);
	free(bytes);
}

static void write_json(struct sum *sum, const struct source *s, const struct report_options *o)
{
	const struct json_report report = { .profile = &sum->profile,
					    .request = sum->request,
					    .options = o };

	json_write(nowhere, s, 1, &report, 1, NULL);
}

/* Writes the newest events, of which there are mostly fewer than `max_events`. */
static void write_chrome(const char *name, const struct request *request, struct source *s)
{
	const struct show show = { .quiet = true };
	struct reading r = { .request = request, .source = s, .n_sources = 1 };
	struct error error;

	if (!timeline_init(&r.timeline, request, s, (char *const *)&name, 1, &error))
		format_find("chrome")->write(nowhere, &r, &show, &error);
	timeline_fini(&r.timeline);
}

static void write_reports(struct sum *sum, const struct source *s, unsigned choice)
{
	struct report_options o = { .total = &sum->total,
				    .sampled = sum->sampled,
				    .select.reverse = choice & 1 };

	preamble_print(nowhere, s, true, true);
	preamble_print_checks(nowhere, s);
	if (choice & 2)
		profile_strip_dirs(&sum->profile);
	switch (choice >> 2 & 3) {
	case 0:
		report_print(nowhere, &sum->profile, &o, NULL);
		break;
	case 1:
		report_callers(nowhere, &sum->profile, &o, NULL);
		report_callees(nowhere, &sum->profile, &o, NULL);
		break;
	case 2:
		write_json(sum, s, &o);
		break;
	case 3:
		write_pstats(&sum->profile);
		break;
	}
}

void fuzz_source(const char *name, unsigned choice)
{
	const bool apart = choice & 32, fewer = choice & 64;
	const struct request request = {
		.bias = choice & 1 ? REQUEST_BIAS_NONE : REQUEST_BIAS_SECONDS,
		.bias_s = 2.5e-8,
		.bare_s = choice & 8 ? 1e-6 : 0,
		.threads = apart,
		.true_calls = apart,
		.by_code = fewer,
		.no_builtins = fewer,
		.max_events = choice & 16 ? 20 : 0,
	};
	struct sum sum = { .request = &request };
	struct source s = { 0 };
	struct error error;

	profile_init(&sum.profile);
	if (!sources_read(&s, name, &sum, &error) && !sources_shape(&sum, &error))
		write_reports(&sum, &s, choice >> 1);
	if (choice & 4)
		write_chrome(name, &request, &s);
	sources_fini(&s);
	profile_fini(&sum.profile);
}

void __wrap_calibration_processor(char *name, size_t cap);

/*
 * The processor's name is not part of the input, and reading /proc/cpuinfo takes longer than the
 * rest.
 */
void __wrap_calibration_processor(char *name, size_t cap)
{
	snprintf(name, cap, "fuzzed");
}
