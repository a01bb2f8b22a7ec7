/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Operations on calling contexts. The tree is made by hand, so every expected number is by
 * construction:
 *
 *	process (1) -> thread (2) -> main -> a -> ~len
 *	                                  -> b -> a
 */
#include <check.h>

#include <stdio.h>
#include <string.h>

#include "profile/contexts.h"
#include "tests/run.h"

static struct contexts c;
static uint32_t process, thread, n_main, n_a, n_len, n_b, n_ba;

static struct text text(const char *s)
{
	return (struct text){ s, strlen(s) };
}

static uint32_t add(uint32_t parent, const char *file, int64_t line, const char *name,
		    uint64_t n_calls, double self_s)
{
	const struct context count = { .n_calls = n_calls,
				       .n_exceptions = n_calls / 2,
				       .self_s = self_s };
	size_t fn = profile_fn_add(&c.names, text(file), line, text(name), text(""));
	uint32_t n = contexts_child(&c, parent, (uint32_t)fn, 0);

	ck_assert_uint_ne(n, 0);
	contexts_count(&c, n, &count);
	return n;
}

static void make_thread(const char *process_label, const char *thread_label)
{
	process = contexts_level(&c, 0, text(process_label), CONTEXT_PROCESS);
	thread = contexts_level(&c, process, text(thread_label), CONTEXT_THREAD);
	n_main = add(thread, "/x/m.py", 1, "main", 1, 1);
	n_a = add(n_main, "/x/m.py", 2, "a", 10, 2);
	n_len = add(n_a, "~", 0, "len", 20, 4);
	n_b = add(n_main, "/y/m.py", 2, "a", 3, 8);
	n_ba = add(n_b, "/x/m.py", 2, "a", 5, 16);
}

static void setup(void)
{
	ck_assert_int_eq(contexts_init(&c), 0);
	make_thread("app (1)", "MainThread (1)");
}

static void teardown(void)
{
	contexts_fini(&c);
}

static uint32_t find(uint32_t parent, const char *file, int64_t line, const char *name)
{
	size_t fn = profile_find(&c.names, text(file), line, text(name));
	uint32_t found = 0;

	for (uint32_t n = 1; n < c.n_nodes; n++) {
		if (c.node[n].parent != parent || c.node[n].fn != fn)
			continue;
		ck_assert_uint_eq(found, 0);
		found = n;
	}
	ck_assert_uint_ne(found, 0);
	return found;
}

START_TEST(totals_are_sums_over_callees)
{
	contexts_finish(&c);
	ck_assert_double_eq(c.node[n_len].total_s, 4);
	ck_assert_double_eq(c.node[n_a].total_s, 6);
	ck_assert_double_eq(c.node[n_b].total_s, 24);
	ck_assert_double_eq(c.node[n_main].total_s, 31);
	ck_assert_double_eq(c.node[0].total_s, 31);
}
END_TEST

START_TEST(children_are_listed_in_their_order)
{
	contexts_finish(&c);
	ck_assert_uint_eq(c.node[n_main].first, n_a);
	ck_assert_uint_eq(c.node[n_a].next, n_b);
	ck_assert_uint_eq(c.node[n_b].next, 0);
	ck_assert_uint_eq(c.node[n_ba].first, 0);
}
END_TEST

START_TEST(a_path_is_one_node)
{
	ck_assert_uint_eq(add(n_main, "/x/m.py", 2, "a", 1, 0.5), n_a);
	ck_assert_uint_eq(c.node[n_a].n_calls, 11);
	ck_assert_double_eq(c.node[n_a].self_s, 2.5);
	ck_assert_uint_ne(add(n_a, "/x/m.py", 2, "a", 1, 0.5), n_a);
}
END_TEST

START_TEST(many_children_are_found_again)
{
	uint32_t first[1000];
	char name[16];

	for (int i = 0; i < 2000; i++) {
		uint32_t n;

		snprintf(name, sizeof(name), "f%d", i % 1000);
		n = add(n_ba, "z.py", i % 1000, name, 1, 0);
		if (i < 1000)
			first[i] = n;
		else
			ck_assert_uint_eq(n, first[i - 1000]);
	}
}
END_TEST

