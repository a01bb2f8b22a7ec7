/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files and labels to modules and packages. The names in the tables are those that Python gives:
 * tests/integration/test_by_module.py asks it about real programs.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profile/module.h"
#include "tests/run.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct text text(const char *s)
{
	return (struct text){ s, strlen(s) };
}

static void assert_text(struct text t, const char *want)
{
	if (t.n != strlen(want) || memcmp(t.bytes, want, t.n) != 0)
		ck_abort_msg("found '%.*s', expected '%s'", (int)t.n, t.bytes, want);
}

struct row {
	const char *file, *name, *module, *package;
};

/* Each file alone, none of which exists here. */
static const struct row rows[] = {
	{ "~", "<built-in method builtins.len>", "builtins", "python" },
	{ "~", "<built-in method math.sqrt>", "math", "python" },
	{ "~", "<built-in method numpy.core._multiarray_umath.dot>", "numpy.core._multiarray_umath",
	  "numpy" },
	{ "~", "<built-in method fromkeys>", "builtins", "python" },
	{ "~", "<built-in method __new__ of type object>", "builtins", "python" },
	{ "~", "<built-in method __new__ of type object at 0x7f00>", "builtins", "python" },
	{ "~", "<method 'append' of 'list' objects>", "builtins", "python" },
	{ "~", "<method 'append' of 'collections.deque' objects>", "collections", "python" },
	{ "~", "<method 'execute' of 'sqlite3.Cursor' objects>", "sqlite3", "python" },
	{ "~", "<method 'f' of 'own.ext.Type' objects>", "own.ext", "own" },
	{ "~", "<slot wrapper '__init__' of 'dict' objects>", "builtins", "python" },
	{ "~", "<math.sqrt>", "math", "python" },
	{ "~", "<len>", "builtins", "python" },
	{ "~", "", "builtins", "python" },
	{ "~", "<", "builtins", "python" },
	{ "~", "<>", "builtins", "python" },
	{ "~", "<method 'x' of '", "builtins", "python" },
	{ "~", "<method 'x' of '>", "builtins", "python" },
	{ "<frozen importlib._bootstrap>", "f", "importlib._bootstrap", "python" },
	{ "<frozen os>", "f", "os", "python" },
	{ "<frozen json.__init__>", "f", "json", "python" },
	{ "<frozen >", "f", "<frozen >", "<frozen >" },
	{ "<string>", "f", "<string>", "<string>" },
	{ "<", "f", "<", "." },
	{ "/usr/lib/python3.12/json/decoder.py", "f", "json.decoder", "python" },
	{ "/usr/lib/python3.12/json/__init__.py", "f", "json", "python" },
	{ "/usr/lib/python3.12/os.py", "f", "os", "python" },
	{ "/opt/py/lib64/python3.13t/os.py", "f", "os", "python" },
	{ "/usr/lib/python3.12/lib-dynload/x.py", "f", "x", "python" },
	{ "/usr/lib/python312.zip/json/decoder.py", "f", "json.decoder", "python" },
	{ "/none/lib/python3/dist-packages/yaml/nodes.py", "f", "yaml.nodes", "yaml" },
	{ "/none/lib/python3/dist-packages/six.py", "f", "six", "six" },
	{ "/v/lib/python3.8/site-packages/a/b/__init__.py", "f", "a.b", "a" },
	{ "/v/lib/python3.8/site-packages/google/cloud/x.py", "f", "google.cloud.x", "google" },
	{ "/v/site-packages/a/lib/python3.9/b.py", "f", "a.lib.python3.9.b", "a" },
	{ "/v/site-packages/foo_x-1.0-py3.8.egg/foo/bar.py", "f", "foo.bar", "foo_x" },
	{ "/p/installed/foo-1.0-py3-none-any.whl/foo/bar.py", "f", "foo.bar", "foo" },
	{ "/home/u/app.pyz/pkg/mod.py", "f", "pkg.mod", "/home/u/app.pyz" },
	{ "/home/u/app.zip/__main__.py", "f", "__main__", "/home/u/app.zip" },
	{ "/home/u/app.zip/", "f", "", "/home/u/app.zip" },
	{ "/home/u/site-packages", "f", "site-packages", "/home/u" },
	{ "/home/u/app.py", "f", "app", "/home/u" },
	{ "/home/u/lib/pythonic/app.py", "f", "app", "/home/u/lib/pythonic" },
	{ "/usr/bin/hg", "f", "hg", "/usr/bin" },
	{ "/home/u/t/index.html", "f", "index.html", "/home/u/t" },
	{ "/app.py", "f", "app", "/" },
	{ "app.py", "f", "app", "." },
	{ "bin/app.py", "f", "app", "bin" },
	{ ".py", "f", ".py", "." },
	{ "/", "f", "", "/" },
	{ "", "f", "", "." },
};

