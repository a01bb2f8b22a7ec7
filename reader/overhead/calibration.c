/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calibration.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pyprof/format.h"

#define MAGIC "pyshim calibration 6"

_Static_assert((int)OVERHEAD_PYTHON == PYPROF_OVERHEAD_PYTHON &&
		       (int)OVERHEAD_C == PYPROF_OVERHEAD_C &&
		       (int)OVERHEAD_DIRECT == PYPROF_OVERHEAD_DIRECT &&
		       (int)OVERHEAD_EXCEPTION == PYPROF_OVERHEAD_EXCEPTION,
	       "the first kinds are those that recordings have weights of");

#define CALL true
#define EXTRA false
#define CALLEE true
#define CALLER false
#define KIND(id, name, title, loop, less, attributed, engines, prior, payer, count) \
	[OVERHEAD_##id] = { name, title, prior, payer },
const struct overhead_kind overhead_kind[OVERHEAD_KINDS] = {
#include "kinds.def"
};
#undef KIND

void calibration_from_bias(struct calibration *c, double seconds_per_event)
{
	struct overhead each = { .in_s = seconds_per_event, .out_s = seconds_per_event };

	memset(c, 0, sizeof(*c));
	c->overhead[0] = c->overhead[1] = each;
	c->bytecode = 1;
}

double calibration_largeness(bool monitoring, uint32_t code_bytes)
{
	if (monitoring)
		return code_bytes > 256 ? 1 - 256.0 / code_bytes : 0;
	return code_bytes < 8192 ? code_bytes / 1024.0 : 8;
}

double calibration_bias(const struct calibration *c)
{
	return (c->overhead[0].in_s + c->overhead[0].out_s) / 2;
}

double calibration_disturbed(const struct calibration_quality *q)
{
	uint64_t n = q->n_waited + q->n_slower + q->n_crowded;

	return q->n_slices ? (double)n / (double)q->n_slices : 0;
}

void calibration_processor(char *name, size_t cap)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[512], *value;

	snprintf(name, cap, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		value = strchr(line, ':');
		if (strncmp(line, "model name", 10) || !value)
			continue;
		value += strspn(value, ": \t");
		value[strcspn(value, "\n")] = '\0';
		snprintf(name, cap, "%s", value);
		break;
	}
	if (f)
		fclose(f);
}

/* --- files ------------------------------------------------------------------------------------ */

static uint64_t hash_text(uint64_t h, const char *text)
{
	/* FNV-1a: Fowler, Noll, Vo */
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3ull;
	return (h ^ '\n') * 0x100000001b3ull;
}

char *calibration_path(const struct calibration_key *key)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	uint64_t h = 0xcbf29ce484222325ull;
	char *path;
	int n;

	h = hash_text(h, key->python);
	h = hash_text(h, key->engine);
	h = hash_text(h, key->shim);
	h = hash_text(h, key->processor);
	h = hash_text(h, key->clock);
	if (config && *config == '/')
		n = asprintf(&path, "%s/pyshim/calibration-%016" PRIx64, config, h);
	else if (home && *home)
		n = asprintf(&path, "%s/.config/pyshim/calibration-%016" PRIx64, home, h);
	else
		return NULL;
	return n < 0 ? NULL : path;
}

static void read_quality(struct calibration_quality *q, const char *name, const char *value)
{
	if (!strcmp(name, "trusted")) {
		q->known = true;
		q->trusted = !strcmp(value, "yes");
	}
	if (!strcmp(name, "slices"))
		q->n_slices = strtoull(value, NULL, 10);
	if (!strcmp(name, "waited"))
		q->n_waited = strtoull(value, NULL, 10);
	if (!strcmp(name, "slower"))
		q->n_slower = strtoull(value, NULL, 10);
	if (!strcmp(name, "crowded"))
		q->n_crowded = strtoull(value, NULL, 10);
	if (!strcmp(name, "others"))
		q->others = strtod(value, NULL);
	if (!strcmp(name, "steal"))
		q->steal = strtod(value, NULL);
	if (!strcmp(name, "throttled"))
		q->throttled = strtod(value, NULL);
	if (!strcmp(name, "reference"))
		q->reference_s = strtod(value, NULL) * 1e-9;
}

/* A line "name value". Unknown names are ignored: newer versions may add some. */
static void read_line(struct calibration *c, const char *name, const char *value)
{
	const struct {
		const char *name;
		char *text;
		size_t cap;
	} texts[] = {
		{ "interpreter", c->key.python, sizeof(c->key.python) },
		{ "engine", c->key.engine, sizeof(c->key.engine) },
		{ "shim", c->key.shim, sizeof(c->key.shim) },
		{ "processor", c->key.processor, sizeof(c->key.processor) },
		{ "clock", c->key.clock, sizeof(c->key.clock) },
	};
	double in, out, spread;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!strcmp(name, texts[i].name))
			snprintf(texts[i].text, texts[i].cap, "%s", value);
	}
	for (int i = 0; i < OVERHEAD_KINDS; i++) {
		if (!strcmp(name, overhead_kind[i].name) &&
		    sscanf(value, "%lf %lf %lf", &in, &out, &spread) == 3)
			c->overhead[i] = (struct overhead){ in * 1e-9, out * 1e-9, spread * 1e-9 };
	}
	if (!strcmp(name, "bytecode"))
		c->bytecode = strtod(value, NULL);
	if (!strcmp(name, "cold"))
		c->cold = strtod(value, NULL) * 1e-9;
	if (!strcmp(name, "error"))
		c->error = strtod(value, NULL);
	if (!strcmp(name, "made"))
		c->made = strtoll(value, NULL, 10);
	if (!strcmp(name, "calls"))
		c->n_calls = strtoull(value, NULL, 10);
	if (!strcmp(name, "rounds"))
		c->n_rounds = strtoull(value, NULL, 10);
	read_quality(&c->quality, name, value);
}

