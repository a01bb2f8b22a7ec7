/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Minimal hooks on the event source that the shim would use. The `floor` hooks do nothing: their
 * overhead is what the interpreter itself takes to report events. The `stamp` hooks store the
 * processor's counter, 8 bytes an event, in shared memory that is allocated on first use: a lower
 * bound for any recorder.
 *
 * tests/bench/target.py opens this library with ctypes.PyDLL and calls floor_start() or
 * stamp_start() with the GIL held; on 3.8 to 3.11 in each thread. It does not include Python.h: one
 * object serves all versions, and the C-API is resolved in the interpreter that opens it.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define STAMP_BYTES (4ull << 30) /* of address space */
#define STEP_BYTES (4u << 20)

typedef struct _object PyObject;

extern PyObject _Py_NoneStruct;
const char *Py_GetVersion(void);
void PyEval_SetProfile(int (*f)(PyObject *, PyObject *, int, PyObject *), PyObject *arg);
PyObject *PySys_GetObject(const char *name);
PyObject *PyType_FromSpec(void *spec);
PyObject *PyVectorcall_Call(PyObject *f, PyObject *tuple, PyObject *names);
PyObject *PyObject_CallObject(PyObject *f, PyObject *args);
PyObject *PyObject_CallMethod(PyObject *o, const char *name, const char *format, ...);
PyObject *PyObject_GetAttrString(PyObject *o, const char *name);
long PyLong_AsLong(PyObject *o);

int floor_start(void);
int stamp_start(void);

static uint64_t *stamp, *stamp_end;
static int stamps_fd;
static char *stamps;

static __attribute__((noinline, cold)) void reserve(void)
{
	off_t at = (char *)stamp_end - stamps;

	if (posix_fallocate(stamps_fd, at, STEP_BYTES))
		abort();
	madvise(stamp_end, STEP_BYTES, MADV_POPULATE_WRITE);
	stamp_end += STEP_BYTES / sizeof(*stamp_end);
}

static inline __attribute__((always_inline)) void put_stamp(void)
{
	if (__builtin_expect(stamp == stamp_end, 0))
		reserve();
	*stamp++ = __rdtsc();
}

static int map_stamps(void)
{
	stamps_fd = memfd_create("stamps", MFD_CLOEXEC);
	stamps = mmap(NULL, STAMP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, stamps_fd, 0);
	if (stamps == MAP_FAILED)
		return -1;
	stamp = stamp_end = (uint64_t *)stamps;
	return 0;
}

static int on_profile_stamp(PyObject *self, PyObject *frame, int what, PyObject *arg)
{
	(void)self;
	(void)frame;
	(void)what;
	(void)arg;
	put_stamp();
	return 0;
}

static PyObject *on_event_stamp(PyObject *self, PyObject *const *args, size_t nargs,
				PyObject *names)
{
	(void)self;
	(void)args;
	(void)nargs;
	(void)names;
	put_stamp();
	return &_Py_NoneStruct;
}

static int on_profile(PyObject *self, PyObject *frame, int what, PyObject *arg)
{
	(void)self;
	(void)frame;
	(void)what;
	(void)arg;
	return 0;
}

/* No reference counting: None is immortal in each version that has sys.monitoring. */
static PyObject *on_event(PyObject *self, PyObject *const *args, size_t nargs, PyObject *names)
{
	(void)self;
	(void)args;
	(void)nargs;
	(void)names;
	return &_Py_NoneStruct;
}

typedef PyObject *(*callback)(PyObject *, PyObject *const *, size_t, PyObject *);

struct callable {
	size_t refcount;
	PyObject *type;
	callback call;
};

/* The same as in shim/engine/monitoring.c. The numbers are from typeslots.h and descrobject.h. */
static PyObject *new_callable(callback call)
{
	static struct {
		const char *name;
		int type;
		ptrdiff_t offset;
		int flags;
		const char *doc;
	} members[] = { { "__vectorcalloffset__", 19, offsetof(struct callable, call), 1, NULL },
			{ NULL, 0, 0, 0, NULL } };
	struct {
		int id;
		void *value;
	} slots[] = { { 50, (void *)PyVectorcall_Call }, { 72, members }, { 0, NULL } };
	struct {
		const char *name;
		int basicsize, itemsize;
		unsigned flags;
		void *slots;
	} spec = { "floor.callback", sizeof(struct callable), 0, 1u << 11, slots };
	PyObject *type = PyType_FromSpec(&spec);
	PyObject *f = type ? PyObject_CallObject(type, NULL) : NULL;

	if (f)
		((struct callable *)f)->call = call;
	return f;
}

static int start_monitoring(callback call)
{
	static const char *const names[] = {
		"PY_START",  "PY_RESUME", "PY_THROW", "PY_RETURN", "PY_YIELD",
		"PY_UNWIND", "CALL",	  "C_RETURN", "C_RAISE",
	};
	PyObject *m = PySys_GetObject("monitoring");
	PyObject *events = m ? PyObject_GetAttrString(m, "events") : NULL;
	const int tool = 4;
	long all = 0;

	if (!events || !PyObject_CallMethod(m, "use_tool_id", "is", tool, "floor"))
		return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		PyObject *event = PyObject_GetAttrString(events, names[i]);
		PyObject *f = new_callable(call);
		long bit = event ? PyLong_AsLong(event) : -1;

		if (bit <= 0 || !f ||
		    !PyObject_CallMethod(m, "register_callback", "ilO", tool, bit, f))
			return -1;
		all |= bit;
	}
	return PyObject_CallMethod(m, "set_events", "il", tool, all) ? 0 : -1;
}

static int has_monitoring(void)
{
	return atoi(Py_GetVersion() + 2) >= 12; /* "3.12..." */
}

/* Returns 0, or -1 with an exception set. */
int floor_start(void)
{
	if (has_monitoring())
		return start_monitoring(on_event);
	PyEval_SetProfile(on_profile, NULL);
	return 0;
}

/* Returns the same. */
int stamp_start(void)
{
	if (!stamps && map_stamps())
		abort();
	if (has_monitoring())
		return start_monitoring(on_event_stamp);
	PyEval_SetProfile(on_profile_stamp, NULL);
	return 0;
}