START_TEST(a_file_alone_names_its_module)
{
	const struct row *r = &rows[_i];
	const struct profile_fn *fn;
	struct modules m;
	struct profile p;
	struct text name;

	profile_init(&p);
	profile_fn_add(&p, text(r->file), 0, text(r->name), text(""));
	fn = &p.fn[0];
	ck_assert_int_eq(modules_init(&m, &p, true), 0);
	ck_assert_int_eq(modules_name(&m, fn, &name), 0);
	assert_text(name, r->module);
	ck_assert_int_eq(modules_package(&m, fn, &name), 0);
	assert_text(name, r->package);
	modules_fini(&m);
	profile_fini(&p);
}
END_TEST

static void assert_modules(const struct row *want, size_t n, const char *script)
{
	struct modules m;
	struct profile p;
	struct text name;

	profile_init(&p);
	for (size_t i = 0; i < n; i++)
		profile_fn_add(&p, text(want[i].file), 1, text("f"), text(""));
	if (script) {
		size_t fn = profile_fn_add(&p, text(script), 1, text("<module>"), text(""));

		p.fn[fn].counts.n_calls = 1;
	}
	ck_assert_int_eq(modules_init(&m, &p, false), 0);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(modules_name(&m, &p.fn[i], &name), 0);
		assert_text(name, want[i].module);
		ck_assert_int_eq(modules_package(&m, &p.fn[i], &name), 0);
		assert_text(name, want[i].package);
	}
	modules_fini(&m);
	profile_fini(&p);
}

/* No file exists, so only the profile says where packages are. */
START_TEST(folders_of_packages_are_known_from_the_profile)
{
	static const struct row want[] = {
		{ "/x/pkg/__init__.py", "", "pkg", "/x" },
		{ "/x/pkg/mod.py", "", "pkg.mod", "/x" },
		{ "/x/pkg/__main__.py", "", "pkg.__main__", "/x" },
		{ "/x/pkg/sub/__init__.py", "", "pkg.sub", "/x" },
		{ "/x/pkg/sub/mod.py", "", "pkg.sub.mod", "/x" },
		{ "/x/pkg/bare/mod.py", "", "mod", "/x/pkg/bare" },
		{ "/x/other/mod.py", "", "mod", "/x/other" },
		{ "rel/__init__.py", "", "rel", "." },
		{ "rel/mod.py", "", "rel.mod", "." },
		{ "/top/__init__.py", "", "top", "/" },
		{ "/top/mod.py", "", "top.mod", "/" },
	};

	assert_modules(want, N(want), NULL);
}
END_TEST

START_TEST(namespace_packages_are_below_the_script)
{
	static const struct row want[] = {
		{ "/x/ns/mod.py", "", "ns.mod", "/x" },
		{ "/x/ns/deep/mod.py", "", "ns.deep.mod", "/x" },
		{ "/x/mod.py", "", "mod", "/x" },
		{ "/x/no-name/mod.py", "", "mod", "/x/no-name" },
		{ "/x/.venv/mod.py", "", "mod", "/x/.venv" },
		{ "/x/2to3/mod.py", "", "mod", "/x/2to3" },
		{ "/xy/ns/mod.py", "", "mod", "/xy/ns" },
		{ "/x/src/pkg/__init__.py", "", "pkg", "/x/src" },
	};

	assert_modules(want, N(want), "/x/app.py");
}
END_TEST

/* --- files that exist ------------------------------------------------------------------------- */

static char root[64];

