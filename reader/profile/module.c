/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "module.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_SCRIPTS 64 /* folders of main scripts; sources that are added up have one each */

#define TEXT(s) ((struct text){ s, sizeof(s) - 1 })

static bool equal(struct text a, struct text b)
{
	return a.n == b.n && !text_cmp(a, b);
}

static bool starts(struct text t, struct text with)
{
	return t.n >= with.n && !memcmp(t.bytes, with.bytes, with.n);
}

static bool ends(struct text t, struct text with)
{
	return t.n >= with.n && !memcmp(t.bytes + t.n - with.n, with.bytes, with.n);
}

static struct text part(struct text t, size_t from, size_t to)
{
	return (struct text){ t.bytes + from, to - from };
}

/* The text up to the last `c`, or "" if there is no `c`. */
static struct text up_to_last(struct text t, char c)
{
	const char *at = t.n ? memrchr(t.bytes, c, t.n) : NULL;

	return part(t, 0, at ? (size_t)(at - t.bytes) : 0);
}

static struct text up_to_first(struct text t, char c)
{
	const char *at = t.n ? memchr(t.bytes, c, t.n) : NULL;

	return part(t, 0, at ? (size_t)(at - t.bytes) : t.n);
}

/* The last part of a path. */
static struct text base_of(struct text path)
{
	const char *slash = path.n ? memrchr(path.bytes, '/', path.n) : NULL;

	return part(path, slash ? (size_t)(slash + 1 - path.bytes) : 0, path.n);
}

/* --- C functions ------------------------------------------------------------------------------ */

/* The module of a qualified name: `json` of `json.loads`, else builtins. */
static struct text module_of(struct text qualified)
{
	struct text module = up_to_last(qualified, '.');

	return module.n ? module : TEXT("builtins");
}

/*
 * The labels of CPython and of cProfile:
 *
 *	<built-in method math.sqrt>, <math.sqrt>, <len>
 *	<method 'append' of 'collections.deque' objects>
 *	<slot wrapper '__init__' of 'dict' objects>
 *	<built-in method __new__ of type object>
 */
static struct text module_of_c(struct text label)
{
	const struct text method = TEXT("<built-in method ");
	struct text t = label;
	const char *of;

	if (t.n < 2 || t.bytes[0] != '<' || t.bytes[t.n - 1] != '>')
		return TEXT("builtins");
	t = part(t, starts(t, method) ? method.n : 1, t.n - 1);
	of = memmem(t.bytes, t.n, " of ", 4);
	if (of) {
		t = part(t, (size_t)(of + 4 - t.bytes), t.n);
		if (t.n && *t.bytes == '\'')
			t = up_to_first(part(t, 1, t.n), '\'');
	}
	return module_of(up_to_first(t, ' '));
}

/* --- paths ------------------------------------------------------------------------------------ */

/* python3.12 or python3.13t, in a folder such as lib or lib64. */
static bool is_stdlib_folder(struct text folder, struct text parent)
{
	const struct text python = TEXT("python");
	size_t at = python.n;

	if (!starts(parent, TEXT("lib")) || !starts(folder, python))
		return false;
	while (at < folder.n &&
	       (folder.bytes[at] == '.' || (folder.bytes[at] >= '0' && folder.bytes[at] <= '9')))
		at++;
	if (at < folder.n && folder.bytes[at] == 't')
		at++;
	return at > python.n && at == folder.n && memchr(folder.bytes, '.', folder.n);
}

static bool is_archive(struct text folder)
{
	static const char *const suffix[] = { ".zip", ".egg", ".whl", ".pyz", ".pex" };

	for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++) {
		if (folder.n > 4 && ends(folder, (struct text){ suffix[i], 4 }))
			return true;
	}
	return false;
}

/* python312.zip, which may hold the standard library. */
static bool is_stdlib_archive(struct text folder)
{
	return is_archive(folder) && starts(folder, TEXT("python")) && folder.n > 10 &&
	       folder.bytes[6] >= '0' && folder.bytes[6] <= '9';
}

