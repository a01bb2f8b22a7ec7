/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interpreter, as far as the shim knows it: its C-API symbols, found at run time, object
 * layouts, and most differences between versions. Some other files test `py.version` too: evalhook,
 * pycode, tracefunc, spawn, taken and session. Some have layouts of their own: frames in evalhook,
 * modules in preload, types in monitoring, methods in toolguard, and the words of PyThreadState
 * that setprofile and profilehook search.
 *
 * Functions need the GIL and may be called by any thread, unless they say otherwise. They must not
 * run Python code.
 */
#ifndef SHIM_PYAPI_H
#define SHIM_PYAPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Opaque, except for the layout below; never defined here. */
typedef struct _object PyObject;

/*
 * CPython's Py_tracefunc returns an int. A pointer comes back in the same register, so that ours
 * can end in a tail call. NULL: success.
 */
typedef void *(*py_tracefunc)(PyObject *self, PyObject *frame, int what, PyObject *arg);
typedef PyObject *(*py_evalfunc)(void *, void *, void *);
typedef int (*py_audithook)(const char *event, PyObject *args, void *arg);

/* `what` of a py_tracefunc */
enum {
	PY_TRACE_CALL = 0,
	PY_TRACE_RETURN = 3,
	PY_TRACE_C_CALL = 4,
	PY_TRACE_C_EXCEPTION = 5,
	PY_TRACE_C_RETURN = 6
};

struct py_method_def {
	const char *ml_name;
	void *ml_meth;
	int ml_flags;
	const char *ml_doc;
};