static void put(const char *path, const char *content)
{
	char whole[256];
	FILE *f;

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	for (char *slash = strchr(whole + strlen(root) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(whole, 0700);
		*slash = '/';
	}
	f = fopen(whole, "w");
	ck_assert_ptr_nonnull(f);
	fputs(content, f);
	fclose(f);
}

static void setup(void)
{
	snprintf(root, sizeof(root), "/tmp/test_module.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	ck_assert_int_eq(system(command), 0);
}

static size_t add(struct profile *p, const char *path)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	return profile_fn_add(p, text(whole), 1, text("f"), text(""));
}

START_TEST(packages_are_looked_up_on_this_machine)
{
	struct modules m;
	struct profile p;
	struct text name;
	size_t fn;

	put("top/pkg/__init__.py", "");
	put("top/pkg/sub/__init__.py", "");
	profile_init(&p);
	fn = add(&p, "top/pkg/sub/mod.py");
	ck_assert_int_eq(modules_init(&m, &p, false), 0);
	ck_assert_int_eq(modules_name(&m, &p.fn[fn], &name), 0);
	assert_text(name, "pkg.sub.mod");
	modules_fini(&m);
	profile_fini(&p);
}
END_TEST

#define SITE "lib/python3.9/site-packages/"

static void put_distributions(void)
{
	put(SITE "PyYAML-6.0.dist-info/METADATA",
	    "Metadata-Version: 2.1\nName: PyYAML\n\nName: no\n");
	put(SITE "PyYAML-6.0.dist-info/top_level.txt", "_yaml\nyaml\n");
	put(SITE "ns_one-1.dist-info/METADATA", "Name: ns-one\r\n");
	put(SITE "ns_one-1.dist-info/RECORD",
	    "ns/one.py,sha256=x,1\n\"ns/a,b.py\",,\nns_one-1.dist-info/RECORD,,\n../../../bin/x.py,,\n");
	put(SITE "ns_two-1.dist-info/METADATA", "Name: ns-two\n");
	put(SITE "ns_two-1.dist-info/RECORD", "ns/two.py,,\nsix.py,,\nfast.cpython-39.so,,\n");
	put(SITE "Old-1.egg-info/PKG-INFO", "Name: Old\n");
	put(SITE "Old-1.egg-info/top_level.txt", "old\n");
	put(SITE "single-1.egg-info", "Name: single\n");
	put(SITE "empty-1.dist-info/top_level.txt", "empty");
}

START_TEST(distributions_are_read_from_their_folder)
{
	static const struct {
		const char *file, *package;
	} want[] = {
		{ SITE "yaml/nodes.py", "PyYAML" }, { SITE "_yaml/__init__.py", "PyYAML" },
		{ SITE "ns/one.py", "ns-one" },	    { SITE "ns/a,b.py", "ns-one" },
		{ SITE "ns/two.py", "ns-two" },	    { SITE "ns/other.py", "ns" }, /* of several */
		{ SITE "six.py", "ns-two" },	    { SITE "old/x.py", "Old" },
		{ SITE "single/x.py", "single" },   { SITE "empty/x.py", "empty" },
		{ SITE "unknown.py", "unknown" },
	};
	struct modules m;
	struct profile p;
	struct text name;
	size_t c;

	put_distributions();
	profile_init(&p);
	for (size_t i = 0; i < N(want); i++)
		ck_assert_uint_eq(add(&p, want[i].file), i);
	c = profile_fn_add(&p, text("~"), 0, text("<built-in method fast.f>"), text(""));
	ck_assert_int_eq(modules_init(&m, &p, true), 0);
	for (size_t i = 0; i < N(want); i++) {
		ck_assert_int_eq(modules_package(&m, &p.fn[i], &name), 0);
		assert_text(name, want[i].package);
	}
	ck_assert_int_eq(modules_package(&m, &p.fn[c], &name), 0);
	assert_text(name, "ns-two");
	modules_fini(&m);
	profile_fini(&p);
}
END_TEST

/* A recording may name a folder that another user has made. */
START_TEST(a_pipe_is_not_read)
{
	char pipe[256];
	struct modules m;
	struct profile p;
	struct text name;

	put(SITE "x-1.dist-info/METADATA", "Name: X\n");
	snprintf(pipe, sizeof(pipe), "%s/" SITE "x-1.dist-info/RECORD", root);
	ck_assert_int_eq(mkfifo(pipe, 0600), 0);
	profile_init(&p);
	add(&p, SITE "x/y.py");
	ck_assert_int_eq(modules_init(&m, &p, true), 0);
	ck_assert_int_eq(modules_package(&m, &p.fn[0], &name), 0);
	assert_text(name, "x");
	modules_fini(&m);
	profile_fini(&p);
}
END_TEST

START_TEST(the_standard_library_is_sorted)
{
	static const char *const names[] = {
#define STDLIB(name) #name,
#include "profile/stdlib.def"
#undef STDLIB
	};

	for (size_t i = 0; i < N(names); i++) {
		ck_assert(distribution_is_python(text(names[i])));
		ck_assert(!i || strcmp(names[i - 1], names[i]) < 0);
	}
	ck_assert(!distribution_is_python(text("numpy")));
	ck_assert(!distribution_is_python(text("")));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("module"), *files = tcase_create("files");
	Suite *suite = suite_create("module");

	tcase_add_loop_test(t, a_file_alone_names_its_module, 0, N(rows));
	tcase_add_test(t, folders_of_packages_are_known_from_the_profile);
	tcase_add_test(t, namespace_packages_are_below_the_script);
	tcase_add_test(t, the_standard_library_is_sorted);
	tcase_add_checked_fixture(files, setup, teardown);
	tcase_add_test(files, packages_are_looked_up_on_this_machine);
	tcase_add_test(files, distributions_are_read_from_their_folder);
	tcase_add_test(files, a_pipe_is_not_read);
	suite_add_tcase(suite, t);
	suite_add_tcase(suite, files);
	return run(suite);
}
