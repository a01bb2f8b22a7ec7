/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach.h"

static int is_recording_name(const struct dirent *e)
{
	return !strncmp(e->d_name, "pyprof.", 7) && e->d_name[7] >= '0' && e->d_name[7] <= '9';
}

/* The launcher's folders, one for each command that it runs: pyshim.PID.XXXXXX */
static int is_run_name(const struct dirent *e)
{
	return !strncmp(e->d_name, "pyshim.", 7);
}

/*
 * Calls `use` for each such folder in `dir`, until it gives something other than `go_on`, which is then the
 * result. What is no folder is passed over.
 */
static int each_run(const char *dir, int go_on, int (*use)(void *arg, const char *dir), void *arg)
{
	struct dirent **entry;
	int n = scandir(dir, &entry, is_run_name, alphasort);
	int result = go_on;

	for (int i = 0; i < n; i++) {
		struct stat st;
		char *path;

		if (result == go_on && asprintf(&path, "%s/%s", dir, entry[i]->d_name) >= 0) {
			if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
				result = use(arg, path);
			free(path);
		}
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	return result;
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

static int print_run(void *to, const char *dir)
{
	each(to, dir, false); /* one that cannot be read is another user's, or has just gone */
	return 0;
}

int list_print(FILE *to, const char *dir)
{
	int err;

	fprintf(to, "%8s  %-7s  %8s  %s\n", "PID", "state", "size", "recording, command");
	err = each(to, dir, false);
	return err ? err : each_run(dir, 0, print_run, to);
}

/* The folder of a launcher that was killed, as far as what it ran has ended. */
static int clean_run(void *arg, const char *dir)
{
	pid_t launcher = (pid_t)atoi(strrchr(dir, '/') + strlen("/pyshim."));
	FILE *to = arg;
	struct stat st;
	char *link;
	int err;

	if (launcher <= 0 || kill(launcher, 0) == 0 || errno != ESRCH || lstat(dir, &st) < 0 ||
	    st.st_uid != geteuid())
		return 0;
	err = each(to, dir, true);
	if (err || asprintf(&link, "%s/libpyshim.so", dir) < 0)
		return err;
	unlink(link);
	free(link);
	if (rmdir(dir) == 0)
		fprintf(to, "removed %s\n", dir);
	return 0;
}

int list_clean(FILE *to, const char *dir)
{
	int err = each(to, dir, true);

	return err ? err : each_run(dir, 0, clean_run, to);
}

/* --- recordings of one process ----------------------------------------------------------------------- */

struct candidate {
	char *path;
	uint64_t process_start;
};

/* pyprof.PID, pyprof.PID.1, ... as far as they are there. */
static int find_candidates(const char *dir, const char *pid, struct candidate **out, size_t *n)
{
	struct candidate *c = NULL;

	*n = 0;
	for (int i = 0;; i++) {
		struct candidate *more = realloc(c, (*n + 1) * sizeof(*c));
		struct attach a;
		char *path;

		if (!more)
			break;
		c = more;
		if ((i ? asprintf(&path, "%s/pyprof.%s.%d", dir, pid, i)
		       : asprintf(&path, "%s/pyprof.%s", dir, pid)) < 0)
			break;
		if (access(path, F_OK) != 0) {
			free(path);
			*out = c;
			return 0;
		}
		c[*n] = (struct candidate){ .path = path };
		if (attach_open(&a, path) == 0) {
			c[*n].process_start = a.header.process_start;
			attach_close(&a);
		}
		(*n)++;
	}
	while (*n)
		free(c[--*n].path);
	free(c);
	return -ENOMEM;
}

static int of_pid_in(const char *dir, const char *pid, char ***paths, size_t *n_paths)
{
	struct candidate *c;
	uint64_t last = 0;
	size_t n;
	int err = find_candidates(dir, pid, &c, &n);

	*n_paths = 0;
	if (err)
		return err;
	for (size_t i = 0; i < n; i++)
		last = c[i].process_start > last ? c[i].process_start : last;
	*paths = calloc(n + 1, sizeof(**paths));
	for (size_t i = 0; i < n; i++) {
		if (*paths && c[i].process_start == last)
			(*paths)[(*n_paths)++] = c[i].path;
		else
			free(c[i].path);
	}
	free(c);
	if (!*paths)
		return -ENOMEM;
	if (*n_paths)
		return 0;
	free(*paths);
	return -ENOENT;
}

struct wanted {
	const char *pid;
	char ***paths;
	size_t *n_paths;
};

static int look_in_run(void *arg, const char *dir)
{
	const struct wanted *w = arg;

	return of_pid_in(dir, w->pid, w->paths, w->n_paths);
}

int list_of_pid(const char *dir, const char *pid, char ***paths, size_t *n_paths)
{
	struct wanted w = { pid, paths, n_paths };
	int err = of_pid_in(dir, pid, paths, n_paths);

	return err == -ENOENT ? each_run(dir, -ENOENT, look_in_run, &w) : err;
}
