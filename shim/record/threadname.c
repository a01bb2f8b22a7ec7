/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "threadname.h"

#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>

#include "names.h"
#include "pyprof/format.h"
#include "python/pyapi.h"
#include "region.h"
#include "system/libc.h"
#include "system/process.h"

static PyObject *threading_name; /* "threading" */

void threadname_find(void)
{
	threading_name = py.PyUnicode_FromString(
		"threading"); /* an earlier interpreter's no longer exists */
	py.PyErr_Clear();
}

/*
 * Returns sys.modules["threading"], borrowed, or NULL. Makes no object: in a forked child that
 * would copy pages.
 */
static PyObject *find_threading(void)
{
	PyObject *modules = py.PyImport_GetModuleDict();

	return modules && threading_name ? py.PyDict_GetItem(modules, threading_name) : NULL;
}

/*
 * Returns threading._active[ident]._name, which threading.Thread.name returns, without running
 * Python code. `threading` does not know a thread during its first calls, so soft stops ask again.
 */
static PyObject *python_name(void)
{
	PyObject *threading = find_threading();
	PyObject *dict = threading ? py.PyModule_GetDict(threading) : NULL;
	PyObject *active = dict ? py.PyDict_GetItemString(dict, "_active") : NULL;
	PyObject *ident = active ? py.PyLong_FromUnsignedLong((unsigned long)pthread_self()) : NULL;
	PyObject *thread = ident ? py.PyDict_GetItem(active, ident) : NULL;
	PyObject *attr = thread ? py.PyUnicode_FromString("_name") : NULL;
	PyObject *name = NULL;

	/* A class attribute of this name might be a property, which is Python code. */
	if (attr && !py._PyType_Lookup(pyapi_type(thread), attr))
		name = py.PyObject_GenericGetAttr(thread, attr);
	if (attr)
		py.Py_DecRef(attr);
	if (ident)
		py.Py_DecRef(ident);
	py.PyErr_Clear();
	return name;
}

/* Returns the thread's id, read once in each thread. */
static int32_t native_id(void)
{
	static __thread int32_t id __attribute__((tls_model("initial-exec")));
	static __thread int pid __attribute__((tls_model("initial-exec")));

	if (pid != region.pid) {
		id = (int32_t)process_thread_id();
		pid = region.pid; /* a forked child asks again */
	}
	return id;
}

static void publish(uint32_t number, const char *bytes, size_t n)
{
	struct label_entry e = {
		.kind = PYPROF_NAME_THREAD,
		.number = number,
		.line = native_id(),
		.file = { "", 0 },
		.name = { bytes, n },
		.qualname = { "", 0 },
	};

	names_publish(&e);
}

/*
 * Reads the kernel's name of this thread, NUL-terminated, 16 bytes at most. A filter may forbid
 * prctl.
 */
static void read_native_name(char *name, size_t cap)
{
	size_t n;

	if (!process_was_filtered()) {
		if (LIBC(prctl)(PR_GET_NAME, (unsigned long)name, 0, 0, 0) < 0)
			name[0] = '\0';
		return;
	}
	n = process_has_descriptors() ? process_read("/proc/thread-self/comm", name, cap - 1) : 0;
	name[n && name[n - 1] == '\n' ? n - 1 : n] = '\0';
}

void threadname_publish_native(uint32_t number)
{
	char name[32] = "MainThread";

	if (native_id() != region.pid)
		read_native_name(name, sizeof(name));
	publish(number, name, strlen(name));
}

/*
 * The name of this thread when `threading` was asked last. A forked child's thread has the same
 * name.
 */
static __thread struct {
	char bytes[64];
	uint8_t n; /* 0: it did not know the thread, or the name is too long */
	int pid;   /* of the process that asked; 0: none did */
} known __attribute__((tls_model("initial-exec")));

static void keep(const char *bytes, size_t n)
{
	known.n = n <= sizeof(known.bytes) ? (uint8_t)n : 0;
	memcpy(known.bytes, bytes, known.n);
}

bool threadname_publish_python(uint32_t number)
{
	struct pyapi_pending pending;
	PyObject *name, *encoded = NULL;
	const char *bytes;
	bool is_parents = known.pid && known.pid != region.pid;
	size_t n;

	known.pid = region.pid;
	if (is_parents && known.n)
		publish(number, known.bytes, known.n);
	if (is_parents)
		return known.n;
	pyapi_pending_save(&pending);
	name = python_name();
	if (name) {
		encoded = pyapi_utf8(name, &bytes, &n);
		py.Py_DecRef(name);
	}
	if (encoded) {
		publish(number, bytes, n);
		keep(bytes, n);
		py.Py_DecRef(encoded);
	}
	pyapi_pending_restore(&pending);
	return encoded != NULL;
}
