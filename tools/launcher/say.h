/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages of the launcher: one line on standard error, in the form
 * "pyshim: verb object: what was found, what was expected". All files of the launcher call it. It
 * owns nothing and must not end the process.
 */
#ifndef LAUNCHER_SAY_H
#define LAUNCHER_SAY_H

/* Adds the program's name and the newline. Control characters become question marks. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
