/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The settings: PYSHIM_* of the environment, read once per process image, when an interpreter
 * has been found. Constant afterwards.
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
	bool has_dir; /* PYSHIM_DIR was set: that it cannot be used is the user's to know */
	bool builtins;
	bool fork_follow;
};

extern struct config config;

/* PYSHIM_DISABLE; needs nothing to be read before. From here on PYSHIM_DEBUG counts. */
bool config_disabled(void);

/* Fills `config`. False: a value is wrong, and one line on stderr has said which. */
bool config_read(void);

#endif