/* The kind of a root that ends with this folder. `before` is that of the root so far. */
static enum module_home home_of(struct text folder, struct text parent, enum module_home before)
{
	if (equal(folder, TEXT("site-packages")) || equal(folder, TEXT("dist-packages")))
		return MODULE_SITE;
	if (before != MODULE_SITE && is_stdlib_folder(folder, parent))
		return MODULE_STDLIB;
	if (before == MODULE_STDLIB && equal(folder, TEXT("lib-dynload")))
		return MODULE_STDLIB;
	if (is_archive(folder))
		return is_stdlib_archive(folder) ? MODULE_STDLIB : MODULE_ARCHIVE;
	return MODULE_OWN;
}

static struct module_place place_of_path(struct text path)
{
	struct module_place place = { .home = MODULE_OWN };
	struct text parent = { path.bytes, 0 };
	size_t root = 0, from = 0;

	for (const char *slash; (slash = memchr(path.bytes + from, '/', path.n - from));) {
		size_t to = (size_t)(slash - path.bytes);
		struct text folder = part(path, from, to);
		enum module_home home = home_of(folder, parent, place.home);

		from = to + 1;
		parent = folder;
		if (home == MODULE_OWN || from == path.n)
			continue;
		place.home = home;
		root = to;
	}
	if (place.home == MODULE_OWN)
		root = from ? from - 1 : 0;
	place.root = part(path, 0, root);
	place.rest = part(path, root + (root || (path.n && *path.bytes == '/')), path.n);
	return place;
}

struct module_place module_place(struct text file, struct text name)
{
	const struct text frozen = TEXT("<frozen ");
	struct module_place place = { .root = TEXT(""), .rest = file };

	if (file.n == 1 && *file.bytes == '~') {
		place.home = MODULE_C;
		place.rest = module_of_c(name);
	} else if (file.n > frozen.n + 1 && starts(file, frozen) && ends(file, TEXT(">"))) {
		place.home = MODULE_FROZEN;
		place.rest = part(file, frozen.n, file.n - 1);
	} else if (file.n > 1 && *file.bytes == '<' && file.bytes[file.n - 1] == '>') {
		place.home = MODULE_UNNAMED;
	} else {
		place = place_of_path(file);
	}
	return place;
}

/* --- folders of own code ---------------------------------------------------------------------- */

/* The index of a folder, or SIZE_MAX without memory. */
static size_t folder_add(struct modules *m, struct text folder)
{
	size_t n = m->folders.n_fns;
	size_t at = profile_caller_add(&m->folders, folder, 0, TEXT(""));
	signed char *state;

	if (at == SIZE_MAX || at < n)
		return at;
	if (n == m->cap_state) {
		state = realloc(m->state, 2 * n + 64);
		if (!state)
			return SIZE_MAX;
		m->state = state;
		m->cap_state = 2 * n + 64;
	}
	m->state[at] = -1;
	return at;
}

/* True if the file exists. Nothing is looked up for relative paths. */
static bool has_init(struct text folder)
{
	char *path;
	bool there;

	if (!folder.n || *folder.bytes != '/' || memchr(folder.bytes, '\0', folder.n) ||
	    folder.n > 4000)
		return false;
	if (asprintf(&path, "%.*s/__init__.py", (int)folder.n, folder.bytes) < 0)
		return false;
	there = access(path, F_OK) == 0;
	free(path);
	return there;
}

/* 1: the folder is a package, 0: it is not, or -ENOMEM. */
static int is_package(struct modules *m, struct text folder)
{
	size_t at = folder_add(m, folder);

	if (at == SIZE_MAX)
		return -ENOMEM;
	if (m->state[at] < 0)
		m->state[at] = has_init(folder);
	return m->state[at];
}

