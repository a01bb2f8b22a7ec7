/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Included before everything else. Turns each kill point of the shim and of the shared fold into a
 * place where a litmus test can stop the thread.
 */
#ifndef TESTS_LITMUS_POINTS_H
#define TESTS_LITMUS_POINTS_H

#include "system/killpoint.h"

#define PYPROF_TESTPOINT(name) KILLPOINT(name)

#endif
