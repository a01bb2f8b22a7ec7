/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "start.h"

#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/hook.h"
#include "engine/spawn.h"
#include "pyprof/order.h"
#include "python/pycode.h"
#include "record/intern.h"
#include "record/recording.h"
#include "record/region.h"
#include "record/thread.h"
#include "record/threadname.h"
#include "session.h"
#include "system/config.h"
#include "system/log.h"

static const struct engine *engine;
static bool waits_for_root; /* an embedding host, which may never run `__main__` */

/* True for the `python` program, which always runs `__main__`; a host of another name may not. */
static bool is_python_program(void)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	const char *name;

	if (n < 0)
		return true;
	exe[n] = '\0';
	name = strrchr(exe, '/');
	return !strncmp(name ? name + 1 : exe, "python", 6);
}

static const struct engine *choose_engine(void)
{
	if (config.engine == CONFIG_ENGINE_TRACEFUNC || !pyapi_has_monitoring())
		return &engine_tracefunc;
	return &engine_monitoring;
}

/* True for the outermost frame of the thread, once the interpreter has started up. */
static bool is_first_root(bool entered)
{
	PyObject *frame, *back;
	bool root;

	if (!py.Py_IsInitialized() ||
	    (!pyapi_module("site") && !(py.Py_NoSiteFlag && *py.Py_NoSiteFlag)))
		return false;
	frame = py.PyEval_GetFrame();
	if (!entered)
		return !frame;
	back = frame ? py.PyObject_GetAttrString(frame, "f_back") : NULL;
	root = back == py._Py_NoneStruct;
	if (back)
		py.Py_DecRef(back);
	else
		py.PyErr_Clear();
	return root;
}

static bool is_due(PyObject *code, PyObject *(*globals)(void *), void *frame, bool entered)
{
	if (pycode_is_module_body(code)) {
		PyObject *main = pyapi_main_globals();

		if (main && globals(frame) == main)
			return true;
	}
	return waits_for_root && is_first_root(entered);
}

static bool begin(void)
{
	return session_begin(engine->id);
}

static const struct engine_wait wait = { .is_due = is_due, .begin = begin };

static void give_up(void)
{
	engine->stop();
}

static const struct recording_upcalls upcalls = {
	.begin_in_child = session_begin_in_child,
	.fork_was_missed = session_fork_was_missed,
	.give_up = give_up,
	.open_frames = hook_open_frames,
	.thread_ends = spawn_unwatch,
};

void start_interpreter(void)
{
	static bool once;
	struct pyapi_pending pending;
	bool ok;

	if (recording.state == RECORDING_OFF)
		return;
	if (!pyapi_layout_holds()) {
		log_debug("this interpreter's objects have an unknown layout: off");
		recording.state = RECORDING_OFF;
		return;
	}
	if (!once) {
		once = true;
		recording_upcalls = upcalls;
		if (!config_read()) {
			recording.state = RECORDING_OFF;
			return;
		}
		thread_init();
		engine = choose_engine();
		waits_for_root = !is_python_program();
	}
	pyapi_pending_save(&pending);
	pyapi_texts_find();
	threadname_find();
	ok = intern_init() && engine->prepare();
	if (ok && config.start == CONFIG_START_INIT)
		ok = begin() && engine->start();
	else if (ok && config.start == CONFIG_START_MAIN)
		ok = engine->arm(&wait);
	py.PyErr_Clear();
	pyapi_pending_restore(&pending);
	log_debug("CPython %s, engine %s: %s", py.Py_GetVersion(), pyprof_engine_name(engine->id),
		  ok ? "ready" : "cannot be used, off");
}

static __attribute__((destructor)) void note_end(void)
{
	thread_note_end();
}

/*
 * Called by the program itself, through ctypes.PyDLL(None), with the GIL held: to start recording
 * with PYSHIM_START=off, and to leave a part out. Return 0, or -1 if there is nothing to start or
 * stop.
 */
__attribute__((visibility("default"))) int pyshim_start(void);
__attribute__((visibility("default"))) int pyshim_stop(void);

int pyshim_start(void)
{
	struct pyapi_pending pending;
	bool ok;

	if (!engine || recording.state == RECORDING_OFF || !pyapi_thread_holding_gil())
		return -1;
	if (recording.state == RECORDING_ON)
		return 0;
	pyapi_pending_save(&pending);
	thread_restart(); /* before the state changes, because a thread may be ending */
	ok = begin() && engine->start();
	if (ok) {
		pyprof_set(&region.header->paused_ticks, 0);
		pyprof_set(&region.header->is_paused, 0);
	}
	pyapi_pending_restore(&pending);
	return ok ? 0 : -1;
}

int pyshim_stop(void)
{
	struct pyapi_pending pending;

	if (!engine || recording.state != RECORDING_ON || !pyapi_thread_holding_gil())
		return -1;
	pyapi_pending_save(&pending);
	engine->stop();
	recording.state = RECORDING_PAUSED;
	thread_note_pause();
	pyprof_set(&region.header->is_paused, 1);
	pyapi_pending_restore(&pending);
	return 0;
}