START_TEST(levels_are_shown_if_there_are_several)
{
	contexts_finish(&c);
	ck_assert(!contexts_shows(&c, 0) && !contexts_shows(&c, process) &&
		  !contexts_shows(&c, thread) && contexts_shows(&c, n_main));
	contexts_level(&c, process, text("w1"), CONTEXT_THREAD);
	contexts_finish(&c);
	ck_assert(!contexts_shows(&c, process) && contexts_shows(&c, thread));
	contexts_level(&c, 0, text("app (2)"), CONTEXT_PROCESS);
	contexts_finish(&c);
	ck_assert(contexts_shows(&c, process) && contexts_shows(&c, thread) &&
		  !contexts_shows(&c, 0));
}
END_TEST

START_TEST(without_builtins_callers_get_their_time)
{
	ck_assert_int_eq(contexts_no_builtins(&c), 0);
	contexts_finish(&c);
	n_main = find(c.node[c.node[0].first].first, "/x/m.py", 1, "main");
	n_a = find(n_main, "/x/m.py", 2, "a");
	ck_assert_double_eq(c.node[n_a].self_s, 6);
	ck_assert_uint_eq(c.node[n_a].n_calls, 10);
	ck_assert_uint_eq(c.n_nodes, 7);
	ck_assert_double_eq(c.node[0].total_s, 31);
}
END_TEST

/* A Python function that a C function has called: it becomes a callee of that one's caller. */
START_TEST(without_builtins_their_callees_move_up)
{
	add(n_len, "/x/m.py", 9, "__len__", 7, 32);
	ck_assert_int_eq(contexts_no_builtins(&c), 0);
	contexts_finish(&c);
	n_main = find(c.node[c.node[0].first].first, "/x/m.py", 1, "main");
	n_a = find(n_main, "/x/m.py", 2, "a");
	ck_assert_double_eq(c.node[find(n_a, "/x/m.py", 9, "__len__")].self_s, 32);
	ck_assert_double_eq(c.node[n_a].total_s, 38);
}
END_TEST

START_TEST(without_folders_equal_names_are_one_function)
{
	ck_assert_int_eq(contexts_strip_dirs(&c), 0);
	contexts_finish(&c);
	n_main = find(c.node[c.node[0].first].first, "m.py", 1, "main");
	n_a = find(n_main, "m.py", 2, "a");
	ck_assert_uint_eq(c.node[n_a].n_calls, 13);
	ck_assert_uint_eq(c.node[n_a].n_exceptions, 5 + 1);
	ck_assert_double_eq(c.node[n_a].self_s, 10);
	ck_assert_double_eq(c.node[find(n_a, "m.py", 2, "a")].self_s, 16);
	ck_assert_double_eq(c.node[0].total_s, 31);
}
END_TEST

START_TEST(equal_paths_of_two_trees_are_added_up)
{
	struct contexts first = c;

	ck_assert_int_eq(contexts_init(&c), 0);
	make_thread("app (1)", "MainThread (1)");
	add(n_ba, "/x/m.py", 7, "new", 1, 64);
	c.node[n_b].flags |= CONTEXT_OPEN;
	ck_assert_int_eq(contexts_merge(&first, &c), 0);
	contexts_fini(&c);
	c = first;
	contexts_finish(&c);
	ck_assert_uint_eq(c.node[n_len].n_calls, 40);
	ck_assert_double_eq(c.node[n_main].total_s, 2 * 31 + 64);
	ck_assert(c.node[n_b].flags & CONTEXT_OPEN && !(c.node[n_a].flags & CONTEXT_OPEN));
	ck_assert_uint_eq(c.n_processes, 1);
}
END_TEST

START_TEST(two_processes_stay_apart)
{
	struct contexts first = c;

	ck_assert_int_eq(contexts_init(&c), 0);
	make_thread("app (2)", "MainThread (2)");
	ck_assert_int_eq(contexts_merge(&first, &c), 0);
	contexts_fini(&c);
	c = first;
	contexts_finish(&c);
	ck_assert_uint_eq(c.n_processes, 2);
	ck_assert_uint_eq(c.n_nodes, 15);
	ck_assert_double_eq(c.node[n_main].total_s, 31);
	ck_assert_double_eq(c.node[0].total_s, 62);
}
END_TEST

