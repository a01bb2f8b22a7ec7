/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pyprof/process.h"
#include "rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recording/attach.h"
#include "recording/owner.h"
#include "recording/runfolder.h"
#include "say.h"

#define MAX_NAMES 1000 /* of one PID; the shim has the same limit */
#define MAX_DEPTH 100  /* of folders in the folder of a run */

/* --- making it -------------------------------------------------------------------------------- */

/* True if the command can still record there after it has become another user. */
static bool is_for_all(const char *parent)
{
	struct stat st;

	return geteuid() == 0 && stat(parent, &st) == 0 && (st.st_mode & S_ISVTX) &&
	       (st.st_mode & S_IWOTH);
}

/* 0 or -errno. */
static int open_to_others(struct rundir *d)
{
	uint64_t secret[2];

	if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
		return -errno;
	d->outer = d->path;
	if (asprintf(&d->path, "%s/run.%016" PRIx64 "%016" PRIx64, d->outer, secret[0], secret[1]) <
	    0) {
		d->path = NULL;
		return -ENOMEM;
	}
	/* Sticky: users can remove and rename only their own files. */
	if (mkdir(d->path, 0700) < 0 || chmod(d->path, S_ISVTX | 0733) < 0 ||
	    chmod(d->outer, 0711) < 0)
		return -errno;
	return 0;
}

/* ld.so splits LD_PRELOAD at blanks and colons, and replaces "$LIB" and the like. */
static int find_preload(struct rundir *d, const char *shim)
{
	if (!strpbrk(shim, " :$")) {
		d->preload = strdup(shim);
		return d->preload ? 0 : -ENOMEM;
	}
	d->link_folder = runfolder_make("/dev/shm");
	if (!d->link_folder)
		d->link_folder = runfolder_make("/tmp");
	if (!d->link_folder)
		return -errno;
	if (is_for_all("/dev/shm") && chmod(d->link_folder, 0711) < 0)
		return -errno;
	d->preload = runfolder_link(d->link_folder, shim);
	return d->preload ? 0 : -errno;
}

int rundir_open(struct rundir *d, const char *shim)
{
	const char *users = getenv("PYSHIM_DIR");
	int err;

	memset(d, 0, sizeof(*d));
	d->is_kept = users && *users;
	d->parent = d->is_kept ? users : "/dev/shm";
	if (d->parent[0] != '/') {
		say("read PYSHIM_DIR: found '%s', expected an absolute path, such as /dev/shm",
		    d->parent);
		return -1;
	}
	d->path = runfolder_make(d->parent);
	if (!d->path) {
		say("make a folder in %s: %s, expected a folder that can hold recordings "
		    "(PYSHIM_DIR names another)",
		    d->parent, strerror(errno));
		return -1;
	}
	err = is_for_all(d->parent) ? open_to_others(d) : 0;
	if (err) {
		say("let other users, which the command may become, write to %s: %s",
		    d->path ? d->path : d->outer, strerror(-err));
		rundir_remove(d);
		rundir_fini(d);
		return -1;
	}
	err = find_preload(d, shim);
	if (err) {
		say("link %s: %s, expected a link in /dev/shm or /tmp: LD_PRELOAD cannot have "
		    "blanks, colons or dollar signs",
		    shim, strerror(-err));
		rundir_remove(d);
		rundir_fini(d);
	}
	return err ? -1 : 0;
}

/* --- who uses it ------------------------------------------------------------------------------ */

/* True if a process was started with this setting. Processes of other users cannot be read. */
static bool has_setting(const char *pid, const char *setting)
{
	char *path, *word = NULL;
	size_t cap = 0;
	bool has = false;
	FILE *f;

	if (asprintf(&path, "/proc/%s/environ", pid) < 0)
		return false;
	f = fopen(path, "re");
	free(path);
	if (!f)
		return false;
	while (!has && getdelim(&word, &cap, '\0', f) > 0)
		has = !strcmp(word, setting);
	fclose(f);
	free(word);
	return has;
}

