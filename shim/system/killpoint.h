/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Named places where a test kills the process, to see that the recording survives it there. Nothing
 * at all, unless built with -DPYSHIM_KILLPOINTS (make KILLPOINTS=1), where PYSHIM_KILL=NAME:COUNT
 * kills at the COUNTth passing of the place.
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
