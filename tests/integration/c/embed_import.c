/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* embed_import MODULE FUNCTION CALLS: calls MODULE.FUNCTION(i), and runs no code in __main__. */
#include <Python.h>

int main(int argc, char **argv)
{
	PyObject *module, *result;
	int failed = 0;

	if (argc != 4)
		return 2;
	Py_Initialize();
	module = PyImport_ImportModule(argv[1]);
	for (int i = 0; module && i < atoi(argv[3]); i++) {
		result = PyObject_CallMethod(module, argv[2], "i", i);
		failed |= !result;
		Py_XDECREF(result);
	}
	failed |= !module;
	if (PyErr_Occurred())
		PyErr_Print();
	Py_XDECREF(module);
	return Py_FinalizeEx() || failed;
}
