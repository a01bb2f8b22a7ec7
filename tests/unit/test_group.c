/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Functions that are added up. Random trees of calls, and what groups took by a slow computation
 * that goes through the path of each node: an independent truth for the sums of contexts, and for
 * the bounds that functions and caller edges give. Times are whole numbers, so sums are exact.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/contexts_sum.h"
#include "profile/group.h"
#include "tests/run.h"

#define FUNCTIONS 12
#define MAX_NODES 120
#define NONE (-1)
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define ROUNDS 400

/* A tree: node 0 is the root, and each other node is a call path. */
struct tree {
	int n;
	int parent[MAX_NODES];
	int fn[MAX_NODES];
	int n_calls[MAX_NODES];
	int self[MAX_NODES];
};

static unsigned random_state;

static int pick(int n)
{
	random_state = random_state * 1103515245u + 12345u;
	return (int)(random_state >> 16) % n;
}

static bool has_child(const struct tree *t, int parent, int fn)
{
	for (int i = 1; i < t->n; i++) {
		if (t->parent[i] == parent && t->fn[i] == fn)
			return true;
	}
	return false;
}

static void make_tree(struct tree *t, unsigned seed)
{
	int spread;

	random_state = seed * 2654435761u + 1;
	spread = 1 + pick(20);
	t->n = 1;
	while (t->n < 20 + pick(MAX_NODES - 20)) {
		int parent = t->n - 1 - pick(spread), fn = pick(FUNCTIONS);

		parent = parent < 0 ? 0 : parent;
		if (has_child(t, parent, fn))
			continue;
		t->parent[t->n] = parent;
		t->fn[t->n] = fn;
		t->n_calls[t->n] = 1 + pick(9);
		t->self[t->n++] = pick(100);
	}
}

/* --- the truth -------------------------------------------------------------------------------- */

struct numbers {
	int n_calls, n_primitive, self, total;
};

static int group_at(const struct tree *t, const int *group, int n)
{
	return n ? group[t->fn[n]] : NONE;
}

/* The nearest ancestor whose function has a group, or 0. */
static int caller_of(const struct tree *t, const int *group, int n)
{
	for (n = t->parent[n]; n && group_at(t, group, n) == NONE; n = t->parent[n])
		;
	return n;
}

static int total_of(const struct tree *t, int x)
{
	int sum = 0;

	for (int n = 1; n < t->n; n++) {
		for (int at = n; at; at = t->parent[at]) {
			if (at == x)
				sum += t->self[n];
		}
	}
	return sum;
}

/* `caller` NONE: all calls of the group. */
static bool is_call(const struct tree *t, const int *group, int n, int caller, int callee)
{
	if (group_at(t, group, n) != callee)
		return false;
	return caller == NONE ||
	       (caller_of(t, group, n) && group_at(t, group, caller_of(t, group, n)) == caller);
}

static struct numbers truth(const struct tree *t, const int *group, int caller, int callee)
{
	struct numbers sum = { 0 };

	for (int n = 1; n < t->n; n++) {
		bool nested = false;

		if (!is_call(t, group, n, caller, callee))
			continue;
		for (int at = t->parent[n]; at; at = t->parent[at])
			nested |= is_call(t, group, at, caller, callee);
		sum.n_calls += t->n_calls[n];
		sum.self += t->self[n];
		if (!nested) {
			sum.n_primitive += t->n_calls[n];
			sum.total += total_of(t, n);
		}
	}
	return sum;
}

static void assert_exact(const struct profile_counts *c, struct numbers want)
{
	ck_assert_int_eq((int)c->n_calls, want.n_calls);
	ck_assert_int_eq((int)c->n_primitive, want.n_primitive);
	ck_assert_double_eq(c->self_s, want.self);
	ck_assert_double_eq(c->total_s, want.total);
}

static void assert_at_least(const struct profile_counts *c, struct numbers want)
{
	ck_assert_int_eq((int)c->n_calls, want.n_calls);
	ck_assert_double_eq(c->self_s, want.self);
	ck_assert_int_ge((int)c->n_primitive, want.n_primitive);
	ck_assert_double_ge(c->total_s, want.total - 1e-6);
}

/* --- as contexts and as a profile ------------------------------------------------------------- */

static struct text named(char *buffer, const char *what, int i)
{
	return (struct text){ buffer, (size_t)sprintf(buffer, "%s%d", what, i) };
}

