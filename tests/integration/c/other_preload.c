/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A library that a user preloads. The program finds it by its function. */
int answer_of_other_preload(void);

int answer_of_other_preload(void)
{
	return 42;
}
