/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fields of a code object, read where they lie. To ask for an attribute writes to the type's
 * cache and to reference counts, and makes objects: in a forked child each of these pages is
 * copied.
 *
 * Where a field lies is learned: the attribute of the first code objects is read, and looked for in
 * the object. Where it is not found, the attribute is read each time. Needs the GIL; no exception
 * may be pending, and none is left behind.
 */
#ifndef SHIM_PYCODE_H
#define SHIM_PYCODE_H

#include "pyapi.h"

enum pycode_object { PYCODE_FILE, PYCODE_NAME, PYCODE_QUALNAME, PYCODE_BYTECODE, PYCODE_OBJECTS };
enum pycode_int { PYCODE_LINE, PYCODE_FLAGS, PYCODE_INTS };

/*
 * co_filename, co_name, co_qualname (3.11 and later) or co_code (before 3.11). NULL: there is none.
 * The code object keeps it; where that is not known, `kept` is a reference that the caller is to
 * drop, else NULL.
 */
PyObject *pycode_object(PyObject *code, enum pycode_object which, PyObject **kept);

/* co_firstlineno or co_flags; 0 where it cannot be read. */
int32_t pycode_int(PyObject *code, enum pycode_int which);

/* How long its bytecode is, in bytes. */
uint32_t pycode_bytes(PyObject *code);

/* Whether this code object is a module's body. */
bool pycode_is_module_body(PyObject *code);

#endif