/* A function's file decides its group: module gN. */
static size_t add_fn(struct profile *p, int fn, int group)
{
	char file[32], name[16];
	int n = sprintf(file, "/x/g%d.py", group);

	return profile_fn_add(p, (struct text){ file, (size_t)n }, fn + 1, named(name, "f", fn),
			      (struct text){ "", 0 });
}

static void add_contexts(struct contexts *c, const struct tree *t, const int *group)
{
	uint32_t place[MAX_NODES] = { 0 };

	place[0] = contexts_level(c, 0, (struct text){ "p", 1 }, CONTEXT_PROCESS);
	place[0] = contexts_level(c, place[0], (struct text){ "t", 1 }, CONTEXT_THREAD);
	for (int n = 1; n < t->n; n++) {
		const struct context count = { .n_calls = (uint64_t)t->n_calls[n],
					       .self_s = t->self[n] };
		size_t fn = add_fn(&c->names, t->fn[n], group[t->fn[n]]);

		place[n] = contexts_child(c, place[t->parent[n]], (uint32_t)fn, 0);
		contexts_count(c, place[n], &count);
	}
}

static struct profile_counts as_counts(struct numbers n)
{
	return (struct profile_counts){ .n_calls = (uint64_t)n.n_calls,
					.n_primitive = (uint64_t)n.n_primitive,
					.self_s = n.self,
					.total_s = n.total };
}

/* Adds the functions and edges of a tree, as a profiler would count them. */
static void add_profile(struct profile *p, const struct tree *t, const int *group)
{
	int each[FUNCTIONS];

	for (int f = 0; f < FUNCTIONS; f++)
		each[f] = f;
	for (int f = 0; f < FUNCTIONS; f++) {
		struct profile_counts counts = as_counts(truth(t, each, NONE, f));
		size_t at = add_fn(p, f, group[f]);

		profile_counts_add(&p->fn[at].counts, &counts);
	}
	for (int f = 0; f < FUNCTIONS; f++) {
		for (int by = 0; by < FUNCTIONS; by++) {
			struct profile_counts counts = as_counts(truth(t, each, by, f));

			if (counts.n_calls)
				profile_edge_add(p, add_fn(p, by, group[by]),
						 add_fn(p, f, group[f]), &counts);
		}
	}
}

static void make_groups(int *group, int n)
{
	for (int f = 0; f < FUNCTIONS; f++)
		group[f] = pick(n);
}

/* --- tests ------------------------------------------------------------------------------------ */

START_TEST(contexts_are_added_up_as_paths_say)
{
	struct tree t;
	int group[FUNCTIONS], each[FUNCTIONS];
	uint32_t map[2 * FUNCTIONS + 8];
	struct contexts c;
	struct profile p;
	char name[16];

	make_tree(&t, (unsigned)_i);
	for (int f = 0; f < FUNCTIONS; f++)
		each[f] = f;
	for (int f = 0; f < FUNCTIONS; f++)
		group[f] = pick(4) - (_i % 2); /* NONE is left out */
	ck_assert_int_eq(contexts_init(&c), 0);
	add_contexts(&c, &t, each);
	contexts_finish(&c);
	profile_init(&p);
	for (int g = 0; g < 4; g++)
		profile_fn_add(&p, named(name, "g", g), 0, named(name, "g", g),
			       (struct text){ "", 0 });
	for (size_t i = 0; i < c.names.n_fns; i++)
		map[i] = c.names.fn[i].line ? (uint32_t)group[c.names.fn[i].line - 1] : 0;
	ck_assert_int_eq(contexts_sum(&p, &c, map), 0);
	for (int g = 0; g < 4; g++) {
		assert_exact(&p.fn[g].counts, truth(&t, group, NONE, g));
		for (int by = 0; by < 4; by++) {
			const struct profile_edge *e = profile_edge_find(&p, (size_t)by, (size_t)g);
			struct numbers want = truth(&t, group, by, g);

			ck_assert_int_eq(e != NULL, want.n_calls != 0);
			if (e)
				assert_exact(&e->counts, want);
		}
	}
	contexts_fini(&c);
	profile_fini(&p);
}
END_TEST

static size_t find(const struct profile *p, int group)
{
	char name[16];

	return profile_find(p, (struct text){ "~", 1 }, 0, named(name, "g", group));
}

static const struct grouping by_module = { .by = GROUP_MODULE };

typedef void check_counts(const struct profile_counts *c, struct numbers want);

