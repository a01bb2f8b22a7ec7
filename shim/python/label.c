/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "label.h"

#include <string.h>

#include "pycode.h"
#include "pyprof/format.h"

/* False: the object is not a str, or memory is short. */
static bool text_of(struct label *l, int i, PyObject *o, struct label_text *text)
{
	text->bytes = pyapi_ascii(o, &text->n);
	if (!text->bytes)
		l->kept[i] = pyapi_utf8(o, &text->bytes, &text->n);
	return text->bytes;
}

/* Returns a str of a code object; "" if it does not have it, "?" if memory is short. */
static struct label_text code_text(struct label *l, int i, PyObject *code, enum pycode_object which)
{
	struct label_text text = { "", 0 };
	PyObject *kept, *value = pycode_object(code, which, &kept);

	if (value && !text_of(l, i, value, &text))
		text = (struct label_text){ "?", 1 };
	if (l->kept[i] && kept)
		py.Py_DecRef(kept);
	else if (kept)
		l->kept[i] = kept;
	return text;
}

void label_of_code(struct label *l, PyObject *code)
{
	memset(l->kept, 0, sizeof(l->kept));
	l->entry = (struct label_entry){ .kind = PYPROF_NAME_CODE };
	l->entry.line = pycode_int(code, PYCODE_LINE);
	l->entry.code_bytes = pycode_bytes(code);
	l->entry.file = code_text(l, 0, code, PYCODE_FILE);
	l->entry.name = code_text(l, 1, code, PYCODE_NAME);
	l->entry.qualname = code_text(l, 2, code, PYCODE_QUALNAME);
}

/* True for objects whose repr() is C code only, and does not call another object's repr(). */
static bool has_plain_repr(PyObject *o)
{
	PyObject *type = pyapi_type(o);

	return type == py.PyMethodDescr_Type || type == py.PyClassMethodDescr_Type ||
	       type == py.PyWrapperDescr_Type || type == py.PyFunction_Type ||
	       type == py.PyCFunction_Type;
}

/* --- C functions ------------------------------------------------------------------------------ */

/*
 * True if an object in a type's dict is the function with this def: a descriptor, or `__new__`,
 * which is the function itself.
 */
static bool holds(PyObject *o, const struct py_method_def *def)
{
	PyObject *type = pyapi_type(o);

	if (type == py.PyMethodDescr_Type || type == py.PyClassMethodDescr_Type)
		return pyapi_descr_def(o) == def;
	return pyapi_is_plain_cfunction(o) && pyapi_cfunction_def(o) == def;
}

/*
 * Returns what the last base in the type's mro holds for this def, borrowed, or NULL. So a subclass
 * that overrides the method, or has it too, makes no difference.
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

/* Joins texts, up to a NULL; the result is cut at LABEL_TEXT_BYTES - 1. */
static struct label_text join(char text[LABEL_TEXT_BYTES], const struct label_text *piece)
{
	size_t n = 0;

	for (; piece->bytes; piece++) {
		size_t left = LABEL_TEXT_BYTES - 1 - n;
		size_t more = piece->n < left ? piece->n : left;

		memcpy(text + n, piece->bytes, more);
		n += more;
	}
	return (struct label_text){ text, n };
}

static struct label_text piece(const char *text)
{
	return (struct label_text){ text, strlen(text) };
}

static bool repr_text(struct label *l, int i, PyObject *o, struct label_text *text)
{
	PyObject *repr = py.PyObject_Repr(o);

	if (repr) {
		l->kept[i] = pyapi_utf8(repr, &text->bytes, &text->n);
		py.Py_DecRef(repr);
	}
	py.PyErr_Clear();
	return l->kept[i];
}

/* Returns cProfile's text of `__new__` and its kind, without the address at its end. */
static struct label_text text_of_function(struct label *l, PyObject *function)
{
	PyObject *self = pyapi_cfunction_self(function);

	return join(l->text[0], (const struct label_text[]){
					piece("<built-in method "),
					piece(pyapi_cfunction_def(function)->ml_name),
					piece(" of "),
					piece(self ? pyapi_type_name(pyapi_type(self)) : "?"),
					piece(" object>"),
					{ NULL, 0 } });
}

/* Returns a text that is made of the module's name, if there is one, and the function's. */
static struct label_text text_of_module(struct label *l, char *text, bool method,
					const struct py_method_def *def, PyObject *module)
{
	struct label_text mod = { "", 0 };

	if (module && !method)
		module = pyapi_module_name(module);
	if (module && !text_of(l, 1, module, &mod))
		mod = (struct label_text){ "", 0 };
	if (!method && mod.n == 8 && !memcmp(mod.bytes, "builtins", 8))
		mod.n = 0;
	return join(text, (const struct label_text[]){ piece(method ? "<built-in method " : "<"),
						       mod,
						       piece(mod.n ? "." : ""),
						       piece(def->ml_name),
						       piece(">"),
						       { NULL, 0 } });
}

/*
 * Keeps cProfile's label in `file` if it is another text: the repr of `found`, the entry of the
 * type itself under the name.
 */
static void keep_cprofiles(struct label *l, PyObject *found, bool has_holder,
			   const struct py_method_def *def, PyObject *module)
{
	struct label_text *name = &l->entry.name, *theirs = &l->entry.file;

	if (found && has_plain_repr(found) && repr_text(l, 2, found, theirs)) {
		if (theirs->n == name->n && !memcmp(theirs->bytes, name->bytes, name->n))
			theirs->n = 0;
	} else if (has_holder) {
		*theirs = text_of_module(l, l->text[1], true, def, module);
	}
}

/* False for most functions of a module: its type has only names that begin with two underscores. */
static bool may_be_of_type(const struct py_method_def *def, PyObject *type)
{
	return type != py.PyModule_Type || !strncmp(def->ml_name, "__", 2);
}

static void label_of_method(struct label *l, const struct py_method_def *def, PyObject *self,
			    PyObject *module)
{
	PyObject *type = pyapi_type(self);
	PyObject *name = may_be_of_type(def, type) ? py.PyUnicode_FromString(def->ml_name) : NULL;
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
	l->entry = (struct label_entry){ .kind = PYPROF_NAME_C,
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
