/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "label.h"

#include <stdio.h>
#include <string.h>

#include "pyprof/abi.h"

/* A str attribute's text; "" where there is none, "?" where memory is short. */
static struct names_text text_attr(struct label *l, int i, PyObject *o, const char *name)
{
	struct names_text text = { "", 0 };
	PyObject *value = py.PyObject_GetAttrString(o, name);

	if (!value) {
		py.PyErr_Clear();
		return text;
	}
	l->kept[i] = pyapi_utf8(value, &text.bytes, &text.n);
	if (!l->kept[i])
		text = (struct names_text){ "?", 1 };
	py.Py_DecRef(value);
	return text;
}

void label_of_code(struct label *l, PyObject *code)
{
	memset(l->kept, 0, sizeof(l->kept));
	l->entry = (struct names_entry){ .kind = PYPROF_NAME_CODE };
	l->entry.line = (int32_t)pyapi_long_attr(code, "co_firstlineno", 0);
	l->entry.code_bytes = pyapi_code_bytes(code);
	l->entry.file = text_attr(l, 0, code, "co_filename");
	l->entry.name = text_attr(l, 1, code, "co_name");
	l->entry.qualname = text_attr(l, 2, code, "co_qualname");
}

/* Objects whose repr() is C code to the end, which asks no other object for its own. */
static bool has_plain_repr(PyObject *o)
{
	PyObject *type = pyapi_type(o);

	return type == py.PyMethodDescr_Type || type == py.PyClassMethodDescr_Type ||
	       type == py.PyWrapperDescr_Type || type == py.PyFunction_Type ||
	       type == py.PyCFunction_Type;
}

/* The repr of what the type of `self` holds under the function's name, or NULL. */
static PyObject *repr_of_attribute(const struct py_method_def *def, PyObject *self)
{
	PyObject *name = py.PyUnicode_FromString(def->ml_name);
	PyObject *found = name ? py._PyType_Lookup(pyapi_type(self), name) : NULL;
	PyObject *repr = found && has_plain_repr(found) ? py.PyObject_Repr(found) : NULL;

	py.PyErr_Clear();
	if (name)
		py.Py_DecRef(name);
	return repr;
}

/* The name of the module that a C function belongs to, encoded; NULL where it has none. */
static PyObject *module_name(PyObject *module, const char **bytes, size_t *n)
{
	return module ? pyapi_utf8(module, bytes, n) : NULL;
}

static void print_label(struct label *l, const char *format, size_t n, const char *module,
			const char *name)
{
	int m = snprintf(l->text, sizeof(l->text), format, (int)n, module, name);

	if (m >= (int)sizeof(l->text))
		m = sizeof(l->text) - 1;
	l->entry.name = (struct names_text){ l->text, m < 0 ? 0 : (size_t)m };
}

void label_of_c(struct label *l, const struct py_method_def *def, PyObject *self, PyObject *module)
{
	const char *mod = "";
	size_t n = 0;

	memset(l->kept, 0, sizeof(l->kept));
	l->entry = (struct names_entry){ .kind = PYPROF_NAME_C,
					 .file = { "", 0 },
					 .qualname = { "", 0 } };
	if (self) {
		PyObject *repr = repr_of_attribute(def, self);

		if (repr) {
			l->kept[0] = pyapi_utf8(repr, &l->entry.name.bytes, &l->entry.name.n);
			py.Py_DecRef(repr);
			if (l->kept[0])
				return;
		}
	}
	l->kept[1] = module_name(module, &mod, &n);
	if (self && n)
		print_label(l, "<built-in method %.*s.%s>", n, mod, def->ml_name);
	else if (self)
		print_label(l, "<built-in method %.*s%s>", 0, "", def->ml_name);
	else if (n && !(n == 8 && !memcmp(mod, "builtins", 8)))
		print_label(l, "<%.*s.%s>", n, mod, def->ml_name);
	else
		print_label(l, "<%.*s%s>", 0, "", def->ml_name);
}

void label_fini(struct label *l)
{
	for (int i = 0; i < 3; i++) {
		if (l->kept[i])
			py.Py_DecRef(l->kept[i]);
	}
}