static void check_groups(const struct profile *p, const struct tree *t, const int *group,
			 check_counts *check)
{
	for (int g = 0; g < FUNCTIONS; g++) {
		struct numbers want = truth(t, group, NONE, g);
		size_t at = find(p, g);

		if (at == SIZE_MAX) {
			ck_assert_int_eq(want.n_calls, 0);
			continue;
		}
		check(&p->fn[at].counts, want);
		if (!p->fn[at].is_bound)
			assert_exact(&p->fn[at].counts, want);
		for (size_t i = 0; i < p->fn[at].n_callers; i++) {
			int by;

			ck_assert_int_eq(sscanf(p->fn[p->fn[at].caller[i].caller].name.bytes, "g%d",
						&by),
					 1);
			check(&p->fn[at].caller[i].counts, truth(t, group, by, g));
		}
	}
}

START_TEST(groups_are_exact_with_contexts)
{
	struct tree t;
	int group[FUNCTIONS];
	struct contexts c;
	struct profile p;

	make_tree(&t, (unsigned)_i);
	make_groups(group, 2 + _i % 8);
	ck_assert_int_eq(contexts_init(&c), 0);
	profile_init(&p);
	add_contexts(&c, &t, group);
	add_profile(&p, &t, group);
	ck_assert_int_eq(group_apply(&p, &c, true, &by_module), 0);
	ck_assert_uint_eq(group_bound_rows(&p), 0);
	check_groups(&p, &t, group, assert_exact);
	contexts_fini(&c);
	profile_fini(&p);
}
END_TEST

START_TEST(groups_are_bounded_without_contexts)
{
	struct tree t;
	int group[FUNCTIONS];
	struct contexts c = { .n_nodes = 0 };
	struct profile p;

	make_tree(&t, (unsigned)_i);
	make_groups(group, 2 + _i % 8);
	profile_init(&p);
	add_profile(&p, &t, group);
	ck_assert_int_eq(group_apply(&p, &c, false, &by_module), 0);
	check_groups(&p, &t, group, assert_at_least);
	profile_fini(&p);
}
END_TEST

/* Functions without callers, as `profile` files may have: the bound holds nevertheless. */
START_TEST(groups_are_bounded_without_callers)
{
	struct tree t;
	int group[FUNCTIONS];
	struct contexts c = { .n_nodes = 0 };
	struct profile p;

	make_tree(&t, (unsigned)_i);
	make_groups(group, 2 + _i % 8);
	profile_init(&p);
	add_profile(&p, &t, group);
	for (size_t i = 0; i < p.n_fns; i++)
		p.fn[i].n_callers = 0;
	ck_assert_int_eq(group_apply(&p, &c, false, &by_module), 0);
	check_groups(&p, &t, group, assert_at_least);
	profile_fini(&p);
}
END_TEST

/* The sum of two trees, as if both had been called one after the other. */
static void join(struct tree *to, const struct tree *a, const struct tree *b)
{
	*to = *a;
	for (int n = 1; n < b->n; n++) {
		to->parent[to->n + n - 1] = b->parent[n] ? to->n + b->parent[n] - 1 : 0;
		to->fn[to->n + n - 1] = b->fn[n];
		to->n_calls[to->n + n - 1] = b->n_calls[n];
		to->self[to->n + n - 1] = b->self[n];
	}
	to->n += b->n - 1;
}

START_TEST(groups_are_bounded_with_contexts_of_some_calls)
{
	struct tree a, b, both;
	int group[FUNCTIONS];
	struct contexts c;
	struct profile p;

	make_tree(&a, (unsigned)_i);
	a.n = a.n > MAX_NODES / 2 ? MAX_NODES / 2 : a.n;
	make_tree(&b, (unsigned)_i + ROUNDS);
	b.n = b.n > MAX_NODES / 2 ? MAX_NODES / 2 : b.n;
	join(&both, &a, &b);
	make_groups(group, 2 + _i % 8);
	ck_assert_int_eq(contexts_init(&c), 0);
	profile_init(&p);
	add_contexts(&c, &a, group);
	add_profile(&p, &both, group);
	ck_assert_int_eq(group_apply(&p, &c, false, &by_module), 0);
	check_groups(&p, &both, group, assert_at_least);
	contexts_fini(&c);
	profile_fini(&p);
}
END_TEST

/* Calls f of g0 -> f of g1 -> f of g2, with `n` functions in each group. */
static void make_chain(struct tree *t, int *group, int n)
{
	t->n = 1;
	for (int f = 0; f < FUNCTIONS; f++)
		group[f] = f / n;
	for (int f = 0; f < 3 * n; f++) {
		t->parent[t->n] = t->n - 1;
		t->fn[t->n] = f;
		t->n_calls[t->n] = f + 1;
		t->self[t->n++] = 10 + f;
	}
}

