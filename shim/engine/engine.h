/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Event sources. One file for each; all feed the same hook. All calls need the GIL of the main
 * interpreter and leave no exception behind.
 */
#ifndef SHIM_ENGINE_H
#define SHIM_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

struct engine {
	uint32_t id; /* enum pyprof_engine */
	const char *name;
	/* Once in each interpreter that is initialised, before anything else. */
	bool (*prepare)(void);
	/* Waits for the moment that start_is_due() tells, then records. */
	bool (*arm)(void);
	/* Records from now on, in every thread. */
	bool (*start)(void);
	/* No more events. */
	void (*stop)(void);
};

extern const struct engine engine_tracefunc;
extern const struct engine engine_monitoring;

#endif