static pid_t find_with_setting(const char *setting)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	pid_t found = 0;

	while (proc && !found && (e = readdir(proc))) {
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && has_setting(e->d_name, setting))
			found = (pid_t)atoi(e->d_name);
	}
	if (proc)
		closedir(proc);
	return found;
}

/* Without /proc only the PID is known. It is taken to be one of this PID namespace. */
static bool may_run(const struct attach *a)
{
	if (a->owner.state != OWNER_UNKNOWN || owner_namespace())
		return a->live;
	return kill((pid_t)a->header.pid, 0) == 0 || errno == EPERM;
}

/* Finds a process by its recording: one that changes its title may overwrite its environment. */
static pid_t find_recorded(const struct rundir *d)
{
	pid_t found = 0;

	for (size_t i = 0; i < d->n_recordings && !found; i++) {
		struct attach a;

		if (attach_open(&a, d->recording[i]) < 0)
			continue;
		if (may_run(&a))
			found = (pid_t)(a.owner.pid ? a.owner.pid : a.header.pid);
		attach_close(&a);
	}
	return found;
}

pid_t rundir_user(const struct rundir *d)
{
	pid_t found = find_recorded(d);
	char *setting;

	if (found || asprintf(&setting, "PYSHIM_DIR=%s", d->path) < 0)
		return found;
	found = find_with_setting(setting);
	free(setting);
	return found;
}

/* --- the recordings --------------------------------------------------------------------------- */

struct begun {
	char *path;
	uint64_t at_ns;
};

