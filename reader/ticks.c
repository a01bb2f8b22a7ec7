/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ticks.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "pyprof/clock.h"
#include "pyprof/ring.h"

static bool same_boot(const struct pyprof_header *h)
{
	char id[sizeof(h->boot_id)] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, id, sizeof(id) - 1);
	close(fd);
	while (n > 0 && id[n - 1] == '\n')
		id[--n] = '\0';
	return n > 0 && !strcmp(id, h->boot_id);
}

/* The recording's latest pair; false: none was written, or it is just being written. */
static bool last_pair(const struct attach *a, uint64_t *ticks, uint64_t *ns)
{
	const struct pyprof_header *h = (const void *)a->base;

	*ns = pyprof_observe(&h->sync_mono_ns); /* C8 */
	*ticks = pyprof_observe(&h->sync_ticks);
	return *ns && *ns == pyprof_observe(&h->sync_mono_ns);
}

double ticks_seconds(const struct attach *a)
{
	const struct pyprof_header *h = &a->header;
	uint64_t ticks, ns;

	if (h->clock != PYPROF_CLOCK_TSC)
		return 1.0 / 1e9;
	if (same_boot(h))
		pyprof_clock_pair(&ticks, &ns);
	else if (!last_pair(a, &ticks, &ns))
		return 0;
	if (ticks <= h->start_ticks || ns <= h->start_mono_ns)
		return 0;
	return (double)(ns - h->start_mono_ns) / (double)(ticks - h->start_ticks) * 1e-9;
}
