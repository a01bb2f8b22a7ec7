/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * no_python: looks like an interpreter of the version VERSION (a macro), but is not one. Prints
 * whether its table of modules has been replaced.
 */
#include <stdio.h>

#define NAME(name)       \
	void name(void); \
	void name(void)  \
	{                \
	}
#include "names.h"

struct inittab {
	const char *name;
	void *(*init)(void);
};

static void *init_marshal(void)
{
	return NULL;
}

static struct inittab table[] = { { "marshal", init_marshal }, { NULL, NULL } };
struct inittab *PyImport_Inittab = table;

const char *Py_GetVersion(void);
const char *Py_GetVersion(void)
{
	return VERSION;
}

int main(void)
{
	puts(PyImport_Inittab == table ? "left alone" : "patched");
	return 0;
}
