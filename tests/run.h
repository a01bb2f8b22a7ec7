/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the test cases of a Check program; its main() ends with one of these calls. */
#ifndef TESTS_RUN_H
#define TESTS_RUN_H

#include <check.h>

/*
 * Runs each test in its own process, unless CK_FORK=no. Returns the exit status: 1 if a test
 * failed, else 0.
 */
static inline int run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed != 0;
}

/* Runs a suite that has one test case. */
static inline int run_case(const char *name, TCase *tcase)
{
	Suite *suite = suite_create(name);

	suite_add_tcase(suite, tcase);
	return run(suite);
}

#endif
