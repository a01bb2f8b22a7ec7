/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log.h"
#include "pyprof/format.h"

struct config config;

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value && strcmp(value, "0") != 0;
}

bool config_disabled(void)
{
	log_set_debug(is_set("PYSHIM_DEBUG"));
	return is_set("PYSHIM_DISABLE");
}

static bool wrong(const char *name, const char *value, const char *expected)
{
	log_error("read %s: found '%.100s', expected %s; the program runs unprofiled", name, value,
		  expected);
	return false;
}

struct choice {
	const char *word;
	int value;
};

/* Stores the value of the choice that the variable names; the first one if it is unset or empty. */
static bool choose(const char *name, const struct choice *choices, const char *expected, int *out)
{
	const char *value = getenv(name);

	if (!value || !*value) {
		*out = choices[0].value;
		return true;
	}
	for (const struct choice *c = choices; c->word; c++) {
		if (!strcmp(value, c->word)) {
			*out = c->value;
			return true;
		}
	}
	return wrong(name, value, expected);
}

/* Reads a number of bytes with an optional suffix K, M or G. */
static bool read_bytes(const char *name, uint64_t preset, uint64_t *out)
{
	const char *value = getenv(name);
	char *end;
	unsigned shift = 0;

	*out = preset;
	if (!value || !*value)
		return true;
	errno = 0;
	unsigned long long n = strtoull(value, &end, 10);
	switch (*end) {
	case 'K':
	case 'k':
		shift = 10;
		break;
	case 'M':
	case 'm':
		shift = 20;
		break;
	case 'G':
	case 'g':
		shift = 30;
		break;
	}
	if (shift)
		end++;
	if (errno || *end || end == value || value[0] < '0' || value[0] > '9' || !n ||
	    n > (1ull << 40) >> shift)
		return wrong(name, value, "a number of bytes from 1 to 1024G, such as 64M");
	*out = (uint64_t)n << shift;
	return true;
}

/*
 * Reads seconds per event, and keeps them in picoseconds: no floating-point state needs to be
 * carried.
 */
static bool read_bias(void)
{
	const char *value = getenv("PYSHIM_BIAS");
	locale_t plain;
	double seconds;
	char *end;

	config.has_bias = false;
	config.bias_ps = 0;
	if (!value || !*value)
		return true;
	/* The program may have set a locale in which numbers have a comma. */
	plain = newlocale(LC_NUMERIC_MASK, "C", NULL);
	seconds = plain ? strtod_l(value, &end, plain) : strtod(value, &end);
	if (plain)
		freelocale(plain);
	if (*end || end == value || !(seconds >= 0 && seconds < 1))
		return wrong("PYSHIM_BIAS", value, "seconds per event from 0 to 1, such as 2.5e-8");
	config.has_bias = true;
	config.bias_ps = (uint64_t)(seconds * 1e12 + 0.5);
	return true;
}

/* The clock and the source of events. */
static bool read_source(void)
{
	const struct choice clock[] = {
		{ pyprof_clock_names(PYPROF_CLOCK_WALL)->setting, CONFIG_CLOCK_WALL },
		{ pyprof_clock_names(PYPROF_CLOCK_CPU)->setting, CONFIG_CLOCK_CPU },
		{ pyprof_clock_names(PYPROF_CLOCK_THREAD)->setting, CONFIG_CLOCK_THREAD },
		{ pyprof_clock_names(PYPROF_CLOCK_COUNT)->setting, CONFIG_CLOCK_COUNT },
		{ 0 }
	};
	const struct choice engine[] = {
		{ "auto", CONFIG_ENGINE_AUTO },
		{ pyprof_engine_name(PYPROF_ENGINE_TRACEFUNC), CONFIG_ENGINE_TRACEFUNC },
		{ pyprof_engine_name(PYPROF_ENGINE_MONITORING), CONFIG_ENGINE_MONITORING },
		{ 0 }
	};
	int chosen_clock, chosen_engine;

	if (!choose("PYSHIM_CLOCK", clock, "wall, cpu or thread", &chosen_clock) ||
	    !choose("PYSHIM_ENGINE", engine, "auto, tracefunc or monitoring", &chosen_engine))
		return false;
	config.clock = (enum config_clock)chosen_clock;
	config.engine = (enum config_engine)chosen_engine;
	return true;
}

bool config_read(void)
{
	static const struct choice overflow[] = { { "fold", PYPROF_OVERFLOW_FOLD },
						  { "block", PYPROF_OVERFLOW_BLOCK },
						  { "drop", PYPROF_OVERFLOW_DROP },
						  { 0 } };
	static const struct choice start[] = { { "main", CONFIG_START_MAIN },
					       { "init", CONFIG_START_INIT },
					       { "off", CONFIG_START_OFF },
					       { 0 } };
	static const struct choice fork[] = { { "follow", 1 }, { "off", 0 }, { 0 } };
	static const struct choice builtins[] = { { "1", 1 }, { "0", 0 }, { 0 } };
	int chosen_start, chosen_fork, chosen_builtins;

	if (!read_bytes("PYSHIM_BUFFER", 64u << 20, &config.buffer_bytes) || !read_bias() ||
	    !choose("PYSHIM_OVERFLOW", overflow, "fold, block or drop", &config.overflow) ||
	    !read_source() || !choose("PYSHIM_START", start, "main, init or off", &chosen_start) ||
	    !choose("PYSHIM_FORK", fork, "follow or off", &chosen_fork) ||
	    !choose("PYSHIM_BUILTINS", builtins, "1 or 0", &chosen_builtins))
		return false;
	config.start = (enum config_start)chosen_start;
	config.fork_follow = chosen_fork;
	config.builtins = chosen_builtins;
	config.dir = getenv("PYSHIM_DIR");
	config.has_dir = config.dir && *config.dir;
	if (!config.has_dir)
		config.dir = "/dev/shm";
	else if (config.dir[0] != '/')
		return wrong("PYSHIM_DIR", config.dir, "an absolute path, such as /dev/shm");
	config.dir = strdup(config.dir);
	return config.dir != NULL;
}