/* name, 1 if the shim cannot serve an interpreter without it, type */
#define PYAPI_SYMBOLS(S)                                                                       \
	S(Py_GetVersion, 1, const char *(*)(void))                                             \
	S(Py_IsInitialized, 1, int (*)(void))                                                  \
	S(Py_IncRef, 1, void (*)(PyObject *))                                                  \
	S(Py_DecRef, 1, void (*)(PyObject *))                                                  \
	S(PyObject_Type, 1, PyObject *(*)(PyObject *))                                         \
	S(PyObject_Repr, 1, PyObject *(*)(PyObject *))                                         \
	S(PyObject_GetAttrString, 1, PyObject *(*)(PyObject *, const char *))                  \
	S(PyObject_GenericGetAttr, 1, PyObject *(*)(PyObject *, PyObject *))                   \
	S(PyObject_CallMethod, 1, PyObject *(*)(PyObject *, const char *, const char *, ...))  \
	S(PyObject_CallObject, 1, PyObject *(*)(PyObject *, PyObject *))                       \
	S(PyType_FromSpec, 1, PyObject *(*)(void *))                                           \
	S(PyType_IsSubtype, 1, int (*)(PyObject *, PyObject *))                                \
	S(_PyType_Lookup, 1, PyObject *(*)(PyObject *, PyObject *))                            \
	S(PyVectorcall_Call, 0, PyObject *(*)(PyObject *, PyObject *, PyObject *))             \
	S(PyUnicode_FromString, 1, PyObject *(*)(const char *))                                \
	S(PyUnicode_AsEncodedString, 1, PyObject *(*)(PyObject *, const char *, const char *)) \
	S(PyUnicode_CompareWithASCIIString, 1, int (*)(PyObject *, const char *))              \
	S(PyBytes_AsStringAndSize, 1, int (*)(PyObject *, char **, ssize_t *))                 \
	S(PyTuple_Size, 1, ssize_t (*)(PyObject *))                                            \
	S(PyTuple_GetItem, 1, PyObject *(*)(PyObject *, ssize_t))                              \
	S(PyLong_AsLong, 1, long (*)(PyObject *))                                              \
	S(PyLong_FromUnsignedLong, 1, PyObject *(*)(unsigned long))                            \
	S(PyDict_GetItem, 1, PyObject *(*)(PyObject *, PyObject *))                            \
	S(PyDict_GetItemString, 1, PyObject *(*)(PyObject *, const char *))                    \
	S(PyModule_GetDict, 1, PyObject *(*)(PyObject *))                                      \
	S(PyModule_GetDef, 0, void *(*)(PyObject *))                                           \
	S(PyImport_GetModuleDict, 1, PyObject *(*)(void))                                      \
	S(PyErr_Occurred, 1, PyObject *(*)(void))                                              \
	S(PyErr_Clear, 1, void (*)(void))                                                      \
	S(PyErr_Fetch, 1, void (*)(PyObject **, PyObject **, PyObject **))                     \
	S(PyErr_Restore, 1, void (*)(PyObject *, PyObject *, PyObject *))                      \
	S(PyErr_GetRaisedException, 0, PyObject *(*)(void))                                    \
	S(PyErr_SetRaisedException, 0, void (*)(PyObject *))                                   \
	S(PyEval_SetProfile, 1, void (*)(py_tracefunc, PyObject *))                            \
	S(_PyEval_SetProfile, 0, int (*)(void *, py_tracefunc, PyObject *))                    \
	S(PyEval_GetFrame, 1, PyObject *(*)(void))                                             \
	S(PyEval_GetGlobals, 1, PyObject *(*)(void))                                           \
	S(PyFrame_GetCode, 0, PyObject *(*)(PyObject *))                                       \
	S(PyFrame_GetLasti, 0, int (*)(PyObject *))                                            \
	S(PyCode_NewEmpty, 0, PyObject *(*)(const char *, const char *, int))                  \
	S(PyGILState_GetThisThreadState, 1, void *(*)(void))                                   \
	S(_PyThreadState_UncheckedGet, 0, void *(*)(void))                                     \
	S(PyThreadState_GetUnchecked, 0, void *(*)(void))                                      \
	S(PyThreadState_Get, 1, void *(*)(void))                                               \
	S(PyThreadState_Next, 1, void *(*)(void *))                                            \
	S(PyThreadState_GetInterpreter, 0, void *(*)(void *))                                  \
	S(PyThreadState_GetID, 0, uint64_t (*)(void *))                                        \
	S(Py_AddPendingCall, 0, int (*)(int (*)(void *), void *))                              \
	S(PySys_AddAuditHook, 0, int (*)(py_audithook, void *))                                \
	S(_PyRuntime, 0, void *)                                                               \
	S(PyInterpreterState_Main, 1, void *(*)(void))                                         \
	S(PyInterpreterState_ThreadHead, 1, void *(*)(void *))                                 \
	S(_PyInterpreterState_GetEvalFrameFunc, 0, py_evalfunc (*)(void *))                    \
	S(_PyInterpreterState_SetEvalFrameFunc, 0, void (*)(void *, py_evalfunc))              \
	S(_PyEval_EvalFrameDefault, 0, PyObject *(*)(void *, void *, void *))                  \
	S(_PyEval_RequestCodeExtraIndex, 0, ssize_t (*)(void (*)(void *)))                     \
	S(_PyCode_SetExtra, 0, int (*)(PyObject *, ssize_t, void *))                           \
	S(PyUnstable_Eval_RequestCodeExtraIndex, 0, ssize_t (*)(void (*)(void *)))             \
	S(PyUnstable_Code_SetExtra, 0, int (*)(PyObject *, ssize_t, void *))                   \
	S(PyCode_AddWatcher, 0, int (*)(int (*)(int, PyObject *)))                             \
	S(PyCode_ClearWatcher, 0, int (*)(int))                                                \
	S(Py_NoSiteFlag, 0, int *)                                                             \
	S(_Py_NoneStruct, 1, PyObject *)                                                       \
	S(PyCFunction_Type, 1, PyObject *)                                                     \
	S(PyCMethod_Type, 0, PyObject *)                                                       \
	S(PyMethodDescr_Type, 1, PyObject *)                                                   \
	S(PyClassMethodDescr_Type, 1, PyObject *)                                              \
	S(PyWrapperDescr_Type, 1, PyObject *)                                                  \
	S(PyFunction_GetCode, 1, PyObject *(*)(PyObject *))                                    \
	S(PyFunction_GetDefaults, 1, PyObject *(*)(PyObject *))                                \
	S(PyFunction_Type, 1, PyObject *)                                                      \
	S(PySuper_Type, 1, PyObject *)                                                         \
	S(PyMethod_Type, 1, PyObject *)                                                        \
	S(PyType_Type, 1, PyObject *)                                                          \
	S(PyBaseObject_Type, 1, PyObject *)                                                    \
	S(PyModuleDef_Type, 1, PyObject *)                                                     \
	S(PyModule_Type, 1, PyObject *)                                                        \
	S(PyLong_Type, 1, PyObject *)                                                          \
	S(PyUnicode_Type, 1, PyObject *)

struct pyapi {
	int version; /* 0x030b07: major, minor, micro */
#define PYAPI_FIELD(name, required, type) __typeof__(type) name;
	PYAPI_SYMBOLS(PYAPI_FIELD)
#undef PYAPI_FIELD
};

extern struct pyapi py;

/*
 * Finds the symbols in `handle` (RTLD_DEFAULT or a handle of dlopen). No GIL needed; the
 * interpreter need not be initialised. False: this interpreter cannot be served; PYSHIM_DEBUG shows
 * why.
 */
bool pyapi_find(void *handle);

/* True if objects are laid out as below. A build that traces references has another layout. */
bool pyapi_layout_holds(void);

