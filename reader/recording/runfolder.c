/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runfolder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "owner.h"

#define PREFIX "pyshim."
#define SHIM "libpyshim.so"
#define RANDOM_BYTES 6 /* of mkdtemp */

char *runfolder_make(const char *parent)
{
	char *path;

	if (asprintf(&path, "%s/" PREFIX "%d.%" PRIu64 ".XXXXXX", parent, (int)getpid(),
		     owner_namespace()) < 0)
		return NULL;
	if (mkdtemp(path))
		return path;
	free(path);
	return NULL;
}

char *runfolder_link(const char *folder, const char *shim)
{
	char *link;

	if (asprintf(&link, "%s/" SHIM, folder) < 0)
		return NULL;
	if (symlink(shim, link) == 0)
		return link;
	free(link);
	return NULL;
}

int runfolder_remove(const char *folder)
{
	char *link;

	if (asprintf(&link, "%s/" SHIM, folder) < 0)
		return -ENOMEM;
	unlink(link);
	free(link);
	return rmdir(folder) < 0 ? -errno : 0;
}

bool runfolder_is_name(const char *name)
{
	size_t n = strlen(PREFIX);

	return !strncmp(name, PREFIX, n) && name[n] >= '0' && name[n] <= '9';
}

bool runfolder_maker(const char *name, uint32_t *pid, uint64_t *pid_namespace)
{
	int end = 0;

	*pid = 0;
	if (sscanf(name, PREFIX "%" SCNu32 ".%" SCNu64 ".%n", pid, pid_namespace, &end) < 2 ||
	    !end) {
		*pid_namespace = 0;
		if (sscanf(name, PREFIX "%" SCNu32 ".%n", pid, &end) < 1 || !end)
			return false;
	}
	return *pid && strlen(name + end) == RANDOM_BYTES;
}
