/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which functions are importing, for --imports-as-one. Owns nothing between calls. profile/group.c
 * calls it, from one thread. It must read nothing but the profile.
 *
 * These are the functions of importlib that find and load modules, zipimport, _imp, __import__, and
 * module-level code (<module>) that they run, without what that code calls. A main script is
 * module-level code too, but no import runs it: it has no caller, or runpy or a profiler has called
 * it. These go through exec(), as imports do, and a profile does not say which of the scripts below
 * exec() they ran: it is taken to be the one with the largest cumulative time.
 */
#ifndef READER_IMPORTS_H
#define READER_IMPORTS_H

#include "module.h"

/* Sets is_import[] of each function. 0 or -ENOMEM. */
int imports_find(const struct profile *p, struct modules *m, bool *is_import);

#endif
