/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The label of a function, as reports print it: read from the interpreter's objects without running
 * Python code. Called with the GIL by the thread that had the event. The caller keeps the pending
 * exception.
 */
#ifndef SHIM_LABEL_H
#define SHIM_LABEL_H

#include <stddef.h>
#include <stdint.h>

#include "pyapi.h"

/* The texts and numbers of a function or a thread in the name table. */
struct label_text {
	const char *bytes;
	size_t n;
};

struct label_entry {
	uint16_t kind;	/* enum pyprof_name_kind */
	uint16_t flags; /* PYPROF_NAME_* */
	uint32_t number;
	int32_t line;
	uint32_t code_bytes;
	struct label_text file, name, qualname;
};

/* The texts of `entry` point into the objects kept here, until label_fini. */
#define LABEL_TEXT_BYTES 512

struct label {
	struct label_entry entry;
	PyObject *kept[3];
	char text[2][LABEL_TEXT_BYTES];
};

/*
 * Reads co_filename, co_firstlineno, co_name, co_qualname (3.11+) and the length of the bytecode.
 */
void label_of_code(struct label *l, PyObject *code);

/*
 * Makes cProfile's label of a C function (Modules/_lsprof.c, normalizeUserObj). It is equal byte
 * for byte, with two exceptions: it has no address, and it does not depend on the first caller. A
 * method is named after the type that has the function, while cProfile looks the name up in the
 * type of the first object. If cProfile's own text is another, it is the entry's `file`.
 */
void label_of_c(struct label *l, const struct py_method_def *def, PyObject *self, PyObject *module);

void label_fini(struct label *l);

#endif
