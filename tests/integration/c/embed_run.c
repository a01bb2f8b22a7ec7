/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * embed_run ROUNDS SOURCE: starts an interpreter for each round, and runs SOURCE in its __main__.
 */
#include <Python.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	for (int i = atoi(argv[1]); i > 0; i--) {
		Py_Initialize();
		if (PyRun_SimpleString(argv[2]))
			return 1;
		if (Py_FinalizeEx())
			return 1;
	}
	return 0;
}