static int learn_package(struct modules *m, struct text file)
{
	const struct text init = TEXT("/__init__.py");
	size_t at;

	if (!ends(file, init))
		return 0;
	at = folder_add(m, part(file, 0, file.n - init.n));
	if (at == SIZE_MAX)
		return -ENOMEM;
	m->state[at] = 1;
	return 0;
}

static int learn_script(struct modules *m, const struct profile_fn *fn, struct text folder)
{
	struct text *more;

	if (!fn->listed || !equal(fn->name, TEXT("<module>")) || !folder.n ||
	    *folder.bytes != '/' || m->n_scripts == MAX_SCRIPTS || !module_calls_without_caller(fn))
		return 0;
	for (size_t i = 0; i < m->n_scripts; i++) {
		if (equal(m->script[i], folder))
			return 0;
	}
	more = reallocarray(m->script, m->n_scripts + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	m->script = more;
	if (texts_keep(&m->texts, &folder))
		return -ENOMEM;
	m->script[m->n_scripts++] = folder;
	return 0;
}

uint64_t module_calls_without_caller(const struct profile_fn *fn)
{
	uint64_t n = fn->counts.n_calls;

	for (size_t i = 0; i < fn->n_callers; i++) {
		uint64_t by = fn->caller[i].counts.n_calls;

		n = n > by ? n - by : 0;
	}
	return n;
}

int modules_init(struct modules *m, const struct profile *p, bool sites)
{
	int err = 0;

	memset(m, 0, sizeof(*m));
	profile_init(&m->folders);
	distributions_init(&m->sites);
	for (size_t i = 0; i < p->n_fns && !err; i++) {
		const struct profile_fn *fn = &p->fn[i];
		struct module_place place = module_place(fn->file, fn->name);

		if (place.home == MODULE_OWN)
			err = learn_package(m, fn->file);
		if (place.home == MODULE_OWN && !err)
			err = learn_script(m, fn, place.root);
		if (place.home == MODULE_SITE && sites && !err)
			err = distributions_read(&m->sites, place.root);
	}
	return err;
}

void modules_fini(struct modules *m)
{
	profile_fini(&m->folders);
	distributions_fini(&m->sites);
	texts_fini(&m->texts);
	free(m->state);
	free(m->script);
	free(m->name);
	memset(m, 0, sizeof(*m));
}

/* True if each folder could be a part of a module's name. ASCII is checked. */
static bool are_names(struct text folders)
{
	bool first = true;

	for (size_t i = 0; i < folders.n; i++) {
		unsigned char c = (unsigned char)folders.bytes[i];
		bool digit = c >= '0' && c <= '9';

		if (c == '/') {
			first = true;
			continue;
		}
		if (c < 0x80 && c != '_' && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    (!digit || first))
			return false;
		first = false;
	}
	return true;
}

/* True if `folder` may be a namespace package below the folder of a main script. */
static bool is_below(struct text folder, struct text script)
{
	return starts(folder, script) && folder.n > script.n && folder.bytes[script.n] == '/' &&
	       are_names(part(folder, script.n + 1, folder.n));
}

/* Moves the root of an own file up to that of its package. 0 or -ENOMEM. */
static int climb(struct modules *m, struct text file, struct module_place *place)
{
	struct text root = place->root;
	int package = 1;

	while (root.n && (package = is_package(m, root)) > 0)
		root = up_to_last(root, '/');
	if (package < 0)
		return package;
	for (size_t i = 0; i < m->n_scripts && place->root.n == root.n; i++) {
		if (is_below(root, m->script[i]))
			root = m->script[i];
	}
	place->root = part(file, 0, root.n);
	place->rest = part(file, root.n + (root.n || (file.n && *file.bytes == '/')), file.n);
	return 0;
}

static int find_place(struct modules *m, const struct profile_fn *fn, struct module_place *place)
{
	*place = module_place(fn->file, fn->name);
	return place->home == MODULE_OWN ? climb(m, fn->file, place) : 0;
}

/* --- names ------------------------------------------------------------------------------------ */

static int make_room(struct modules *m, size_t n)
{
	char *more;

	if (n <= m->cap_name)
		return 0;
	more = realloc(m->name, n);
	if (!more)
		return -ENOMEM;
	m->name = more;
	m->cap_name = n;
	return 0;
}

static struct text without_suffix(struct text file)
{
	static const char *const suffix[] = { ".py", ".pyw", ".pyc" };

	for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++) {
		struct text s = { suffix[i], strlen(suffix[i]) };

		if (file.n > s.n && ends(file, s))
			return part(file, 0, file.n - s.n);
	}
	return file;
}