/*
 * True if a call of str by its plain path takes twice as long as that of another type (3.12 and
 * later only).
 */
static inline bool pyapi_str_is_slow(void)
{
	return py.version < 0x030d00;
}

static inline bool pyapi_has_monitoring(void)
{
	return py.version >= 0x030c00;
}

/* --- layout, the same in every version served ------------------------------------------------ */

static inline PyObject *pyapi_type(const PyObject *o)
{
	return ((PyObject *const *)o)[1];
}

/* PyCFunctionObject.m_ml, .m_self, .m_module */
static inline struct py_method_def *pyapi_cfunction_def(const PyObject *f)
{
	return ((struct py_method_def *const *)f)[2];
}

static inline PyObject *pyapi_cfunction_self(const PyObject *f)
{
	return ((PyObject *const *)f)[3];
}

static inline PyObject *pyapi_cfunction_module(const PyObject *f)
{
	return ((PyObject *const *)f)[4];
}

/* True for a function of one argument, METH_O. */
static inline bool pyapi_takes_one(const struct py_method_def *def)
{
	return def->ml_flags == 8;
}

/* PyMethodDescrObject.d_type, .d_method */
static inline PyObject *pyapi_descr_type(const PyObject *d)
{
	return ((PyObject *const *)d)[2];
}

static inline struct py_method_def *pyapi_descr_def(const PyObject *d)
{
	return ((struct py_method_def *const *)d)[5];
}

/* True for the two types of nearly all C functions; needs no call. */
static inline bool pyapi_is_plain_cfunction(const PyObject *o)
{
	PyObject *type = pyapi_type(o);

	return type == py.PyCFunction_Type || type == py.PyCMethod_Type;
}

/* True for any C function, also of a type that an extension module derived. */
static inline bool pyapi_is_cfunction(const PyObject *o)
{
	return pyapi_is_plain_cfunction(o) ||
	       py.PyType_IsSubtype(pyapi_type(o), py.PyCFunction_Type);
}

/* PyTypeObject.tp_name, .tp_mro; the latter is NULL before the type is ready. Both are borrowed. */
static inline const char *pyapi_type_name(const PyObject *type)
{
	return ((const char *const *)type)[3];
}

static inline PyObject *pyapi_type_mro(const PyObject *type)
{
	return ((PyObject *const *)type)[43];
}

/* --- types, 3.12 and later only --------------------------------------------------------------- */

/* Prepares the functions below. Once per interpreter, with no exception pending. */
void pyapi_types_find(void);

/* True if PyTypeObject.tp_vectorcall is set: the interpreter has a quick path for a call of it. */
static inline bool pyapi_type_has_vectorcall(const PyObject *type)
{
	return ((void *const *)type)[50] != NULL;
}

/*
 * True if the interpreter, when it calls this type, can start `__init__` without C code in between:
 * from 3.13 on, for a class in Python whose instances hold their attributes inline, if it is called
 * with as many arguments as `__init__` has. The arguments are not examined: an `__init__` with
 * defaults is assumed to be called with fewer.
 */
bool pyapi_type_initialises_quickly(const PyObject *type);

/* --- frames ----------------------------------------------------------------------------------- */

/*
 * Returns a frame's code, borrowed, in any version. The attribute f_code would notify audit hooks.
 */
PyObject *pyapi_code_of(PyObject *frame);

/*
 * 3.11 and later: true if a frame is at its first instruction, or at the first after a yield. Some
 * versions handle signals there before they report the entry. No exception may be pending.
 */
bool pyapi_frame_starts(PyObject *frame);

/* --- frames, 3.8 to 3.11 only ---------------------------------------------------------------- */

/*
 * The place of the code pointer: in the frame object, or in the internal frame that it points to.
 */
enum pyapi_frame { PYAPI_FRAME_OBJECT, PYAPI_FRAME_INNER };

static inline PyObject *pyapi_frame_code(const PyObject *frame, enum pyapi_frame layout)
{
	if (layout == PYAPI_FRAME_INNER) /* 3.11: PyFrameObject.f_frame->f_code */
		frame = ((PyObject *const *)frame)[3];
	return ((PyObject *const *)frame)[4];
}

/* At a generator's call event: true if the frame has run before. */
bool pyapi_frame_resumed(const PyObject *frame);

/* At a generator's return event: true if the frame is suspended rather than finished. */
bool pyapi_frame_yields(const PyObject *frame);

/* --- a thread's profile function, 3.8 to 3.11 only -------------------------------------------- */

/*
 * True if a PyThreadState from the interpreter's list is filled in. If it is not, none of the
 * functions below may be called with it: its thread is about to wait for the GIL for the first
 * time.
 */
bool pyapi_state_is_ready(const void *thread);

