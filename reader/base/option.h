/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * getopt_long, for pyshim-read and the launcher: what it says of a wrong option ends with where to
 * look.
 */
#ifndef READER_OPTION_H
#define READER_OPTION_H

#include <getopt.h>

/* As getopt_long; `at` may be NULL. */
int option_next(int argc, char *const *argv, const char *letters, const struct option *options,
		int *at);

#endif
