/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pyapi.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "system/libc.h"
#include "system/log.h"

#define CODE_DESTROYED 1 /* PY_CODE_EVENT_DESTROY */
#define CO_VARIABLE 0x0c /* CO_VARARGS, CO_VARKEYWORDS */

struct pyapi py;

/* "3.11.7 (main, ...)" -> 0x030b07 */
static int parse_version(const char *text)
{
	int version = 0;

	for (int i = 0; i < 3; i++) {
		char *end;
		long n = strtol(text, &end, 10);

		if (end == text || n < 0 || n > 255)
			n = 0;
		version = version << 8 | (int)n;
		text = *end == '.' ? end + 1 : end;
	}
	return version;
}

/*
 * 3.13 and later. The version text of such a build says so, except in 3.13's alphas. There, the
 * function that Py_DECREF calls in extensions is the sign.
 */
static bool is_free_threaded(void *handle)
{
	return strstr(py.Py_GetVersion(), "free-threading") ||
	       libc.dlsym(handle, "_Py_DecRefShared");
}

bool pyapi_find(void *handle)
{
#define PYAPI_LOAD(name, required, type)                             \
	*(void **)&py.name = libc.dlsym(handle, #name);              \
	if (required && !py.name) {                                  \
		log_debug("this interpreter has no %s: off", #name); \
		return false;                                        \
	}
	PYAPI_SYMBOLS(PYAPI_LOAD)
#undef PYAPI_LOAD
	py.version = parse_version(py.Py_GetVersion());
	if (py.version < 0x030800 || py.version >= 0x040000) {
		log_debug("CPython %s: only 3.8 and later is served: off", py.Py_GetVersion());
		return false;
	}
	if (is_free_threaded(handle)) {
		log_debug("CPython %s: a free-threaded build is not served: off",
			  py.Py_GetVersion());
		return false;
	}
	return true;
}

bool pyapi_layout_holds(void)
{
	PyObject *type = py.PyObject_Type(py._Py_NoneStruct);
	bool holds = type == pyapi_type(py._Py_NoneStruct) &&
		     pyapi_type(py.PyMethodDescr_Type) == py.PyType_Type;

	py.Py_DecRef(type);
	return holds;
}

/* --- strings ---------------------------------------------------------------------------------- */

/* PyASCIIObject: length; state, with bits for ASCII and for "in one piece"; then the characters. */
enum { TEXT_LENGTH = 2, TEXT_STATE = 32, TEXT_COMPACT = 0x20, TEXT_ASCII = 0x40 };
static const char known_text[] = "pyshim knows this text";

static size_t text_offset; /* offset of the characters: 40, before 3.12 48; 0: not known */

static unsigned text_state(const PyObject *text)
{
	return ((const uint8_t *)text)[TEXT_STATE] & (TEXT_COMPACT | TEXT_ASCII);
}

static size_t text_length(const PyObject *text)
{
	return ((const size_t *)(const void *)text)[TEXT_LENGTH];
}

static bool lies_at(const PyObject *text, size_t place)
{
	return text_length(text) == sizeof(known_text) - 1 &&
	       !memcmp((const char *)text + place, known_text, sizeof(known_text));
}

void pyapi_texts_find(void)
{
	PyObject *ascii = py.PyUnicode_FromString(known_text);
	PyObject *latin = py.PyUnicode_FromString("pyshim \xc3\xa9");
	PyObject *wide = py.PyUnicode_FromString("pyshim \xe4\xb8\xad");

	if (ascii && latin && wide && text_state(ascii) == (TEXT_COMPACT | TEXT_ASCII) &&
	    text_state(latin) == TEXT_COMPACT && text_state(wide) == TEXT_COMPACT)
		text_offset = lies_at(ascii, 40) ? 40 : lies_at(ascii, 48) ? 48 : 0;
	if (ascii)
		py.Py_DecRef(ascii);
	if (latin)
		py.Py_DecRef(latin);
	if (wide)
		py.Py_DecRef(wide);
	py.PyErr_Clear();
}

const char *pyapi_ascii(const PyObject *text, size_t *n)
{
	if (!text_offset || pyapi_type(text) != py.PyUnicode_Type ||
	    text_state(text) != (TEXT_COMPACT | TEXT_ASCII))
		return NULL;
	*n = text_length(text);
	return (const char *)text + text_offset;
}

/* --- types ------------------------------------------------------------------------------------ */

/* PyTypeObject.tp_flags, .tp_init, .tp_new, .tp_version_tag; and Py_TPFLAGS_INLINE_VALUES */
enum { TYPE_FLAGS = 21, TYPE_INIT = 37, TYPE_NEW = 39, TYPE_VERSION = 48 };
#define INLINE_VALUES (1ul << 2)

static uintptr_t type_word(const PyObject *type, int n)
{
	return ((const uintptr_t *)type)[n];
}

static uintptr_t python_init; /* the tp_init of every class that has an `__init__` in Python */
static PyObject *init_name;   /* "__init__" */

/*
 * The results of takes_all for the `__init__` of classes, by the type's address. Looked up once for
 * each version tag of the type.
 */
static struct {
	const PyObject *type;
	uint32_t version;
	bool takes_all;
} inits[64];

void pyapi_types_find(void)
{
	PyObject *module = pyapi_module("_frozen_importlib"); /* every interpreter has it */
	PyObject *class = module ? py.PyObject_GetAttrString(module, "ModuleSpec") : NULL;

	if (class && pyapi_type(class) == py.PyType_Type)
		python_init = type_word(class, TYPE_INIT);
	py.PyErr_Clear();
	if (class)
		py.Py_DecRef(class); /* the module keeps it */
	/* Those of an earlier interpreter no longer exist. */
	init_name = py.PyUnicode_FromString("__init__");
	memset(inits, 0, sizeof(inits));
}

/*
 * True if it must be called with exactly as many arguments as it has names: without defaults,
 * *args, **kwargs and keyword-only arguments.
 */
static bool takes_all(PyObject *init)
{
	PyObject *code;

	if (pyapi_type(init) != py.PyFunction_Type || py.PyFunction_GetDefaults(init))
		return false;
	code = py.PyFunction_GetCode(init);
	return !(pyapi_long_attr(code, "co_flags", CO_VARIABLE) & CO_VARIABLE) &&
	       !pyapi_long_attr(code, "co_kwonlyargcount", 1);
}

static bool init_takes_all(const PyObject *type)
{
	__typeof__(*inits) *k = &inits[(uintptr_t)type / 64 % 64];
	uint32_t version = (uint32_t)type_word(type, TYPE_VERSION);
	PyObject *init;

	if (k->type == type && k->version == version && version)
		return k->takes_all;
	init = init_name ? py._PyType_Lookup((PyObject *)type, init_name) : NULL;
	k->type = type;
	k->version = (uint32_t)type_word(type, TYPE_VERSION); /* the lookup may have given it one */
	k->takes_all = init && takes_all(init);
	return k->takes_all;
}

bool pyapi_type_initialises_quickly(const PyObject *type)
{
	return py.version >= 0x030d00 && type_word(type, TYPE_FLAGS) & INLINE_VALUES &&
	       type_word(type, TYPE_NEW) == type_word(py.PyBaseObject_Type, TYPE_NEW) &&
	       type_word(type, TYPE_INIT) == python_init && init_takes_all(type);
}

/* --- frames ----------------------------------------------------------------------------------- */

PyObject *pyapi_code_of(PyObject *frame)
{
	PyObject *code;

	if (py.version < 0x030c00)
		return pyapi_frame_code(frame, py.version >= 0x030b00 ? PYAPI_FRAME_INNER
								      : PYAPI_FRAME_OBJECT);
	code = py.PyFrame_GetCode(frame);
	py.Py_DecRef(code); /* the frame keeps it */
	return code;
}

/* Reads two bytes of a code object's bytecode, as compiled; {0, 0} if they do not exist. */
static void read_instruction(PyObject *code, ssize_t place, uint8_t to[2])
{
	PyObject *bytecode = py.PyObject_GetAttrString(code, "co_code");
	char *bytes;
	ssize_t n;

	memset(to, 0, 2);
	if (bytecode && !py.PyBytes_AsStringAndSize(bytecode, &bytes, &n) && place >= 0 &&
	    place + 2 <= n)
		memcpy(to, bytes + place, 2);
	py.PyErr_Clear();
	if (bytecode)
		py.Py_DecRef(bytecode);
}

/* Returns the number of RESUME, with which all code without closure variables begins. */
static uint8_t find_resume(void)
{
	PyObject *code = py.PyCode_NewEmpty ? py.PyCode_NewEmpty("", "", 1) : NULL;
	uint8_t first[2] = { 0 };

	if (code) {
		read_instruction(code, 0, first);
		py.Py_DecRef(code);
	}
	py.PyErr_Clear();
	return first[0];
}

bool pyapi_frame_starts(PyObject *frame)
{
	static uint8_t resume;
	uint8_t now[2];

	if (py.version < 0x030b00 || !py.PyFrame_GetLasti)
		return false;
	if (!resume)
		resume = find_resume();
	read_instruction(pyapi_code_of(frame), py.PyFrame_GetLasti(frame), now);
	return resume && now[0] == resume && (now[1] & 3) < 2; /* signals come only there */
}

/* PyFrameObject.f_lasti: 3.8 and 3.9 at 104, 3.10 at 96; below 0 before the first instruction. */
static int frame_lasti(const PyObject *frame)
{
	return *(const int *)((const char *)frame + (py.version >= 0x030a00 ? 96 : 104));
}

/* 3.11: PyFrameObject.f_frame->prev_instr, a code unit: opcode, argument. */
static const uint8_t *frame_instruction(const PyObject *frame)
{
	const void *const *inner = ((const void *const *const *)frame)[3];

	return inner[7];
}

bool pyapi_frame_resumed(const PyObject *frame)
{
	if (py.version >= 0x030b00)
		return frame_instruction(frame)[1] & 3; /* RESUME: 0 start, 1-3 after a yield */
	return frame_lasti(frame) >= 0;
}

bool pyapi_frame_yields(const PyObject *frame)
{
	if (py.version >= 0x030b00)
		return frame_instruction(frame)[0] == 86; /* YIELD_VALUE */
	if (py.version >= 0x030a00)
		return ((const signed char *)frame)[108] == -1; /* f_state: FRAME_SUSPENDED */
	return ((const void *const *)frame)[9] != NULL; /* f_stacktop: only a yield keeps it */
}

/* --- a thread's profile function -------------------------------------------------------------- */

/* PyThreadState.c_profilefunc; c_tracefunc and c_profileobj follow. */
static void **profile_words(const void *thread)
{
	return (void **)((char *)thread + (py.version >= 0x030b00 ? 64 : 56));
}

/*
 * Returns the flag that the evaluation loop tests before it looks for a function:
 * PyThreadState.use_tracing, from 3.10 on PyThreadState.cframe->use_tracing, which on 3.11 is a
 * byte. The pointer is in the word before c_profilefunc.
 */
static void *tracing_flag(const void *thread)
{
	void **word = profile_words(thread) - 1;

	return py.version >= 0x030a00 ? *word : (void *)word;
}

/* 3.11 links a new state into the list before it fills in most of it, without the GIL. */
bool pyapi_state_is_ready(const void *thread)
{
	return py.version < 0x030a00 || tracing_flag(thread);
}

bool pyapi_profile_is(const void *thread, py_tracefunc f)
{
	if (py.version >= 0x030c00 || profile_words(thread)[0] != (void *)f)
		return false;
	return py.version >= 0x030b00 ? *(uint8_t *)tracing_flag(thread) == 255
				      : *(int *)tracing_flag(thread) == 1;
}

bool pyapi_profile_set(void *thread, py_tracefunc f)
{
	void **words = profile_words(thread);
	bool on = f || words[1];

	if (words[2])
		return false;
	words[0] = (void *)f;
	if (py.version < 0x030b00)
		*(int *)tracing_flag(thread) = on;
	else /* PyThreadState.tracing: nothing is traced within a trace function */
		*(uint8_t *)tracing_flag(thread) = on && ((int *)thread)[11] <= 0 ? 255 : 0;
	return true;
}

struct pyapi_position pyapi_position(const void *thread)
{
	const void *const *words = thread;
	struct pyapi_position p;

	if (py.version >= 0x030b00) { /* PyThreadState.cframe->current_frame, its prev_instr */
		p.frame = ((const void *const *)words[7])[1];
		p.instruction = p.frame ? ((const intptr_t *)p.frame)[7] : 0;
	} else { /* PyThreadState.frame */
		p.frame = words[3];
		p.instruction = p.frame ? frame_lasti(p.frame) : 0;
	}
	return p;
}

bool pyapi_is_tracing(const void *thread)
{
	return ((const int *)thread)[11] > 0; /* PyThreadState.tracing */
}

uint64_t pyapi_state_id(void *thread)
{
	if (py.PyThreadState_GetID)
		return py.PyThreadState_GetID(thread);
	return py.version < 0x030900 ? ((const uint64_t *)thread)[32] : 0;
}

/* --- audit hooks ------------------------------------------------------------------------------ */

/*
 * The structure that PySys_AddAuditHook makes. The interpreter frees those in its list when it
 * ends.
 */
struct audit_entry {
	struct audit_entry *next;
	py_audithook hook;
	void *arg;
};

static struct audit_entry *audit_entry; /* NULL: ours cannot be unlinked */

/* _PyRuntime.audit_hook_head */
static struct audit_entry **audit_head(void)
{
	size_t place = py.version >= 0x030b00 ? 656 : py.version >= 0x030900 ? 648 : 1456;

	return (struct audit_entry **)((char *)py._PyRuntime + place);
}

bool pyapi_audit_make(py_audithook hook)
{
	audit_entry = NULL;
	if (py.version >= 0x030c00 || !py._PyRuntime || !py.PySys_AddAuditHook || *audit_head())
		return false;
	if (py.PySys_AddAuditHook(hook, NULL) < 0) {
		py.PyErr_Clear();
		return false;
	}
	if (!*audit_head() || (*audit_head())->hook != hook)
		return true; /* the list is elsewhere: the hook stays in it */
	audit_entry = *audit_head();
	pyapi_audit_switch(false);
	return true;
}

void pyapi_audit_switch(bool on)
{
	struct audit_entry **at;

	if (!audit_entry)
		return;
	at = audit_head();
	while (*at && *at != audit_entry)
		at = &(*at)->next;
	if (on && !*at) {
		audit_entry->next = *audit_head();
		*audit_head() = audit_entry;
	} else if (!on && *at) {
		*at = audit_entry->next;
	}
}

/* --- methods ---------------------------------------------------------------------------------- */

static bool is_element(const struct py_method_def *array, const struct py_method_def *def)
{
	while (array && array->ml_name && array != def)
		array++;
	return array == def;
}

struct py_method_def *pyapi_methods_around(const struct py_method_def *def, PyObject *self)
{
	struct py_method_def *array;

	if (!self)
		return NULL;
	if (pyapi_type(self) == py.PyModule_Type && py.PyModule_GetDef) {
		void **module_def = py.PyModule_GetDef(self);

		array = module_def ? module_def[8] : NULL; /* PyModuleDef.m_methods */
		return is_element(array, def) ? array : NULL;
	}
	for (void **type = (void **)pyapi_type(self); type; type = type[32]) { /* tp_base */
		array = type[29]; /* PyTypeObject.tp_methods */
		if (is_element(array, def))
			return array;
	}
	return NULL;
}

/* --- errno and the pending exception ---------------------------------------------------------- */

void pyapi_pending_save(struct pyapi_pending *p)
{
	p->err = errno;
	if (py.PyErr_GetRaisedException)
		p->exception[0] = py.PyErr_GetRaisedException();
	else
		py.PyErr_Fetch(&p->exception[0], &p->exception[1], &p->exception[2]);
}

void pyapi_pending_restore(struct pyapi_pending *p)
{
	if (py.PyErr_SetRaisedException)
		py.PyErr_SetRaisedException(p->exception[0]);
	else
		py.PyErr_Restore(p->exception[0], p->exception[1], p->exception[2]);
	errno = p->err;
}

/* --- small tools ------------------------------------------------------------------------------ */

PyObject *pyapi_module(const char *name)
{
	PyObject *modules = py.PyImport_GetModuleDict();

	return modules ? py.PyDict_GetItemString(modules, name) : NULL;
}

PyObject *pyapi_main_globals(void)
{
	PyObject *main = pyapi_module("__main__");

	return main ? py.PyModule_GetDict(main) : NULL;
}

long pyapi_long_attr(PyObject *o, const char *name, long otherwise)
{
	PyObject *value = py.PyObject_GetAttrString(o, name);
	long n = otherwise;

	if (value) {
		n = py.PyLong_AsLong(value);
		py.Py_DecRef(value);
	}
	if (py.PyErr_Occurred()) {
		py.PyErr_Clear();
		return otherwise;
	}
	return n;
}

PyObject *pyapi_utf8(PyObject *text, const char **bytes, size_t *n)
{
	PyObject *encoded = NULL;
	char *at;
	ssize_t length;

	if (py.PyType_IsSubtype(pyapi_type(text), py.PyUnicode_Type))
		encoded = py.PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass");
	if (!encoded || py.PyBytes_AsStringAndSize(encoded, &at, &length) < 0) {
		py.PyErr_Clear();
		if (encoded)
			py.Py_DecRef(encoded);
		return NULL;
	}
	*bytes = at;
	*n = (size_t)length;
	return encoded;
}

PyObject *pyapi_module_name(PyObject *module)
{
	PyObject *dict = py.PyModule_GetDict(module);
	PyObject *name = dict ? py.PyDict_GetItemString(dict, "__name__") : module;

	py.PyErr_Clear();
	return name;
}

PyObject *pyapi_monitoring(void)
{
	PyObject *sys = pyapi_module("sys");
	PyObject *dict = sys ? py.PyModule_GetDict(sys) : NULL;

	return dict ? py.PyDict_GetItemString(dict, "monitoring") : NULL;
}

bool pyapi_others_see_calls(void)
{
	PyObject *m = pyapi_monitoring();
	PyObject *events = m ? py.PyObject_GetAttrString(m, "events") : NULL;
	long call = events ? pyapi_long_attr(events, "CALL", 0) : 0;
	int n = 0;

	for (int id = 0; call && id < 6; id++) {
		PyObject *set = py.PyObject_CallMethod(m, "get_events", "i", id);

		if (set && py.PyLong_AsLong(set) & call)
			n++;
		if (set)
			py.Py_DecRef(set);
	}
	py.PyErr_Clear();
	if (events)
		py.Py_DecRef(events);
	return n > 1;
}

void *pyapi_thread_current(void)
{
	return py.PyThreadState_GetUnchecked	? py.PyThreadState_GetUnchecked()
	       : py._PyThreadState_UncheckedGet ? py._PyThreadState_UncheckedGet()
						: NULL;
}

void *pyapi_thread_holding_gil(void)
{
	void *current = pyapi_thread_current();

	if (!current || current != py.PyGILState_GetThisThreadState() ||
	    !pyapi_in_main_interpreter())
		return NULL;
	return current;
}

bool pyapi_in_main_interpreter(void)
{
	void *thread = py.PyThreadState_Get();
	/* 3.8: PyThreadState.interp, behind the links of the list */
	void *interpreter = py.PyThreadState_GetInterpreter
				    ? py.PyThreadState_GetInterpreter(thread)
				    : ((void **)thread)[2];

	return interpreter == py.PyInterpreterState_Main();
}

static ssize_t extra_index = -1;
static int watcher = -1;
static void (*code_died)(void *code);

static int on_code_event(int event, PyObject *code)
{
	if (event == CODE_DESTROYED)
		code_died(code);
	return 0;
}

/*
 * An interpreter clears its watchers before its last code objects die, so if the watcher is unknown
 * now, all earlier code objects may have died.
 */
static int watch_all_code(bool *all_gone)
{
	if (watcher >= 0 && py.PyCode_ClearWatcher(watcher) < 0) {
		py.PyErr_Clear();
		*all_gone = true;
	}
	watcher = py.PyCode_AddWatcher(on_code_event);
	return watcher < 0 ? -1 : 0;
}

/*
 * Uses the destructor of co_extra. From 3.14 on, a function whose code has co_extra cannot be
 * passed to another interpreter, so there a watcher of all code objects is used.
 */
int pyapi_deaths_request(void (*died)(void *code), bool *all_gone)
{
	code_died = died;
	*all_gone = false;
	if (py.version >= 0x030e00 && py.PyCode_AddWatcher && py.PyCode_ClearWatcher)
		return watch_all_code(all_gone);
	if (py.PyUnstable_Eval_RequestCodeExtraIndex)
		extra_index = py.PyUnstable_Eval_RequestCodeExtraIndex(died);
	else if (py._PyEval_RequestCodeExtraIndex)
		extra_index = py._PyEval_RequestCodeExtraIndex(died);
	return extra_index < 0 ? -1 : 0;
}

int pyapi_deaths_watch(PyObject *code)
{
	int failed = -1;

	if (watcher >= 0)
		return 0;
	if (extra_index < 0)
		return -1;
	if (py.PyUnstable_Code_SetExtra)
		failed = py.PyUnstable_Code_SetExtra(code, extra_index, code);
	else if (py._PyCode_SetExtra)
		failed = py._PyCode_SetExtra(code, extra_index, code);
	if (failed)
		py.PyErr_Clear();
	return failed ? -1 : 0;
}
