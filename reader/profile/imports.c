/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "imports.h"

#include <errno.h>
#include <stdlib.h>

/* Modules whose functions are importing. */
static const char *const importing[] = {
	"_imp",
	"_frozen_importlib",
	"_frozen_importlib_external",
	"imp",
	"importlib",
	"importlib.abc",
	"importlib._abc",
	"importlib._bootstrap",
	"importlib._bootstrap_external",
	"importlib.util",
	"importlib.machinery",
	"zipimport",
};

/* Modules that run a main script. */
static const char *const running[] = {
	"runpy", "cProfile", "profile", "profiling.tracing", "profiling.tracing.__main__",
	"trace", "bdb",	     "pdb"
};

enum role {
	ROLE_OTHER,
	ROLE_IMPORTING,
	ROLE_RUNNING, /* runs main scripts */
	ROLE_EXEC,    /* exec(): runs main scripts and modules */
	ROLE_CODE,    /* module-level code of a file */
};

static bool is(struct text t, const char *s)
{
	return t.n == strlen(s) && !memcmp(t.bytes, s, t.n);
}

static bool is_in(struct text t, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is(t, list[i]))
			return true;
	}
	return false;
}

#define IS_IN(text, list) is_in(text, list, sizeof(list) / sizeof((list)[0]))

static enum role role_of(const struct profile_fn *fn, struct text module)
{
	struct module_place place = module_place(fn->file, fn->name);

	if (is(fn->name, "<built-in method builtins.__import__>"))
		return ROLE_IMPORTING;
	if (is(fn->name, "<built-in method builtins.exec>"))
		return ROLE_EXEC;
	if (place.home != MODULE_C && place.home != MODULE_UNNAMED && is(fn->name, "<module>"))
		return ROLE_CODE;
	if (IS_IN(module, importing))
		return ROLE_IMPORTING;
	return IS_IN(module, running) ? ROLE_RUNNING : ROLE_OTHER;
}

/* The calls of a function without a caller, or by one that runs main scripts. */
static uint64_t calls_to_run(const struct profile *p, const enum role *role, size_t fn)
{
	uint64_t n = module_calls_without_caller(&p->fn[fn]);

	for (size_t i = 0; i < p->fn[fn].n_callers; i++) {
		const struct profile_edge *e = &p->fn[fn].caller[i];

		if (role[e->caller] == ROLE_RUNNING)
			n += e->counts.n_calls;
	}
	return n;
}

static bool is_called_by_exec(const struct profile *p, const enum role *role, size_t fn)
{
	for (size_t i = 0; i < p->fn[fn].n_callers; i++) {
		if (role[p->fn[fn].caller[i].caller] == ROLE_EXEC)
			return true;
	}
	return false;
}

/* Takes one main script out of the imports that exec() has called. False: there are no more. */
static bool take_script(const struct profile *p, const enum role *role, bool *is_import)
{
	size_t largest = SIZE_MAX;

	for (size_t i = 0; i < p->n_fns; i++) {
		if (role[i] != ROLE_CODE || !is_import[i] || !is_called_by_exec(p, role, i))
			continue;
		if (largest == SIZE_MAX || p->fn[i].counts.total_s > p->fn[largest].counts.total_s)
			largest = i;
	}
	if (largest != SIZE_MAX)
		is_import[largest] = false;
	return largest != SIZE_MAX;
}

#define MAX_SCRIPTS 64 /* that exec() ran */

static void decide(const struct profile *p, const enum role *role, bool *is_import)
{
	uint64_t n_scripts = 0;

	for (size_t i = 0; i < p->n_fns; i++) {
		is_import[i] = role[i] == ROLE_IMPORTING ||
			       (role[i] == ROLE_CODE && !calls_to_run(p, role, i));
		if (role[i] == ROLE_EXEC && p->fn[i].listed)
			n_scripts += calls_to_run(p, role, i);
	}
	for (uint64_t i = 0; i < n_scripts && i < MAX_SCRIPTS; i++) {
		if (!take_script(p, role, is_import))
			break;
	}
}

int imports_find(const struct profile *p, struct modules *m, bool *is_import)
{
	enum role *role = calloc(p->n_fns + 1, sizeof(*role));
	int err = role ? 0 : -ENOMEM;

	for (size_t i = 0; i < p->n_fns && !err; i++) {
		struct text module;

		err = modules_name(m, &p->fn[i], &module);
		if (!err)
			role[i] = role_of(&p->fn[i], module);
	}
	if (!err)
		decide(p, role, is_import);
	free(role);
	return err;
}