static size_t apply_to(const struct tree *t, const int *group, const struct tree *known, bool whole)
{
	struct contexts c = { .n_nodes = 0 };
	struct profile p;
	size_t n_bounds;

	profile_init(&p);
	if (known) {
		ck_assert_int_eq(contexts_init(&c), 0);
		add_contexts(&c, known, group);
	}
	add_profile(&p, t, group);
	ck_assert_int_eq(group_apply(&p, &c, whole, &by_module), 0);
	check_groups(&p, t, group, assert_at_least);
	n_bounds = group_bound_rows(&p);
	contexts_fini(&c);
	profile_fini(&p);
	return n_bounds;
}

START_TEST(groups_without_cycles_are_exact_in_any_case)
{
	struct tree t, twice;
	int group[FUNCTIONS];

	make_chain(&t, group, 3);
	ck_assert_uint_eq(apply_to(&t, group, NULL, false), 0);
	join(&twice, &t, &t);
	ck_assert_uint_eq(apply_to(&twice, group, NULL, false), 0);
	ck_assert_uint_eq(apply_to(&twice, group, &t, false), 0);
}
END_TEST

/* A cycle of g0 and g1, each of which g3 calls and which call g2: g2 and g3 are in no cycle. */
START_TEST(only_groups_in_a_cycle_are_bounds)
{
	static const int fn[] = { 9, 0, 3, 1, 4, 6, 7 };
	struct tree t = { .n = 1 };
	int group[FUNCTIONS];

	for (int f = 0; f < FUNCTIONS; f++)
		group[f] = f / 3;
	for (size_t i = 0; i < N_OF(fn); i++) {
		t.parent[t.n] = t.n - 1;
		t.fn[t.n] = fn[i];
		t.n_calls[t.n] = 2;
		t.self[t.n++] = 1 << i;
	}
	ck_assert_uint_eq(apply_to(&t, group, NULL, false), 2);
	ck_assert_uint_eq(apply_to(&t, group, &t, true), 0);
}
END_TEST

/* The contexts of groups: a path through one group is one node. */
START_TEST(contexts_are_grouped_too)
{
	struct tree t;
	int group[FUNCTIONS];
	struct contexts c;
	struct profile p;
	double self = 0;

	make_tree(&t, (unsigned)_i);
	make_groups(group, 3);
	ck_assert_int_eq(contexts_init(&c), 0);
	profile_init(&p);
	add_contexts(&c, &t, group);
	add_profile(&p, &t, group);
	ck_assert_int_eq(group_apply(&p, &c, true, &by_module), 0);
	for (uint32_t n = 3; n < c.n_nodes; n++) {
		self += c.node[n].self_s;
		ck_assert_uint_ne(c.node[n].fn, c.node[c.node[n].parent].fn);
		ck_assert_uint_ne(profile_find(&p, contexts_fn(&c, n)->file, 0,
					       contexts_fn(&c, n)->name),
				  SIZE_MAX);
	}
	for (int n = 1; n < t.n; n++)
		self -= t.self[n];
	ck_assert_double_eq(self, 0);
	contexts_fini(&c);
	profile_fini(&p);
}
END_TEST

/* --- names ------------------------------------------------------------------------------------ */

#define T(s) ((struct text){ s, sizeof(s) - 1 })

static size_t call(struct profile *p, size_t caller, struct text file, struct text name, double s)
{
	const struct profile_counts one = {
		.n_calls = 1, .n_primitive = 1, .self_s = 1, .total_s = s
	};
	size_t fn = profile_fn_add(p, file, file.n > 1, name, T(""));

	profile_counts_add(&p->fn[fn].counts, &one);
	if (caller != SIZE_MAX)
		profile_edge_add(p, caller, fn, &one);
	return fn;
}

static void assert_rows(const struct profile *p, const char *const *want, size_t n)
{
	ck_assert_uint_eq(p->n_listed, n);
	for (size_t i = 0; i < n; i++) {
		struct text name = p->fn[p->listed[i]].name;

		ck_assert_uint_eq(name.n, strlen(want[i]));
		ck_assert_int_eq(memcmp(name.bytes, want[i], name.n), 0);
	}
}

