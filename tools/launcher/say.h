/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the launcher itself has to tell: one line on standard error, in the form
 * "pyshim: verb object: what was found, what was expected".
 */
#ifndef LAUNCHER_SAY_H
#define LAUNCHER_SAY_H

/* Adds the name in front and the newline. Control characters become question marks. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
