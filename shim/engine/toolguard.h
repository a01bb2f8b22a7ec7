/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * 3.12 and later: the functions of sys.monitoring, when the program uses them on the shim's tool.
 * They are called through functions of ours, by the interpreter's own PyMethodDef, in every
 * interpreter of the process; only what is done with our tool in the main interpreter is looked at.
 * Owns which functions these are; monitoring.c owns the tool.
 *
 * The GIL of the interpreter at hand is needed. What the program gets is what the function gives,
 * with one exception: it never gets our callbacks, which must not be called by anybody else.
 */
#ifndef SHIM_TOOLGUARD_H
#define SHIM_TOOLGUARD_H

#include <stdbool.h>

#include "python/pyapi.h"

#define GUARD_NONE -3 /* there is nothing to look after */

struct guard {
	/* Our tool's id, -1 where we have none for now, or GUARD_NONE. */
	int (*tool)(void);
	/* Whether this is one of our callbacks. */
	bool (*is_ours)(const PyObject *callback);
	/* The program is about to take our id for a tool of its own. */
	void (*give_way)(PyObject *monitoring);
	/*
	 * The program has changed our tool, or another one while we have none. No exception is
	 * pending.
	 */
	void (*restore)(PyObject *monitoring);
};

/* Once in each interpreter that is initialised. `guard` is kept. */
void guard_monitoring(PyObject *monitoring, const struct guard *guard);

/* While the engine itself uses these functions. */
extern __thread bool guard_is_off __attribute__((tls_model("initial-exec"), visibility("hidden")));

#endif