/*
 * True if this PyThreadState has the layout that pyapi_profile_set expects, and its function is
 * `f`.
 */
bool pyapi_profile_is(const void *thread, py_tracefunc f);

/*
 * Does the same as PyEval_SetProfile, for any thread, but does not notify audit hooks, which may be
 * written in Python. False: the thread has a profile object, and nothing was done.
 */
bool pyapi_profile_set(void *thread, py_tracefunc f);

/*
 * The position of a thread: its innermost frame, and the instruction that the frame executes. Valid
 * until the frame returns. 3.8 to 3.11.
 */
struct pyapi_position {
	const void *frame;
	intptr_t instruction;
};

struct pyapi_position pyapi_position(const void *thread);

/* True if the thread is inside a trace function or an audit hook in Python. 3.8 to 3.11. */
bool pyapi_is_tracing(const void *thread);

/* Returns a number that no other PyThreadState of the process has had; 0: unknown. */
uint64_t pyapi_state_id(void *thread);

/*
 * An audit hook in C, 3.8 to 3.11. It is made once for each interpreter that is initialised, before
 * the program can have hooks in Python, and is then unlinked from the interpreter's list until it
 * is switched on, so that it causes no audits. False: it was not made, because the host has hooks
 * of its own, which would be notified of ours, or PySys_AddAuditHook failed.
 */
bool pyapi_audit_make(py_audithook hook);
void pyapi_audit_switch(bool on);

/*
 * Returns the array of methods that contains `def`: that of the module `self`, or of the type of
 * `self` or a base of it. NULL: it is in none of them. An entry without a name ends the array.
 */
struct py_method_def *pyapi_methods_around(const struct py_method_def *def, PyObject *self);

/* --- errno and the pending exception ---------------------------------------------------------- */

/* The program's pending exception and errno, kept while the shim does something unnoticed. */
struct pyapi_pending {
	PyObject *exception[3];
	int err;
};

void pyapi_pending_save(struct pyapi_pending *p);
void pyapi_pending_restore(struct pyapi_pending *p);

/* --- small tools, none of which runs Python code ---------------------------------------------- */

/* Returns sys.modules[name], borrowed, or NULL. Never imports. Leaves no new exception. */
PyObject *pyapi_module(const char *name);

/* Returns sys.monitoring, borrowed, or NULL before 3.12. */
PyObject *pyapi_monitoring(void);

/* Returns the globals of `__main__`, borrowed, or NULL if it does not exist yet. */
PyObject *pyapi_main_globals(void);

/* Returns a module's `__name__`, or the object itself, borrowed. Clears the pending exception. */
PyObject *pyapi_module_name(PyObject *module);

/* Returns an int attribute; `otherwise` if it cannot be read. Clears the pending exception. */
long pyapi_long_attr(PyObject *o, const char *name, long otherwise);

/*
 * Returns the characters of a str if all are ASCII, else NULL. They lie in the object itself,
 * NUL-terminated, and are valid as long as it lives. Always NULL before pyapi_texts_find(), which
 * needs the GIL and no pending exception.
 */
const char *pyapi_ascii(const PyObject *text, size_t *n);
void pyapi_texts_find(void);

/*
 * Returns the UTF-8 bytes of a str, surrogates passed through, as a new bytes object, which
 * `*bytes` points into. NULL: it is not a str, or memory is short, and no exception is left.
 */
PyObject *pyapi_utf8(PyObject *text, const char **bytes, size_t *n);

/*
 * True if several tools of sys.monitoring (3.12 and later) get call events of the whole
 * interpreter. Events for single code objects are not counted: looking those up is too slow.
 */
bool pyapi_others_see_calls(void);

/*
 * Returns the PyThreadState whose GIL the calling thread holds; on 3.8 to 3.11 perhaps that of
 * another thread. May be NULL. Needs no GIL.
 */
void *pyapi_thread_current(void);

/*
 * Returns the calling thread's PyThreadState if it holds the GIL of the main interpreter, else
 * NULL. Needs no GIL.
 */
void *pyapi_thread_holding_gil(void);

/* True if the calling thread runs the main interpreter, not a subinterpreter. */
bool pyapi_in_main_interpreter(void);

/*
 * Calls `died(code)` when a watched code object is freed; it may also be called for other code
 * objects or for NULL. `died` runs with the GIL, maybe with an exception pending. Must be called
 * for each interpreter; calling it again is harmless. 0, or -1 if the interpreter cannot report
 * deaths. `*all_gone`: there was another interpreter before, and its last code objects died
 * unreported.
 */
int pyapi_deaths_request(void (*died)(void *code), bool *all_gone);
int pyapi_deaths_watch(PyObject *code);

#endif
