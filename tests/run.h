/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the main of each test with Check ends with.
 */
#ifndef TESTS_RUN_H
#define TESTS_RUN_H

#include <check.h>

/* Runs the suite's cases, each in a process of its own unless CK_FORK=no. The exit status: 0, or 1 where one failed. */
static inline int run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed != 0;
}

/* The same for a suite of one case. */
static inline int run_case(const char *name, TCase *tcase)
{
	Suite *suite = suite_create(name);

	suite_add_tcase(suite, tcase);
	return run(suite);
}

#endif
