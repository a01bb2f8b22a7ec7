/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A shared object that is linked to libpython and runs Python source; see plugin_host.c. */
#include <Python.h>

int plugin_run(const char *source)
{
	Py_Initialize();
	return PyRun_SimpleString(source) || Py_FinalizeEx();
}
