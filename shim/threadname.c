/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "threadname.h"

#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "names.h"
#include "process.h"
#include "pyapi.h"
#include "pyprof/abi.h"
#include "region.h"
#include "sandbox.h"

/*
 * threading._active[ident]._name: what threading.Thread.name gives, read without calling any
 * Python code. Unknown to `threading` for the first few calls of a thread, so this is asked again
 * at soft stops.
 */
static PyObject *python_name(void)
{
	PyObject *threading = pyapi_module("threading");
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

static void publish(uint32_t number, const char *bytes, size_t n)
{
	struct names_entry e = {
		.kind = PYPROF_NAME_THREAD,
		.number = number,
		.line = sandbox_is_closed() ? 0 : (int32_t)syscall(SYS_gettid),
		.file = { "", 0 },
		.name = { bytes, n },
		.qualname = { "", 0 },
	};

	names_publish(&e);
}

void threadname_publish_native(uint32_t number)
{
	char comm[17] = "MainThread";
	size_t n = strlen(comm);

	/* Not pthread_getname_np(), whose prctl() a filter of system calls may forbid. */
	if (syscall(SYS_gettid) != region.pid)
		n = process_has_descriptors()
			    ? process_read("/proc/thread-self/comm", comm, sizeof(comm))
			    : 0;
	if (n && comm[n - 1] == '\n')
		n--;
	publish(number, comm, n);
}

bool threadname_publish_python(uint32_t number)
{
	struct pyapi_pending pending;
	PyObject *name, *encoded = NULL;
	const char *bytes;
	size_t n;

	pyapi_pending_save(&pending);
	name = python_name();
	if (name) {
		encoded = pyapi_utf8(name, &bytes, &n);
		py.Py_DecRef(name);
	}
	if (encoded) {
		publish(number, bytes, n);
		py.Py_DecRef(encoded);
	}
	pyapi_pending_restore(&pending);
	return encoded != NULL;
}
