/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "list.h"
#include "pyprof/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attach.h"
#include "command.h"
#include "runfolder.h"

#define NOT_BEGUN_S 60 /* a file that has no header after this time will not get one */
#define COMMAND_BYTES 200

/* One pass over the folder and the launcher's folders in it. */
struct pass {
	FILE *to;
	bool clean, force;
	uint64_t n_foreign, n_unreadable, n_unknown; /* files that were not shown or removed */
};

/* A file that looks like a recording. */
struct entry {
	char *path;
	struct stat st;
	struct attach a; /* open, or closed after a failure */
	struct owner owner;
	uint32_t pid;
	char fault[64]; /* "" if it can be read */
};

/* --- folders ---------------------------------------------------------------------------------- */

static int is_recording_name(const struct dirent *e)
{
	return pyprof_is_file_name(e->d_name);
}

/* The launcher makes a folder for each command that it runs: pyshim.PID.NAMESPACE.XXXXXX ... */
static int is_run_name(const struct dirent *e)
{
	return runfolder_is_name(e->d_name);
}

/* ... and in it, if root's command may record as other users, another one: run.RANDOM */
static int is_inner_name(const struct dirent *e)
{
	return !strncmp(e->d_name, "run.", 4);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/*
 * Calls `use` for each folder in `dir` whose name `has_name` accepts, until it returns something
 * other than `go_on`. Returns its last result, or `go_on` if there is no such folder.
 */
static int each_folder(const char *dir, int (*has_name)(const struct dirent *), int go_on,
		       int (*use)(void *arg, const char *dir), void *arg)
{
	struct dirent **entry;
	int n = scandir(dir, &entry, has_name, alphasort);
	int result = go_on;

	for (int i = 0; i < n; i++) {
		char *path;

		if (result == go_on && asprintf(&path, "%s/%s", dir, entry[i]->d_name) >= 0) {
			if (is_folder(path))
				result = use(arg, path);
			free(path);
		}
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	return result;
}

/* --- one file --------------------------------------------------------------------------------- */

static uint64_t read_magic(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint64_t magic = 0;

	if (fd < 0)
		return UINT64_MAX;
	if (read(fd, &magic, sizeof(magic)) < 0)
		magic = UINT64_MAX;
	close(fd);
	return magic;
}

static bool is_old(const struct stat *st)
{
	return time(NULL) - st->st_ctim.tv_sec > NOT_BEGUN_S;
}

/* Without a header only the name has the PID, which may belong to another process by now. */
static void find_owner_by_name(struct entry *e)
{
	owner_find_process(&e->owner, e->pid, 0, 0);
	if (owner_is_mapped(e->path, &e->st))
		e->owner.state = OWNER_RUNS;
	else if (is_old(&e->st))
		e->owner.state = OWNER_ENDED;
}

/* Describes the fault of a file that attach_open refused. False: it is not a recording. */
static bool find_fault(struct entry *e)
{
	const struct pyprof_header *h = &e->a.header;
	uint64_t magic;

	e->owner = e->a.owner;
	if (h->magic == PYPROF_MAGIC && h->major != PYPROF_MAJOR)
		snprintf(e->fault, sizeof(e->fault), "format %u.%u", h->major, h->minor);
	else if (h->magic == PYPROF_MAGIC && h->file_bytes > (uint64_t)e->st.st_size)
		snprintf(e->fault, sizeof(e->fault), "truncated: %" PRIu64 " of %" PRIu64 " bytes",
			 (uint64_t)e->st.st_size, h->file_bytes);
	else if (h->magic == PYPROF_MAGIC)
		snprintf(e->fault, sizeof(e->fault), "damaged");
	if (*e->fault)
		return true;
	magic = read_magic(e->path);
	if (magic != PYPROF_MAGIC && magic != 0)
		return false;
	snprintf(e->fault, sizeof(e->fault), magic ? "truncated: %" PRIu64 " bytes" : "never begun",
		 (uint64_t)e->st.st_size);
	find_owner_by_name(e);
	return true;
}

static bool is_foreign(const struct stat *st)
{
	return st->st_uid != geteuid() && st->st_uid != 0;
}

/*
 * False: skip the file; it is counted if that will be reported. Call close_entry in either case.
 */
static bool open_entry(struct entry *e, struct pass *p, char *path)
{
	memset(e, 0, sizeof(*e));
	e->path = path;
	e->pid = (uint32_t)strtoul(strrchr(path, '/') + strlen("/pyprof."), NULL, 10);
	if (lstat(path, &e->st) < 0 || !S_ISREG(e->st.st_mode))
		return false;
	if (is_foreign(&e->st) && !p->force) {
		p->n_foreign++;
		return false;
	}
	if (access(path, R_OK) < 0) {
		p->n_unreadable += errno == EACCES;
		return false;
	}
	if (attach_open(&e->a, path) < 0)
		return find_fault(e);
	e->owner = e->a.owner;
	e->pid = e->a.header.pid;
	return true;
}

static void close_entry(struct entry *e)
{
	attach_close(&e->a);
	free(e->path);
}

/* --- listing and removing --------------------------------------------------------------------- */

static const char *state_name(const struct entry *e)
{
	static const char *const name[] = { [OWNER_ENDED] = "ended",
					    [OWNER_RUNS] = "running",
					    [OWNER_REPLACED] = "before execve",
					    [OWNER_UNKNOWN] = "unknown" };

	return e->a.header.replaced_mono_ns ? name[OWNER_REPLACED] : name[e->owner.state];
}

static void print_printable(FILE *to, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return;
	error_make_printable(copy);
	fputs(copy, to);
	free(copy);
}

static void print_one(FILE *to, const struct entry *e)
{
	/* Prints the occupied space, which is less than the length if there are holes. */
	fprintf(to, "%8" PRIu32 "  %-13s  %7" PRIu64 "K  ", e->pid, state_name(e),
		(uint64_t)e->st.st_blocks * 512 / 1024);
	print_printable(to, e->path);
	fputs("  ", to);
	if (*e->fault)
		fprintf(to, "(%s)", e->fault);
	else
		command_print(to, &e->a.header, COMMAND_BYTES);
	if (is_foreign(&e->st))
		fprintf(to, "  (user %u)", (unsigned)e->st.st_uid);
	fputc('\n', to);
}

static void say_removed(FILE *to, const char *path)
{
	fputs("removed ", to);
	print_printable(to, path);
	fputc('\n', to);
}

static bool may_remove(const struct entry *e, struct pass *p)
{
	bool not_own = e->st.st_uid != geteuid() && !p->force;

	if (e->owner.state == OWNER_RUNS || e->owner.state == OWNER_REPLACED || not_own)
		return false;
	if (e->owner.state == OWNER_UNKNOWN && !p->force) {
		p->n_unknown++;
		return false;
	}
	return !owner_is_mapped(e->path, &e->st);
}

static int remove_one(const struct entry *e, struct pass *p)
{
	struct stat now;

	if (!may_remove(e, p))
		return 0;
	/*
	 * A new process with this PID may have renamed the file and given its own file this name.
	 */
	if (lstat(e->path, &now) < 0 || now.st_ino != e->st.st_ino || now.st_dev != e->st.st_dev)
		return 0;
	if (unlink(e->path) < 0)
		return -errno;
	say_removed(p->to, e->path);
	return 0;
}

/* --- all of them ------------------------------------------------------------------------------ */

static int handle_recording(struct pass *p, char *path)
{
	struct entry e;
	int err = 0;

	if (open_entry(&e, p, path)) {
		if (p->clean)
			err = remove_one(&e, p);
		else
			print_one(p->to, &e);
	}
	close_entry(&e);
	return err;
}

/* Handles each recording of the folder. Other files are skipped. */
static int each_recording(struct pass *p, const char *dir)
{
	struct dirent **entry;
	int n = scandir(dir, &entry, is_recording_name, versionsort);
	int err = n < 0 ? -errno : 0;

	for (int i = 0; i < n; i++) {
		char *path;

		if (!err && asprintf(&path, "%s/%s", dir, entry[i]->d_name) < 0)
			err = -ENOMEM;
		if (!err)
			err = handle_recording(p, path);
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
	return err;
}

static int print_run(void *arg, const char *dir)
{
	each_recording(arg, dir); /* on failure it is another user's folder or was just removed */
	return each_folder(dir, is_inner_name, 0, print_run, arg);
}

static void print_rest(const struct pass *p)
{
	const char *option = p->clean ? "--clean --force" : "--list --force";

	if (p->n_foreign)
		fprintf(p->to, "%" PRIu64 " of other users (%s %s them, for root)\n", p->n_foreign,
			option, p->clean ? "removes" : "shows");
	if (p->n_unreadable)
		fprintf(p->to, "%" PRIu64 " of other users, which cannot be opened\n",
			p->n_unreadable);
	if (p->n_unknown)
		fprintf(p->to,
			"%" PRIu64 " of processes that cannot be seen from here (another PID "
			"namespace) and may still run (%s removes them)\n",
			p->n_unknown, option);
}

int list_print(FILE *to, const char *dir, bool force)
{
	struct pass p = { .to = to, .force = force };
	int err;

	fprintf(to, "%8s  %-13s  %8s  %s\n", "PID", "state", "size", "recording, command");
	err = each_recording(&p, dir);
	err = err ? err : each_folder(dir, is_run_name, 0, print_run, &p);
	print_rest(&p);
	return err;
}

/* Finds the launcher that made a folder. False: its name is another one. */
static bool find_launcher(struct owner *o, const char *dir)
{
	uint64_t pid_namespace;
	uint32_t pid;

	if (!runfolder_maker(strrchr(dir, '/') + 1, &pid, &pid_namespace))
		return false;
	owner_find_process(o, pid, 0, pid_namespace);
	return true;
}

static int clean_folder(struct pass *p, const char *dir)
{
	int err = each_recording(p, dir);

	if (err)
		return err;
	if (runfolder_remove(dir) == 0)
		say_removed(p->to, dir);
	return 0;
}

static int clean_inner(void *arg, const char *dir)
{
	return clean_folder(arg, dir);
}

/* Cleans the folder of a launcher that was killed. Recordings of running processes stay in it. */
static int clean_run(void *arg, const char *dir)
{
	struct pass *p = arg;
	struct owner launcher;
	struct stat st;
	int err;

	if (!find_launcher(&launcher, dir) || launcher.state == OWNER_RUNS ||
	    (launcher.state == OWNER_UNKNOWN && !p->force) || lstat(dir, &st) < 0 ||
	    (st.st_uid != geteuid() && !p->force))
		return 0;
	err = each_folder(dir, is_inner_name, 0, clean_inner, p);
	return err ? err : clean_folder(p, dir);
}

int list_clean(FILE *to, const char *dir, bool force)
{
	struct pass p = { .to = to, .clean = true, .force = force };
	int err = each_recording(&p, dir);

	err = err ? err : each_folder(dir, is_run_name, 0, clean_run, &p);
	print_rest(&p);
	return err;
}

/* --- recordings of one process ---------------------------------------------------------------- */

struct candidate {
	char *path;
	struct pyprof_header h; /* zeroes if it cannot be read */
	enum owner_state state;
};

struct candidates {
	struct candidate *one;
	size_t n;
	int err;
};

static void add_candidate(struct candidates *c, char *path)
{
	struct candidate *more = reallocarray(c->one, c->n + 1, sizeof(*more));
	struct attach a;

	if (!more) {
		c->err = -ENOMEM;
		free(path);
		return;
	}
	c->one = more;
	more += c->n++;
	memset(more, 0, sizeof(*more));
	more->path = path;
	if (attach_open(&a, path) < 0)
		return;
	more->h = a.header;
	more->state = a.owner.state;
	attach_close(&a);
}

/* Finds pyprof.PID, pyprof.PID.1, ...; numbers may be missing. */
static void find_candidates(struct candidates *c, const char *dir, const char *pid)
{
	struct dirent **entry;
	int n = scandir(dir, &entry, is_recording_name, versionsort);
	size_t length = strlen(pid);

	for (int i = 0; i < n; i++) {
		const char *name = entry[i]->d_name + strlen(PYPROF_FILE_PREFIX);
		char *path;

		if (!c->err && !strncmp(name, pid, length) &&
		    (!name[length] || name[length] == '.')) {
			if (asprintf(&path, "%s/%s", dir, entry[i]->d_name) < 0)
				c->err = -ENOMEM;
			else
				add_candidate(c, path);
		}
		free(entry[i]);
	}
	if (n >= 0)
		free(entry);
}

static bool is_same_process(const struct pyprof_header *a, const struct pyprof_header *b)
{
	return a->pid == b->pid && a->process_start == b->process_start &&
	       a->pid_namespace == b->pid_namespace &&
	       !strncmp(a->boot_id, b->boot_id, sizeof(a->boot_id));
}

/* Prefers a process that runs, then one of this PID namespace, then the later one. */
static bool is_preferred(const struct candidate *a, const struct candidate *b)
{
	bool local_a = a->h.pid_namespace == owner_namespace();
	bool local_b = b->h.pid_namespace == owner_namespace();

	if ((a->state == OWNER_RUNS) != (b->state == OWNER_RUNS))
		return a->state == OWNER_RUNS;
	if (local_a != local_b)
		return local_a;
	return a->h.start_realtime_ns > b->h.start_realtime_ns;
}

static int by_begin(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->h.start_realtime_ns < y->h.start_realtime_ns	 ? -1
	       : x->h.start_realtime_ns > y->h.start_realtime_ns ? 1
								 : strcmp(x->path, y->path);
}

static int find_in_folder(const char *dir, const char *pid, char ***paths, size_t *n_paths)
{
	struct candidates c = { .one = NULL };
	struct pyprof_header chosen;
	size_t best = 0;

	find_candidates(&c, dir, pid);
	*n_paths = 0;
	*paths = calloc(c.n + 1, sizeof(**paths));
	for (size_t i = 1; i < c.n; i++)
		best = is_preferred(&c.one[i], &c.one[best]) ? i : best;
	if (c.n) {
		chosen = c.one[best].h;
		qsort(c.one, c.n, sizeof(*c.one), by_begin);
	}
	for (size_t i = 0; i < c.n; i++) {
		if (*paths && !c.err && is_same_process(&c.one[i].h, &chosen))
			(*paths)[(*n_paths)++] = c.one[i].path;
		else
			free(c.one[i].path);
	}
	free(c.one);
	if (!c.err && *paths && *n_paths)
		return 0;
	c.err = c.err ? c.err : *paths ? -ENOENT : -ENOMEM;
	free(*paths);
	return c.err;
}

struct wanted {
	const char *pid;
	char ***paths;
	size_t *n_paths;
};

static int look_in_run(void *arg, const char *dir)
{
	const struct wanted *w = arg;
	int err = find_in_folder(dir, w->pid, w->paths, w->n_paths);

	return err == -ENOENT ? each_folder(dir, is_inner_name, -ENOENT, look_in_run, arg) : err;
}

int list_of_pid(const char *dir, const char *pid, char ***paths, size_t *n_paths)
{
	struct wanted w = { pid, paths, n_paths };
	int err = find_in_folder(dir, pid, paths, n_paths);

	return err == -ENOENT ? each_folder(dir, is_run_name, -ENOENT, look_in_run, &w) : err;
}
