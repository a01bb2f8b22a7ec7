/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pyprof/clock.h"
#include "quota.h"

bool machine_parse(struct machine_time *m, const char *line, double tick_s)
{
	double user, nice, system, idle, wait, irq, softirq, steal;

	memset(m, 0, sizeof(*m));
	if (sscanf(line, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle, &wait,
		   &irq, &softirq, &steal) != 8)
		return false;
	m->busy_s = (user + nice + system + irq + softirq) * tick_s;
	m->steal_s = steal * tick_s;
	m->all_s = m->busy_s + m->steal_s + (idle + wait) * tick_s;
	return true;
}

bool machine_read(struct machine_time *m)
{
	FILE *f = fopen("/proc/stat", "re");
	long ticks = sysconf(_SC_CLK_TCK);
	char line[256] = "";
	bool ok;

	if (f && !fgets(line, sizeof(line), f))
		*line = '\0';
	if (f)
		fclose(f);
	ok = machine_parse(m, line, ticks > 0 ? 1.0 / (double)ticks : 0.01);
	m->now_s = (double)pyprof_clock_ns(CLOCK_MONOTONIC) * 1e-9;
	m->throttled_s = quota_read("/sys/fs/cgroup", "/proc/self/cgroup");
	return ok;
}

static double part(double s, double all_s)
{
	if (!(s > 0) || !(all_s > 0))
		return 0;
	return s < all_s ? s / all_s : 1;
}

struct machine_load machine_compare(const struct machine_time *before,
				    const struct machine_time *after, double own_s)
{
	double all_s = after->all_s - before->all_s, busy_s = after->busy_s - before->busy_s;
	double steal_s = after->steal_s - before->steal_s;

	return (struct machine_load){
		.others = part(busy_s - own_s, all_s),
		.steal = part(steal_s, busy_s + steal_s),
		.throttled = part(after->throttled_s - before->throttled_s,
				  after->now_s - before->now_s),
	};
}
