/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "label.h"

#include <stdarg.h>
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

/* --- C functions ------------------------------------------------------------------------------- */

/* What a type holds for the function with this def: a descriptor, or `__new__`, which is the function itself. */
static bool holds(PyObject *o, const struct py_method_def *def)
{
	PyObject *type = pyapi_type(o);

	if (type == py.PyMethodDescr_Type || type == py.PyClassMethodDescr_Type)
		return pyapi_descr_def(o) == def;
	return pyapi_is_plain_cfunction(o) && pyapi_cfunction_def(o) == def;
}

/*
 * The same of the last base of the type that has it, borrowed, or NULL: so a subclass that overrides the method, or
 * has it too, makes no difference.
 */
static PyObject *find_holder(const struct py_method_def *def, PyObject *type, PyObject *name)
{
	PyObject *mro = pyapi_type_mro(type), *holder = NULL;
	ssize_t n = mro ? py.PyTuple_Size(mro) : 0;

	if (mro)
		py.Py_IncRef(mro);
	for (ssize_t i = 0; i < n; i++) {
		PyObject *found = py._PyType_Lookup(py.PyTuple_GetItem(mro, i), name);

		if (found && holds(found, def))
			holder = found;
	}
	if (mro)
		py.Py_DecRef(mro);
	return holder;
}

static __attribute__((format(printf, 2, 3))) struct names_text print_text(
	char text[LABEL_TEXT_BYTES], const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, LABEL_TEXT_BYTES, format, args);
	va_end(args);
	if (n >= LABEL_TEXT_BYTES)
		n = LABEL_TEXT_BYTES - 1;
	return (struct names_text){ text, n < 0 ? 0 : (size_t)n };
}

static bool repr_text(struct label *l, int i, PyObject *o, struct names_text *text)
{
	PyObject *repr = py.PyObject_Repr(o);

	if (repr) {
		l->kept[i] = pyapi_utf8(repr, &text->bytes, &text->n);
		py.Py_DecRef(repr);
	}
	py.PyErr_Clear();
	return l->kept[i];
}

/* cProfile's text of `__new__` and its kind, without the address at its end. */
static struct names_text text_of_function(struct label *l, PyObject *function)
{
	PyObject *self = pyapi_cfunction_self(function);

	return print_text(l->text[0], "<built-in method %s of %s object>",
			  pyapi_cfunction_def(function)->ml_name,
			  self ? pyapi_type_name(pyapi_type(self)) : "?");
}

/* Made up of the module's name, where there is one, and the function's. */
static struct names_text text_of_module(struct label *l, char *text, bool method,
					const struct py_method_def *def, PyObject *module)
{
	struct names_text mod = { "", 0 };

	if (module && !method)
		module = pyapi_module_name(module);
	if (module)
		l->kept[1] = pyapi_utf8(module, &mod.bytes, &mod.n);
	if (!method && mod.n == 8 && !memcmp(mod.bytes, "builtins", 8))
		mod.n = 0;
	return print_text(text, "<%s%.*s%s%s>", method ? "built-in method " : "", (int)mod.n,
			  mod.bytes, mod.n ? "." : "", def->ml_name);
}

/* In `file`, where it is another text: the repr of `found`, what the type itself has under the name. */
static void keep_cprofiles(struct label *l, PyObject *found, bool has_holder,
			   const struct py_method_def *def, PyObject *module)
{
	struct names_text *name = &l->entry.name, *theirs = &l->entry.file;

	if (found && has_plain_repr(found) && repr_text(l, 2, found, theirs)) {
		if (theirs->n == name->n && !memcmp(theirs->bytes, name->bytes, name->n))
			theirs->n = 0;
	} else if (has_holder) {
		*theirs = text_of_module(l, l->text[1], true, def, module);
	}
}

static void label_of_method(struct label *l, const struct py_method_def *def, PyObject *self,
			    PyObject *module)
{
	PyObject *type = pyapi_type(self);
	PyObject *name = py.PyUnicode_FromString(def->ml_name);
	PyObject *found = name ? py._PyType_Lookup(type, name) : NULL;
	PyObject *holder = name ? find_holder(def, type, name) : NULL;

	py.PyErr_Clear();
	if (holder && pyapi_is_plain_cfunction(holder))
		l->entry.name = text_of_function(l, holder);
	else if (!holder || !repr_text(l, 0, holder, &l->entry.name))
		l->entry.name = text_of_module(l, l->text[0], true, def, module);
	if (!holder || found != holder || pyapi_is_plain_cfunction(holder))
		keep_cprofiles(l, found, holder, def, module);
	if (name)
		py.Py_DecRef(name);
}

void label_of_c(struct label *l, const struct py_method_def *def, PyObject *self, PyObject *module)
{
	memset(l->kept, 0, sizeof(l->kept));
	l->entry = (struct names_entry){ .kind = PYPROF_NAME_C,
					 .file = { "", 0 },
					 .qualname = { "", 0 } };
	if (self)
		label_of_method(l, def, self, module);
	else
		l->entry.name = text_of_module(l, l->text[0], false, def, module);
}

void label_fini(struct label *l)
{
	for (int i = 0; i < 3; i++) {
		if (l->kept[i])
			py.Py_DecRef(l->kept[i]);
	}
}