/* Turns pkg/mod.py into pkg.mod, and pkg/__init__.py into pkg. */
static int put_dotted(struct modules *m, struct text rest, struct text *name)
{
	const struct text init = TEXT("/__init__");
	struct text stem = without_suffix(rest);

	if (stem.n > init.n && ends(stem, init))
		stem.n -= init.n;
	if (make_room(m, stem.n + 1))
		return -ENOMEM;
	for (size_t i = 0; i < stem.n; i++)
		m->name[i] = stem.bytes[i];
	for (size_t i = 0; i < stem.n; i++) {
		if (m->name[i] == '/')
			m->name[i] = '.';
	}
	*name = (struct text){ m->name, stem.n };
	return 0;
}

int modules_name(struct modules *m, const struct profile_fn *fn, struct text *name)
{
	const struct text init = TEXT(".__init__");
	struct module_place place;

	if (find_place(m, fn, &place))
		return -ENOMEM;
	if (place.home == MODULE_FROZEN && place.rest.n > init.n && ends(place.rest, init))
		place.rest.n -= init.n;
	*name = place.rest;
	if (place.home == MODULE_C || place.home == MODULE_FROZEN || place.home == MODULE_UNNAMED)
		return 0;
	return put_dotted(m, place.rest, name);
}

/* --- packages --------------------------------------------------------------------------------- */

/* The package of a module without a file. */
static struct text package_of_module(const struct modules *m, struct text module)
{
	struct text top = up_to_first(module, '.'), name;

	if (distribution_is_python(top))
		return TEXT("python");
	return distributions_find_module(&m->sites, module, &name) ? name : top;
}

/* The package of a file in site-packages: without a known distribution, the top-level module. */
static struct text package_of_site(const struct modules *m, const struct module_place *place)
{
	struct text top = up_to_first(place->rest, '/'), name;

	if (distributions_find(&m->sites, place->root, place->rest, &name))
		return name;
	return top.n == place->rest.n ? without_suffix(top) : top;
}

/* The distribution of an egg or wheel is the first part of its name; other archives are apps. */
static struct text package_of_archive(struct text root)
{
	struct text base = base_of(root);

	if (ends(base, TEXT(".egg")) || ends(base, TEXT(".whl")))
		return up_to_first(part(base, 0, base.n - 4), '-');
	return root;
}

int modules_package(struct modules *m, const struct profile_fn *fn, struct text *name)
{
	struct module_place place;

	if (find_place(m, fn, &place))
		return -ENOMEM;
	switch (place.home) {
	case MODULE_C:
	case MODULE_FROZEN:
		*name = package_of_module(m, place.rest);
		break;
	case MODULE_STDLIB:
		*name = TEXT("python");
		break;
	case MODULE_SITE:
		*name = package_of_site(m, &place);
		break;
	case MODULE_ARCHIVE:
		*name = package_of_archive(place.root);
		break;
	case MODULE_UNNAMED:
		*name = place.rest;
		break;
	case MODULE_OWN:
		*name = place.root.n		      ? place.root
			: starts(fn->file, TEXT("/")) ? TEXT("/")
						      : TEXT(".");
		break;
	}
	return 0;
}
