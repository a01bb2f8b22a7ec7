/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_to(FILE *to, const struct reading *r, const struct options *o, struct error *e)
{
	int err = o->format->write(to, r, &o->show, e);

	if (!err && fflush(to) != 0)
		err = -errno;
	return err;
}

/* Writes a new file and renames it when it is complete, so that an old file is never half lost. */
static int write_file(const struct reading *r, const struct options *o, struct error *e)
{
	char *temporary;
	mode_t mask = umask(0);
	FILE *to;
	int fd, err;

	umask(mask);
	if (asprintf(&temporary, "%s.XXXXXX", o->output) < 0)
		return -ENOMEM;
	fd = mkstemp(temporary);
	to = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!to) {
		err = -errno;
		if (fd >= 0)
			close(fd);
	} else {
		err = write_to(to, r, o, e);
		if (!err && fchmod(fd, 0666 & ~mask) < 0)
			err = -errno;
		if (fclose(to) != 0 && !err)
			err = -errno;
		if (!err && rename(temporary, o->output) < 0)
			err = -errno;
	}
	if (err && fd >= 0)
		unlink(temporary);
	free(temporary);
	return err;
}

/* Devices, pipes and links are written to, not replaced. */
static bool is_replaceable(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 || S_ISREG(st.st_mode);
}

int output_write(const struct reading *r, const struct options *o, struct error *e)
{
	FILE *to;
	int err;

	if (!o->output)
		return write_to(stdout, r, o, e);
	if (is_replaceable(o->output))
		return write_file(r, o, e);
	to = fopen(o->output, "wb");
	if (!to)
		return -errno;
	err = write_to(to, r, o, e);
	if (fclose(to) != 0 && !err)
		err = -errno;
	return err;
}
