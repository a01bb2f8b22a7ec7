/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Included before everything else: the places where a stress test kills the process, in the shim
 * and in the fold that both sides run, are those where a litmus test holds it.
 */
#ifndef TESTS_LITMUS_POINTS_H
#define TESTS_LITMUS_POINTS_H

#include "system/killpoint.h"

#define PYPROF_TESTPOINT(name) KILLPOINT(name)

#endif