static int by_begin(const void *a, const void *b)
{
	const struct begun *x = a, *y = b;

	return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

static int is_recording_name(const struct dirent *e)
{
	return pyprof_is_file_name(e->d_name);
}

#define MAX_COMPLAINTS 10

/* The type of a file that cannot be a recording, or NULL: other users could have made it. */
static const char *find_strange(const struct stat *st)
{
	return S_ISLNK(st->st_mode)    ? "a symbolic link"
	       : S_ISDIR(st->st_mode)  ? "a folder"
	       : !S_ISREG(st->st_mode) ? "a special file"
				       : NULL;
}

/* Names the first MAX_COMPLAINTS files only. */
static void complain(unsigned *n_wrong, const char *path, const char *strange, const char *error)
{
	if (++*n_wrong > MAX_COMPLAINTS)
		return;
	if (strange)
		say("read %s: found %s, expected a recording", path, strange);
	else
		say("%s", error);
}

static bool look_at(struct rundir *d, struct begun *b, char *path, unsigned *n_wrong)
{
	const char *strange;
	struct attach a;
	struct stat st;

	if (lstat(path, &st) < 0)
		return false;
	strange = find_strange(&st);
	if (strange || attach_open(&a, path) < 0) {
		complain(n_wrong, path, strange, strange ? NULL : a.error.text);
		return false;
	}
	d->has_foreign |= st.st_uid != 0 && st.st_uid != geteuid();
	*b = (struct begun){ path, a.header.start_mono_ns };
	attach_close(&a);
	return true;
}

static void forget(struct rundir *d)
{
	while (d->n_recordings)
		free(d->recording[--d->n_recordings]);
	free(d->recording);
	d->recording = NULL;
}

static int keep_sorted(struct rundir *d, struct begun *begun, size_t n)
{
	forget(d);
	d->recording = calloc(n + 1, sizeof(*d->recording));
	if (!d->recording)
		return -ENOMEM;
	qsort(begun, n, sizeof(*begun), by_begin);
	for (; d->n_recordings < n; d->n_recordings++)
		d->recording[d->n_recordings] = begun[d->n_recordings].path;
	return 0;
}

int rundir_collect(struct rundir *d, bool complains)
{
	unsigned n_wrong = complains ? 0 : MAX_COMPLAINTS;
	struct dirent **entry;
	struct begun *begun;
	int n = scandir(d->path, &entry, is_recording_name, versionsort);
	size_t n_begun = 0;
	int err;

	if (n < 0)
		return -errno;
	begun = calloc((size_t)n + 1, sizeof(*begun));
	err = begun ? 0 : -ENOMEM;
	for (int i = 0; i < n; i++) {
		char *path;

		if (!err && asprintf(&path, "%s/%s", d->path, entry[i]->d_name) < 0)
			err = -ENOMEM;
		if (!err && look_at(d, &begun[n_begun], path, &n_wrong))
			n_begun++;
		else if (!err)
			free(path);
		free(entry[i]);
	}
	free(entry);
	if (complains && n_wrong > MAX_COMPLAINTS)
		say("read %s: found %u more file%s that cannot be read, expected recordings",
		    d->path, n_wrong - MAX_COMPLAINTS, n_wrong - MAX_COMPLAINTS == 1 ? "" : "s");
	if (!err)
		err = keep_sorted(d, begun, n_begun);
	while (err && n_begun)
		free(begun[--n_begun].path);
	free(begun);
	return err;
}

/* Moves a file to `parent`, under the name that the shim would use there. NULL: it stays. */
static char *move_up(const char *parent, const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	for (int i = 0; i < MAX_NAMES; i++) {
		int pid = atoi(name + strlen(PYPROF_FILE_PREFIX));
		char *to;

		if ((i ? asprintf(&to, "%s/" PYPROF_FILE_PREFIX "%d.%d", parent, pid, i)
		       : asprintf(&to, "%s/" PYPROF_FILE_PREFIX "%d", parent, pid)) < 0)
			return NULL;
		if (renameat2(AT_FDCWD, path, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
			return to;
		free(to);
		if (errno != EEXIST)
			return NULL;
	}
	return NULL;
}

static bool has_ended(const char *path)
{
	struct attach a;
	bool ended = attach_open(&a, path) == 0 && !may_run(&a);

	attach_close(&a);
	return ended;
}

void rundir_move_up(struct rundir *d)
{
	size_t n = strlen(d->path);

	for (size_t i = 0; i < d->n_recordings && d->is_kept; i++) {
		bool is_above = strncmp(d->recording[i], d->path, n) != 0; /* moved earlier */
		char *to = NULL;

		if (!is_above && has_ended(d->recording[i]))
			to = move_up(d->parent, d->recording[i]);
		if (to) {
			free(d->recording[i]);
			d->recording[i] = to;
		}
	}
}

/* --- the end ---------------------------------------------------------------------------------- */

/*
 * Removes the contents of a folder without following links, and closes its descriptor. Users that
 * the command became could have put anything there, and may rename it meanwhile. So each file is
 * removed by its name in an open folder, never by a path.
 */
static int empty_folder(int fd, unsigned depth)
{
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int err = folder ? 0 : -errno;

	while (folder && (e = readdir(folder))) {
		int flags = 0;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (e->d_type == DT_DIR && depth < MAX_DEPTH) {
			empty_folder(openat(dirfd(folder), e->d_name,
					    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
				     depth + 1);
			flags = AT_REMOVEDIR;
		}
		if (unlinkat(dirfd(folder), e->d_name, flags) < 0)
			err = -errno;
	}
	if (folder)
		closedir(folder);
	else if (fd >= 0)
		close(fd);
	return err;
}

void rundir_shut(const struct rundir *d)
{
	if (d->outer)
		chmod(d->path, 0700);
}

int rundir_remove(struct rundir *d)
{
	int err = 0;

	if (!d->is_kept && !d->stays && d->path)
		err = empty_folder(open(d->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
				   0);
	if (d->preload && d->link_folder)
		unlink(d->preload);
	if (d->link_folder && rmdir(d->link_folder) < 0)
		err = -errno;
	if (d->stays)
		return err;
	if (d->path && rmdir(d->path) < 0 && errno != ENOENT)
		err = -errno;
	if (d->outer && rmdir(d->outer) < 0)
		err = -errno;
	return err;
}

void rundir_fini(struct rundir *d)
{
	forget(d);
	free(d->path);
	free(d->outer);
	free(d->preload);
	free(d->link_folder);
	memset(d, 0, sizeof(*d));
}
