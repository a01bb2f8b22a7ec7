/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The time for which a control group's quota of processor time stopped its processes, from cpu.stat
 * of both versions. Called by machine.c, in the reader's one thread. Owns nothing. It must not fail
 * a calibration: where there is no such file, the time is 0.
 */
#ifndef READER_QUOTA_H
#define READER_QUOTA_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Parses cpu.stat: throttled_usec of version 2, throttled_time (nanoseconds) of version 1. Seconds;
 * 0 if it has neither, as a group without a quota.
 */
double quota_parse(const char *text);

/*
 * Parses a line of /proc/self/cgroup, "0::/a/b" or "3:cpu,cpuacct:/a/b", without newline. `folder`
 * is then "/a/b", or "/cpu,cpuacct/a/b", below the mount point. False: another controller, or a
 * folder of `cap` characters or more.
 */
bool quota_folder(char *folder, size_t cap, const char *line);

/*
 * Seconds, the sum of a group and all above it. `root`: a mount point such as /sys/fs/cgroup.
 * `cgroup_file`: /proc/self/cgroup.
 */
double quota_read(const char *root, const char *cgroup_file);

#endif
