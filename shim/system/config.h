/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The settings: PYSHIM_* of the environment. They are read once per process image, by the thread
 * that initialises the first interpreter. Afterwards they are constant, and any thread may read
 * them, with or without the GIL.
 */
#ifndef SHIM_CONFIG_H
#define SHIM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

enum config_start { CONFIG_START_MAIN, CONFIG_START_INIT, CONFIG_START_OFF };
enum config_engine { CONFIG_ENGINE_AUTO, CONFIG_ENGINE_TRACEFUNC, CONFIG_ENGINE_MONITORING };
enum config_clock { CONFIG_CLOCK_WALL, CONFIG_CLOCK_CPU, CONFIG_CLOCK_THREAD, CONFIG_CLOCK_COUNT };

struct config {
	uint64_t buffer_bytes;
	uint64_t bias_ps; /* picoseconds per event */
	const char *dir;
	int overflow; /* enum pyprof_overflow */
	enum config_clock clock;
	enum config_start start;
	enum config_engine engine;
	bool has_bias;
	bool has_dir; /* PYSHIM_DIR was set: if it cannot be used, the user is to be informed */
	bool builtins;
	bool fork_follow;
};

extern struct config config;

/*
 * True if PYSHIM_DISABLE is set. May be called before config_read. Also switches PYSHIM_DEBUG on or
 * off, which counts from here on.
 */
bool config_disabled(void);

/* Fills `config`. False: a value is wrong, and a line on stderr names it; or memory is short. */
bool config_read(void);

#endif
