/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int option_next(int argc, char *const *argv, const char *letters, const struct option *options,
		int *at)
{
	FILE *real = stderr;
	char *text = NULL;
	size_t n_bytes = 0;
	FILE *said = open_memstream(&text, &n_bytes);
	int option;

	stderr = said ? said : real; /* glibc has it as a variable, and getopt writes there */
	option = getopt_long(argc, argv, letters, options, at);
	stderr = real;
	if (said)
		fclose(said);
	if (n_bytes)
		fprintf(stderr, "%.*s (see --help)\n", (int)strcspn(text, "\n"), text);
	free(text);
	return option;
}
