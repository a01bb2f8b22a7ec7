/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

void say(const char *format, ...)
{
	va_list args;
	char *line;
	int n;

	va_start(args, format);
	n = vasprintf(&line, format, args);
	va_end(args);
	if (n < 0)
		return;
	error_make_printable(line);
	fprintf(stderr, "pyshim: %s\n", line);
	free(line);
}
