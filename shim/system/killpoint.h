/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Named places where a test kills the process, to check that the recording survives it. They are
 * empty unless built with -DPYSHIM_KILLPOINTS (make KILLPOINTS=1): then PYSHIM_KILL=NAME:COUNT
 * kills the process when it passes the place for the COUNTth time. Any thread, but the count is not
 * atomic.
 */
#ifndef SHIM_KILLPOINT_H
#define SHIM_KILLPOINT_H

#ifdef PYSHIM_KILLPOINTS
void killpoint(const char *name);
#define KILLPOINT(name) killpoint(name)
#else
#define KILLPOINT(name) ((void)0)
#endif

#endif
