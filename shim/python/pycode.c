/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pycode.h"

#define FIRST_WORD 2u /* after reference count and type */
#define END_WORD 22u  /* the end of the smallest code object, that of 3.8 */
#define FIRST_INT 4u
#define N_INTS 32u

/* --- objects ---------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int since, before; /* the first version that has it, and the first that does not */
} object_attr[PYCODE_OBJECTS] = {
	[PYCODE_FILE] = { "co_filename", 0, INT32_MAX },
	[PYCODE_NAME] = { "co_name", 0, INT32_MAX },
	[PYCODE_QUALNAME] = { "co_qualname", 0x030b00, INT32_MAX },
	[PYCODE_BYTECODE] = { "co_code", 0, 0x030b00 },
};

/* A qualified name may be the same object as the name; it follows the name in every layout. */
static size_t find_word(PyObject *const *words, const PyObject *value, enum pycode_object which)
{
	size_t found = 0;

	for (size_t i = FIRST_WORD; i < END_WORD; i++) {
		if (words[i] == value && (!found || which == PYCODE_QUALNAME))
			found = i;
	}
	return found;
}

PyObject *pycode_object(PyObject *code, enum pycode_object which, PyObject **kept)
{
	static size_t place[PYCODE_OBJECTS];
	PyObject *const *words = (PyObject *const *)code;
	PyObject *value;

	*kept = NULL;
	if (place[which])
		return words[place[which]];
	if (py.version < object_attr[which].since || py.version >= object_attr[which].before)
		return NULL;
	value = py.PyObject_GetAttrString(code, object_attr[which].name);
	if (!value) {
		py.PyErr_Clear();
		return NULL;
	}
	place[which] = find_word(words, value, which);
	*kept = value;
	return value;
}

/* --- numbers ---------------------------------------------------------------------------------- */

/*
 * Several fields may hold the same number. So the offsets left are those that held the right number
 * in each code object so far; when one is left, the offset is known. If none is left, it cannot be
 * learned.
 */
static struct number {
	const char *attr;
	uint32_t left; /* a bit for each candidate */
	uint32_t at;   /* 0: not known yet */
} number[PYCODE_INTS] = {
	[PYCODE_LINE] = { .attr = "co_firstlineno", .left = UINT32_MAX },
	[PYCODE_FLAGS] = { .attr = "co_flags", .left = UINT32_MAX },
};

static void learn(struct number *n, const int32_t *ints, int32_t value)
{
	for (uint32_t i = 0; i < N_INTS; i++) {
		if (ints[FIRST_INT + i] != value)
			n->left &= ~(1u << i);
	}
	if (n->left && !(n->left & (n->left - 1)))
		n->at = FIRST_INT + (uint32_t)__builtin_ctz(n->left);
}

int32_t pycode_int(PyObject *code, enum pycode_int which)
{
	struct number *n = &number[which];
	const int32_t *ints = (const int32_t *)(const void *)code;
	int32_t value;

	if (n->at)
		return ints[n->at];
	value = (int32_t)pyapi_long_attr(code, n->attr, 0);
	if (n->left)
		learn(n, ints, value);
	return value;
}

/* --- derived facts ---------------------------------------------------------------------------- */

uint32_t pycode_bytes(PyObject *code)
{
	PyObject *kept, *bytecode;
	ssize_t n = 0;
	char *bytes;

	/*
	 * The bytecode lies in the object itself, which has as many items of 2 bytes:
	 * PyVarObject.ob_size.
	 */
	if (py.version >= 0x030b00)
		return (uint32_t)((const size_t *)code)[2] * 2;
	bytecode = pycode_object(code, PYCODE_BYTECODE, &kept);
	if (!bytecode || py.PyBytes_AsStringAndSize(bytecode, &bytes, &n) < 0)
		py.PyErr_Clear();
	if (kept)
		py.Py_DecRef(kept);
	return (uint32_t)n;
}

bool pycode_is_module_body(PyObject *code)
{
	PyObject *kept, *name = pycode_object(code, PYCODE_NAME, &kept);
	bool is = name && py.PyUnicode_CompareWithASCIIString(name, "<module>") == 0;

	if (kept)
		py.Py_DecRef(kept);
	return is;
}