START_TEST(corrected_nodes_add_up_to_the_function)
{
	struct profile p;
	size_t fn;

	profile_init(&p);
	fn = profile_fn_add(&p, text("/x/m.py"), 2, text("a"), text(""));
	p.fn[fn].counts.self_s = 12; /* of 18: a third was overhead */
	p.fn[fn].counts.self_overhead_s = 6;
	ck_assert_int_eq(contexts_correct(&c, &p), 0);
	contexts_finish(&c);
	ck_assert_double_eq_tol(c.node[n_a].self_s, 2 * 12 / 18., 1e-12);
	ck_assert_double_eq_tol(c.node[n_ba].self_s, 16 * 12 / 18., 1e-12);
	ck_assert_double_eq_tol(c.node[n_ba].self_overhead_s, 16 * 6 / 18., 1e-12);
	ck_assert_double_eq(c.node[n_b].self_s, 8);
	ck_assert_double_eq_tol(c.node[0].total_s, 31 - 6, 1e-12);
	ck_assert_double_eq_tol(c.node[0].total_overhead_s, 6, 1e-12);
	profile_fini(&p);
}
END_TEST

START_TEST(nodes_follow_their_callers)
{
	contexts_finish(&c);
	ck_assert_uint_eq(contexts_next(&c, n_main, n_main), n_a);
	ck_assert_uint_eq(contexts_next(&c, n_a, n_main), n_len);
	ck_assert_uint_eq(contexts_next(&c, n_len, n_main), n_b);
	ck_assert_uint_eq(contexts_next(&c, n_b, n_main), n_ba);
	ck_assert_uint_eq(contexts_next(&c, n_ba, n_main), 0);
	ck_assert_uint_eq(contexts_next(&c, n_len, n_a), 0);
	ck_assert_uint_eq(contexts_next(&c, n_ba, n_ba), 0);
}
END_TEST

/* Checks the tree, and the calls and total of the first child of its root. */
static void check_below(const bool *wanted, size_t n_nodes, double total_s, size_t n_roots,
			uint64_t n_calls, double first_s)
{
	struct contexts below;
	size_t n = 0;

	ck_assert_int_eq(contexts_init(&below), 0);
	ck_assert_int_eq(contexts_below(&below, &c, wanted), 0);
	contexts_finish(&below);
	ck_assert_uint_eq(below.n_nodes, n_nodes);
	ck_assert_double_eq(below.node[0].total_s, total_s);
	for (uint32_t i = below.node[0].first; i; i = below.node[i].next)
		n++;
	ck_assert_uint_eq(n, n_roots);
	ck_assert_uint_eq(below.node[below.node[0].first].n_calls, n_calls);
	ck_assert_double_eq(below.node[below.node[0].first].total_s, first_s);
	contexts_fini(&below);
}

START_TEST(outermost_calls_of_a_function_are_added_up)
{
	bool wanted[16] = { false };

	wanted[c.node[n_a].fn] = true; /* a: 2 + 4, and below b: 16 */
	check_below(wanted, 3, 22, 1, 15, 22);
	wanted[c.node[n_b].fn] = true; /* and b: 8 + 16, of which a is counted only there */
	check_below(wanted, 5, 30, 2, 10, 6);
	wanted[c.node[n_main].fn] = true;
	check_below(wanted, 6, 31, 1, 1, 31);
}
END_TEST

START_TEST(folded_calls_are_below_no_function)
{
	uint32_t folded = contexts_level(&c, thread, text("(folded)"), CONTEXT_FOLDED);
	bool wanted[16] = { false };

	add(folded, "/x/m.py", 2, "a", 7, 100);
	wanted[c.node[n_a].fn] = true;
	check_below(wanted, 3, 22, 1, 15, 22);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("contexts");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, totals_are_sums_over_callees);
	tcase_add_test(tcase, children_are_listed_in_their_order);
	tcase_add_test(tcase, a_path_is_one_node);
	tcase_add_test(tcase, many_children_are_found_again);
	tcase_add_test(tcase, levels_are_shown_if_there_are_several);
	tcase_add_test(tcase, without_builtins_callers_get_their_time);
	tcase_add_test(tcase, without_builtins_their_callees_move_up);
	tcase_add_test(tcase, without_folders_equal_names_are_one_function);
	tcase_add_test(tcase, equal_paths_of_two_trees_are_added_up);
	tcase_add_test(tcase, two_processes_stay_apart);
	tcase_add_test(tcase, corrected_nodes_add_up_to_the_function);
	tcase_add_test(tcase, nodes_follow_their_callers);
	tcase_add_test(tcase, outermost_calls_of_a_function_are_added_up);
	tcase_add_test(tcase, folded_calls_are_below_no_function);
	return run_case("contexts", tcase);
}