static void apply(struct profile *p, const struct grouping *how)
{
	struct contexts c = { .n_nodes = 0 };

	ck_assert_int_eq(group_apply(p, &c, false, how), 0);
}

START_TEST(files_are_whole_names_or_without_folders)
{
	static const char *const whole[] = { "/x/a.py", "/y/a.py", "~" };
	static const char *const stripped[] = { "a.py", "~" };
	struct grouping how = { .by = GROUP_FILE };

	for (int strip = 0; strip < 2; strip++) {
		struct profile p;
		size_t a;

		profile_init(&p);
		a = call(&p, SIZE_MAX, T("/x/a.py"), T("f"), 5);
		call(&p, a, T("/y/a.py"), T("g"), 1);
		call(&p, a, T("~"), T("<built-in method builtins.len>"), 1);
		call(&p, a, T("/x/a.py"), T("h"), 1);
		how.strip_dirs = strip;
		apply(&p, &how);
		assert_rows(&p, strip ? stripped : whole, strip ? 2 : 3);
		profile_fini(&p);
	}
}
END_TEST

#define EXEC T("<built-in method builtins.exec>")
#define LOAD T("<frozen importlib._bootstrap>")

/* A script that imports two modules, run in three ways. */
static void make_imports(struct profile *p, size_t caller)
{
	size_t script = call(p, caller, T("/x/app.py"), T("<module>"), 20);
	size_t load = call(p, script, LOAD, T("_find_and_load"), 12);
	size_t exec = call(p, load, T("~"), EXEC, 10);
	size_t a = call(p, exec, T("/x/a.py"), T("<module>"), 9);

	call(p, exec, T("/x/b.py"), T("<module>"), 1);
	call(p, a, T("~"), T("<built-in method builtins.__import__>"), 1);
	call(p, a, T("/x/a.py"), T("f"), 1);
	call(p, a, T("<string>"), T("<module>"), 1);
}

START_TEST(a_script_is_not_an_import)
{
	static const char *const by_python[] = { "<module>", "<import>",
						 "<built-in method builtins.exec>", "f",
						 "<module>" };
	static const char *const by_exec[] = { "<built-in method builtins.exec>", "<module>",
					       "<import>", "f", "<module>" };
	static const char *const by_runpy[] = { "_run_code", "<built-in method builtins.exec>",
						"<module>",  "<import>",
						"f",	     "<module>" };
	const struct grouping how = { .imports = true };
	struct profile p;

	profile_init(&p);
	make_imports(&p, SIZE_MAX);
	apply(&p, &how);
	assert_rows(&p, by_python, N_OF(by_python));
	ck_assert_uint_eq(p.fn[p.listed[1]].counts.n_calls, 4);
	profile_fini(&p);

	profile_init(&p);
	make_imports(&p, call(&p, SIZE_MAX, T("~"), EXEC, 21));
	apply(&p, &how);
	assert_rows(&p, by_exec, N_OF(by_exec));
	profile_fini(&p);

	profile_init(&p);
	make_imports(&p, call(&p, call(&p, SIZE_MAX, T("<frozen runpy>"), T("_run_code"), 22),
			      T("~"), EXEC, 21));
	apply(&p, &how);
	assert_rows(&p, by_runpy, N_OF(by_runpy));
	profile_fini(&p);
}
END_TEST

START_TEST(an_empty_profile_has_no_groups)
{
	struct profile p;

	profile_init(&p);
	apply(&p, &by_module);
	ck_assert_uint_eq(p.n_fns, 0);
	profile_fini(&p);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("group");

	tcase_add_loop_test(t, contexts_are_added_up_as_paths_say, 0, ROUNDS);
	tcase_add_loop_test(t, groups_are_exact_with_contexts, 0, ROUNDS);
	tcase_add_loop_test(t, groups_are_bounded_without_contexts, 0, ROUNDS);
	tcase_add_loop_test(t, groups_are_bounded_without_callers, 0, ROUNDS);
	tcase_add_loop_test(t, groups_are_bounded_with_contexts_of_some_calls, 0, ROUNDS);
	tcase_add_test(t, groups_without_cycles_are_exact_in_any_case);
	tcase_add_test(t, only_groups_in_a_cycle_are_bounds);
	tcase_add_loop_test(t, contexts_are_grouped_too, 0, 50);
	tcase_add_test(t, files_are_whole_names_or_without_folders);
	tcase_add_test(t, a_script_is_not_an_import);
	tcase_add_test(t, an_empty_profile_has_no_groups);
	return run_case("group", t);
}
