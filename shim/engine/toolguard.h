/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * 3.12 and later: the functions of sys.monitoring, when the program uses them on the shim's tool.
 * The interpreter's own PyMethodDef is changed so that they are called through the shim, in every
 * interpreter of the process. Only calls for our tool in the main interpreter are handled. Owns the
 * list of these functions; monitoring.c owns the tool.
 *
 * Called by any thread with the GIL of the current interpreter. The program must get the function's
 * own result, with one exception: it never gets our callbacks, which only the interpreter may call.
 */
#ifndef SHIM_TOOLGUARD_H
#define SHIM_TOOLGUARD_H

#include <stdbool.h>

#include "python/pyapi.h"

#define GUARD_NONE -3 /* no tool to guard */

struct guard {
	/* Returns our tool's id, -1 if we have none for now, or GUARD_NONE. */
	int (*tool)(void);
	/* True if this is one of our callbacks. */
	bool (*is_ours)(const PyObject *callback);
	/* Called when the program is about to take our id for its own tool. */
	void (*give_way)(PyObject *monitoring);
	/*
	 * Called when the program has changed our tool, or another one while we have none. No
	 * exception is pending.
	 */
	void (*restore)(PyObject *monitoring);
};

/* Called once in each interpreter that is initialised. `guard` must stay valid. */
void guard_monitoring(PyObject *monitoring, const struct guard *guard);

/* True while the engine itself uses these functions. */
extern __thread bool guard_is_off __attribute__((tls_model("initial-exec"), visibility("hidden")));

#endif
