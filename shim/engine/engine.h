/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Event sources. One file for each; all feed the same hook. All calls need the GIL of the main
 * interpreter and leave no exception behind.
 */
#ifndef SHIM_ENGINE_H
#define SHIM_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "python/pyapi.h"

/* What an engine that waits asks of session/. */
struct engine_wait {
	/*
	 * Whether recording begins with this frame, which has just been entered, or is about to be.
	 * `globals` gives the frame's globals, and is called only where that matters.
	 */
	bool (*is_due)(PyObject *code, PyObject *(*globals)(void *), void *frame, bool entered);
	/* Makes the recording. False: the engine is to stop. */
	bool (*begin)(void);
};

struct engine {
	uint32_t id; /* enum pyprof_engine */
	const char *name;
	/* Once in each interpreter that is initialised, before anything else. */
	bool (*prepare)(void);
	/* Waits until `wait` says that recording is due, then records. `wait` must stay valid. */
	bool (*arm)(const struct engine_wait *wait);
	/* Records from now on, in every thread. */
	bool (*start)(void);
	/* No more events. */
	void (*stop)(void);
};

extern const struct engine engine_tracefunc;
extern const struct engine engine_monitoring;

#endif
