/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach.h"

static int is_recording_name(const struct dirent *e)
{
	return !strncmp(e->d_name, "pyprof.", 7) && e->d_name[7] >= '0' && e->d_name[7] <= '9';
}

/* What a recording occupies, which is less than its length where it has holes. */
static uint64_t bytes_of(const struct attach *a)
{
	struct stat st;

	return stat(a->path, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

static void print_one(FILE *to, const struct attach *a)
{
	const struct pyprof_header *h = &a->header;
	uint32_t n = h->cmdline_bytes < sizeof(h->cmdline) ? h->cmdline_bytes : sizeof(h->cmdline);

	fprintf(to, "%8u  %-7s  %7" PRIu64 "K  %s  ", h->pid, a->live ? "running" : "ended",
		bytes_of(a) / 1024, a->path);
	for (uint32_t i = 0; i + 1 < n && i < 200; i++) {
		unsigned char c = (unsigned char)h->cmdline[i];

		fputc(c < ' ' || c == 127 ? ' ' : c, to);
	}
	fputc('\n', to);
}

static int remove_one(FILE *to, const struct attach *a)
{
	struct stat st;

	if (a->live || lstat(a->path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return 0;
	if (unlink(a->path) < 0)
		return -errno;
	fprintf(to, "removed %s\n", a->path);
	return 0;
}

/* Goes through the folder's recordings; what is none is passed over. */
static int each(FILE *to, const char *dir, bool clean)
{
	struct dirent **entry;
	int n = scandir(dir, &entry, is_recording_name, versionsort);
	int err = n < 0 ? -errno : 0;

	for (int i = 0; i < n; i++) {
		struct attach a;
		char *path;

		if (!err && asprintf(&path, "%s/%s", dir, entry[i]->d_name) < 0)
			err = -ENOMEM;
		if (!err) {
			if (attach_open(&a, path) == 0) {
				if (clean)
					err = remove_one(to, &a);
				else
					print_one(to, &a);
				attach_close(&a);
			}
			free(path);
		}
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	return err;
}

int list_print(FILE *to, const char *dir)
{
	fprintf(to, "%8s  %-7s  %8s  %s\n", "PID", "state", "size", "recording, command");
	return each(to, dir, false);
}

int list_clean(FILE *to, const char *dir)
{
	return each(to, dir, true);
}
