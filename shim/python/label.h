/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a function is called in a report: read from the interpreter's objects, without running any
 * Python code. Needs the GIL; the pending exception is the caller's to keep.
 */
#ifndef SHIM_LABEL_H
#define SHIM_LABEL_H

#include <stddef.h>
#include <stdint.h>

#include "pyapi.h"

/* What the name table holds of a function or a thread. */
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

/* `entry` points into the objects kept here, until label_fini. */
#define LABEL_TEXT_BYTES 512

struct label {
	struct label_entry entry;
	PyObject *kept[3];
	char text[2][LABEL_TEXT_BYTES];
};

/* co_filename, co_firstlineno, co_name, co_qualname (3.11+). */
void label_of_code(struct label *l, PyObject *code);

/*
 * cProfile's label of a C function (Modules/_lsprof.c, normalizeUserObj), byte for byte, but that
 * it is the same whoever calls the function first, and has no address: a method is named after the
 * type that has the function, where cProfile takes what it finds under the name in the type of the
 * object it sees first. cProfile's own text is the entry's `file` where it is another.
 */
void label_of_c(struct label *l, const struct py_method_def *def, PyObject *self, PyObject *module);

void label_fini(struct label *l);

#endif