static int is_sensible_quality(const struct calibration_quality *q)
{
	return q->n_waited <= q->n_slices && q->n_slower <= q->n_slices - q->n_waited &&
	       q->n_crowded <= q->n_slices - q->n_waited - q->n_slower && q->others >= 0 &&
	       q->others <= 1 && q->steal >= 0 && q->steal <= 1 && q->throttled >= 0 &&
	       q->throttled <= 1 && q->reference_s >= 0 && q->reference_s < 1;
}

/* A file outside of these limits is not a calibration: its numbers must not make times infinite. */
static int is_sensible(const struct calibration *c)
{
	for (int i = 0; i < OVERHEAD_KINDS; i++) {
		const struct overhead *each = &c->overhead[i];

		if (!(each->in_s > -1 && each->in_s < 1 && each->out_s > -1 && each->out_s < 1))
			return 0;
	}
	if (!is_sensible_quality(&c->quality))
		return 0;
	return c->bytecode >= 1 && c->bytecode < 1000 && c->cold >= 0 && c->cold < 1 &&
	       c->error >= 0 && c->error < 1000;
}

int calibration_load(struct calibration *c, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512];
	int err = 0;

	memset(c, 0, sizeof(*c));
	if (!f)
		return -errno;
	c->cold = NAN; /* a file without it is not sensible; the same for in_s */
	for (int i = 0; i < OVERHEAD_KINDS; i++)
		c->overhead[i].in_s = NAN;
	if (!fgets(line, sizeof(line), f) || strcmp(line, MAGIC "\n"))
		err = -EINVAL;
	while (!err && fgets(line, sizeof(line), f)) {
		char *value = line + strcspn(line, " \n");

		value[strcspn(value, "\n")] = '\0';
		if (*value)
			*value++ = '\0';
		read_line(c, line, value);
	}
	fclose(f);
	return !err && !is_sensible(c) ? -EINVAL : err;
}

static int make_folder_of(const char *path)
{
	char *folder = strdup(path);
	int err = folder ? 0 : -ENOMEM;

	for (char *at = folder; !err && (at = strchr(at + 1, '/'));) {
		*at = '\0';
		if (mkdir(folder, 0700) < 0 && errno != EEXIST)
			err = -errno;
		*at = '/';
	}
	free(folder);
	return err;
}

static void write_quality(FILE *f, const struct calibration_quality *q)
{
	fprintf(f,
		"trusted %s\nslices %" PRIu64 "\nwaited %" PRIu64 "\nslower %" PRIu64
		"\ncrowded %" PRIu64 "\nothers %.4f\nsteal %.4f\nthrottled %.4f\nreference %.1f\n",
		q->trusted ? "yes" : "no", q->n_slices, q->n_waited, q->n_slower, q->n_crowded,
		q->others, q->steal, q->throttled, q->reference_s * 1e9);
}

int calibration_save(const struct calibration *c, const char *path)
{
	char *temporary;
	int err = make_folder_of(path);
	FILE *f;

	if (err)
		return err;
	if (asprintf(&temporary, "%s.%ld", path, (long)getpid()) < 0)
		return -ENOMEM;
	f = fopen(temporary, "we");
	err = f ? 0 : -errno;
	if (f) {
		fprintf(f,
			MAGIC "\ninterpreter %s\nengine %s\nshim %s\nprocessor %s\nclock %s\n"
			      "made %" PRId64 "\ncalls %" PRIu64 "\nrounds %" PRIu64 "\n",
			c->key.python, c->key.engine, c->key.shim, c->key.processor, c->key.clock,
			c->made, c->n_calls, c->n_rounds);
		for (int i = 0; i < OVERHEAD_KINDS; i++)
			fprintf(f, "%s %.3f %.3f %.3f\n", overhead_kind[i].name,
				c->overhead[i].in_s * 1e9, c->overhead[i].out_s * 1e9,
				c->overhead[i].spread_s * 1e9);
		fprintf(f, "cold %.5f\nbytecode %.4f\nerror %.4f\n", c->cold * 1e9, c->bytecode,
			c->error);
		if (c->quality.known)
			write_quality(f, &c->quality);
		if (ferror(f))
			err = -EIO;
		if (fclose(f) && !err)
			err = -errno;
		if (!err && rename(temporary, path) < 0)
			err = -errno;
		if (err)
			unlink(temporary);
	}
	free(temporary);
	return err;
}
