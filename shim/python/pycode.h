/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fields of a code object, read in place. Reading an attribute writes to the type's cache and
 * to reference counts, and makes objects: in a forked child each of these pages is copied.
 *
 * The offset of a field is learned: the attribute of the first code objects is read and searched
 * for in the object. If it is not found, the attribute is read each time. Any thread with the GIL.
 * No exception may be pending, and none is left behind. Must not run Python code.
 */
#ifndef SHIM_PYCODE_H
#define SHIM_PYCODE_H

#include "pyapi.h"

enum pycode_object { PYCODE_FILE, PYCODE_NAME, PYCODE_QUALNAME, PYCODE_BYTECODE, PYCODE_OBJECTS };
enum pycode_int { PYCODE_LINE, PYCODE_FLAGS, PYCODE_INTS };

/*
 * Returns co_filename, co_name, co_qualname (3.11 and later) or co_code (before 3.11); NULL: it
 * does not exist or cannot be read. The code object keeps it alive. If that is not known, `*kept`
 * is a reference that the caller must drop, else NULL.
 */
PyObject *pycode_object(PyObject *code, enum pycode_object which, PyObject **kept);

/* Returns co_firstlineno or co_flags; 0 if it cannot be read. */
int32_t pycode_int(PyObject *code, enum pycode_int which);

/* Returns the length of its bytecode in bytes; 0: unknown. */
uint32_t pycode_bytes(PyObject *code);

/* True if this code object is a module's body. */
bool pycode_is_module_body(PyObject *code);

#endif
