/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interface of an event source. Each has a file, and all call the same hook. All functions need
 * the GIL of the main interpreter; any thread may call them. They must leave no exception behind.
 */
#ifndef SHIM_ENGINE_H
#define SHIM_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "python/pyapi.h"

/* Functions of session/ that an engine calls while it waits. */
struct engine_wait {
	/*
	 * True if recording begins with this frame, which has just been entered (`entered`), or is
	 * about to be. `globals` returns the frame's globals, and is called only if needed.
	 */
	bool (*is_due)(PyObject *code, PyObject *(*globals)(void *), void *frame, bool entered);
	/* Makes the recording. False: the engine must stop. */
	bool (*begin)(void);
};

struct engine {
	uint32_t id; /* enum pyprof_engine */
	/*
	 * Called once in each interpreter that is initialised, before the other functions. False:
	 * the engine cannot be used.
	 */
	bool (*prepare)(void);
	/*
	 * Waits until `wait` reports that recording is due, then records. `wait` must stay valid.
	 */
	bool (*arm)(const struct engine_wait *wait);
	/* Records from now on, in every thread. False: it failed. */
	bool (*start)(void);
	/* Stops the events. */
	void (*stop)(void);
};

extern const struct engine engine_tracefunc;
extern const struct engine engine_monitoring;

#endif
