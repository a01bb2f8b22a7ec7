/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the interpreter, and leaves all other programs alone.
 *
 * The constructor looks for PyImport_Inittab, CPython's table of built-in modules. If it is
 * missing, the program is not Python (yet), and nothing happens. Otherwise the table is replaced by
 * a copy in which the initialiser of `marshal` is ours. Every interpreter imports that module early
 * and with the GIL held. Ours calls the real one and then start_interpreter().
 *
 * A libpython that a program opens later is found at its first dlsym(). That function is
 * interposed; once an interpreter is found, it takes one branch more than the C library's.
 */
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "python/pyapi.h"
#include "record/clock.h"
#include "record/recording.h"
#include "session/session.h"
#include "session/start.h"
#include "system/config.h"
#include "system/libc.h"
#include "system/log.h"

#define PY_MOD_EXEC 2 /* moduleobject.h */

struct inittab {
	const char *name;
	PyObject *(*init)(void);
};

/* PyModuleDef: an object's head, m_init, m_index, m_copy, then these fields. */
struct module_def {
	void *base[5];
	const char *name, *doc;
	ptrdiff_t size;
	void *methods;
	struct module_slot {
		int id;
		void *value;
	} * slots;
};

static PyObject *(*real_marshal)(void);

/* --- inside the interpreter ------------------------------------------------------------------- */

/*
 * Py_mod_exec: runs in each interpreter that imports the module, even if the initialiser does not
 * run.
 */
static int marshal_exec(PyObject *module)
{
	(void)module;
	if (pyapi_in_main_interpreter())
		start_interpreter();
	else
		session_note_subinterpreter();
	return 0;
}

/* Adds a slot to the module's own. The array is never freed, because the definition is static. */
static void add_exec_slot(struct module_def *def)
{
	static struct module_slot *ours;
	size_t n = 0;

	if (ours && def->slots == ours)
		return;
	while (def->slots && def->slots[n].id)
		n++;
	ours = calloc(n + 2, sizeof(*ours));
	if (!ours)
		return;
	if (n)
		memcpy(ours, def->slots, n * sizeof(*ours));
	ours[n] = (struct module_slot){ PY_MOD_EXEC, (void *)marshal_exec };
	def->slots = ours;
}

static PyObject *init_marshal(void)
{
	PyObject *result = real_marshal();

	if (!result)
		return result;
	if (pyapi_type(result) == py.PyModuleDef_Type)
		add_exec_slot((struct module_def *)result);
	else
		marshal_exec(result);
	return result;
}

/* --- patching --------------------------------------------------------------------------------- */

/* Replaces the table by a patched copy: it may be read-only, and the program may look at it. */
static bool patch_inittab(struct inittab **table)
{
	struct inittab *copy;
	size_t n = 0, marshal;

	while ((*table)[n].name)
		n++;
	for (marshal = 0; marshal < n; marshal++) {
		if (!strcmp((*table)[marshal].name, "marshal"))
			break;
	}
	if (marshal == n)
		return false;
	copy = malloc((n + 1) * sizeof(*copy));
	if (!copy)
		return false;
	memcpy(copy, *table, (n + 1) * sizeof(*copy));
	real_marshal = copy[marshal].init;
	copy[marshal].init = init_marshal;
	*table = copy;
	return true;
}

/* True: an interpreter was found, and the search is over. */
static bool attach(void *handle)
{
	struct inittab **table = (struct inittab **)libc.dlsym(handle, "PyImport_Inittab");

	if (!table || !*table)
		return false;
	clock_init();
	if (pyapi_find(handle) && patch_inittab(table))
		pthread_atfork(session_before_fork, session_after_fork, session_forked);
	return true;
}

/* --- a libpython that is opened later --------------------------------------------------------- */

bool preload_searching;
static unsigned long long n_objects_seen;

struct search {
	unsigned long long n_added;
	char path[4096];
};

static int look_at_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *s = arg;
	const char *base;

	(void)size;
	/*
	 * The first object already has this number: with many objects, seeing them all takes a
	 * microsecond or more.
	 */
	if (info->dlpi_adds == n_objects_seen)
		return 1;
	s->n_added = info->dlpi_adds;
	base = strrchr(info->dlpi_name, '/');
	if (!strncmp(base ? base + 1 : info->dlpi_name, "libpython3", 10) &&
	    strlen(info->dlpi_name) < sizeof(s->path))
		strcpy(s->path, info->dlpi_name);
	return 0;
}

void preload_search(void)
{
	struct search s;
	int saved = errno;
	void *handle;

	s.n_added = n_objects_seen;
	s.path[0] = '\0';	   /* only this byte: clearing all takes longer than the search */
	preload_searching = false; /* the calls below call dlsym again */
	dl_iterate_phdr(look_at_object, &s);
	n_objects_seen = s.n_added;
	if (!s.path[0]) {
		preload_searching = true;
		errno = saved;
		return;
	}
	handle = dlopen(s.path, RTLD_NOLOAD | RTLD_LAZY);
	/* The handle stays open, so that the interpreter stays loaded. */
	preload_searching = !handle || !attach(handle);
	errno = saved;
}

__attribute__((constructor)) static void entry(void)
{
	libc_init();
	exec_init();
	if (config_disabled() || !libc.dlsym)
		return;
	preload_searching = !attach(RTLD_DEFAULT);
}
