/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "process.h"
#include "sandbox.h"

static bool debug;

static void say(const char *format, va_list args)
{
	int saved = errno;
	char line[512];
	pid_t pid, parent;
	int n, m;

	process_ids(&pid, &parent);
	n = snprintf(line, sizeof(line), "pyshim[%d]: ", (int)pid);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);

	if (m < 0)
		m = 0;
	n += m;
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	for (int i = 0; i < n; i++) { /* the version text of Python may have two lines */
		if (line[i] == '\n')
			line[i] = ' ';
	}
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0) {
		/* stderr is closed: there is nothing left to do. */
	}
	errno = saved;
}

void log_debug(const char *format, ...)
{
	va_list args;

	if (!debug || sandbox_is_closed())
		return;
	va_start(args, format);
	say(format, args);
	va_end(args);
}

void log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

void log_set_debug(bool on)
{
	debug = on;
}
