/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "owner.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "pyprof/process.h"

#define INIT_PID_NAMESPACE 0xeffffffcu /* the kernel's PROC_PID_INIT_INO */
#define KEPT_S 3		       /* the list of processes is valid for so long ... */
#define SETTLED_S 1		       /* ... for files that are older than it by this */

/* --- one process ------------------------------------------------------------------------------ */

static size_t read_file(const char *path, char *text, size_t cap)
{
	FILE *f = fopen(path, "re");
	size_t n = 0;

	if (f) {
		n = fread(text, 1, cap - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return n;
}

static size_t read_proc(const char *pid, const char *what, char *text, size_t cap)
{
	char path[320];

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, what);
	return read_file(path, text, cap);
}

static uint64_t read_link_inode(const char *pid, const char *what)
{
	char path[320];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, what);
	return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_ino;
}

/* Returns 0 for a zombie too. */
static uint64_t start_of(const char *pid)
{
	char text[1024];

	read_proc(pid, "stat", text, sizeof(text));
	return pyprof_stat_is_zombie(text) ? 0 : pyprof_stat_field(text, PYPROF_STAT_START);
}

uint64_t owner_process_start(uint32_t pid)
{
	char name[16];

	snprintf(name, sizeof(name), "%" PRIu32, pid);
	return start_of(name);
}

/*
 * Returns the PID in the innermost namespace of the process, or 0 if unknown. *depth is the number
 * of its namespaces that /proc shows.
 */
static uint32_t innermost_pid(const char *pid, unsigned *depth)
{
	char text[4096], *at, *end;
	uint32_t last = 0;

	*depth = 0;
	read_proc(pid, "status", text, sizeof(text));
	at = strstr(text, "\nNSpid:");
	for (at = at ? at + strlen("\nNSpid:") : at; at && *at == '\t'; at = end) {
		last = (uint32_t)strtoul(at, &end, 10);
		(*depth)++;
	}
	return last;
}

/* --- mappings of a file ----------------------------------------------------------------------- */

struct mapping {
	dev_t device;
	uint64_t inode;
	char *name; /* of the file, without its folders; NULL if it is not a recording */
};

static void parse_mapping(struct mapping *m, char *line)
{
	unsigned major_number, minor_number;
	char *slash = strrchr(line, '/'), *gone, access[8];

	m->name = NULL;
	if (!slash || !pyprof_is_file_name(slash + 1) ||
	    sscanf(line, "%*s %7s %*s %x:%x %" SCNu64, access, &major_number, &minor_number,
		   &m->inode) != 4 ||
	    access[1] != 'w') /* a process that only reads the file does not own it */
		return;
	slash[1 + strcspn(slash + 1, "\n")] = '\0';
	gone = strstr(slash, " (deleted)");
	if (gone)
		*gone = '\0';
	m->device = makedev(major_number, minor_number);
	m->name = slash + 1;
}

/* True on file systems where stat gives another device than /proc/PID/maps. */
static bool has_two_devices(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (fs.f_type == 0x794c7630 || fs.f_type == 0x9123683e ||
					  fs.f_type == 0xca451a4e); /* overlayfs, btrfs, bcachefs */
}

static bool is_mapping_of(const struct mapping *m, const char *path, const struct stat *st)
{
	const char *slash = strrchr(path, '/');

	if (m->device == st->st_dev)
		return m->inode == st->st_ino;
	return !strcmp(m->name, slash ? slash + 1 : path) && has_two_devices(path);
}

static FILE *open_maps(uint32_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/maps", pid);
	return fopen(path, "re");
}

/*
 * 1 if the process maps the file for writing, 0 if not. -1 if its mappings may not be read, or if
 * it shows no mappings, because its main thread has ended before the others.
 */
static int maps_file(uint32_t pid, const char *path, const struct stat *st)
{
	FILE *f = open_maps(pid);
	int result = -1;
	char *line = NULL;
	size_t cap = 0;

	while (f && result < 1 && getline(&line, &cap, f) > 0) {
		struct mapping m;

		parse_mapping(&m, line);
		result = m.name && is_mapping_of(&m, path, st);
	}
	if (f)
		fclose(f);
	free(line);
	return result;
}

/* --- all processes ---------------------------------------------------------------------------- */

struct seen {
	uint32_t pid, inner;
	uint64_t start, pid_namespace;
};

struct seen_mapping {
	struct mapping m;
	uint32_t pid;
};

static struct {
	struct seen *process;
	struct seen_mapping *mapping;
	size_t n, n_mappings;
	bool has_mappings;
	struct timespec at; /* CLOCK_REALTIME before the first was read; 0: there is no list */
} all;

static void clear_processes(void)
{
	while (all.n_mappings)
		free(all.mapping[--all.n_mappings].m.name);
	free(all.mapping);
	free(all.process);
	memset(&all, 0, sizeof(all));
}

static void add_process(const char *name)
{
	unsigned depth;
	struct seen s = { .pid = (uint32_t)strtoul(name, NULL, 10), .start = start_of(name) };
	struct seen *more;

	if (!s.start)
		return;
	s.inner = innermost_pid(name, &depth);
	s.pid_namespace = read_link_inode(name, "pid");
	more = reallocarray(all.process, all.n + 1, sizeof(*more));
	if (!more)
		return;
	all.process = more;
	all.process[all.n++] = s;
}

static void add_mappings(uint32_t pid)
{
	FILE *f = open_maps(pid);
	char *line = NULL;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0) {
		struct seen_mapping s = { .pid = pid }, *more;

		parse_mapping(&s.m, line);
		s.m.name = s.m.name ? strdup(s.m.name) : NULL;
		more = s.m.name ? reallocarray(all.mapping, all.n_mappings + 1, sizeof(*more))
				: NULL;
		if (!more) {
			free(s.m.name);
			continue;
		}
		all.mapping = more;
		all.mapping[all.n_mappings++] = s;
	}
	if (f)
		fclose(f);
	free(line);
}

/* If the file is older than the list, the process that made it is in the list, if it runs. */
static bool is_fresh_for(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return all.at.tv_sec && now.tv_sec >= all.at.tv_sec &&
	       now.tv_sec - all.at.tv_sec < KEPT_S &&
	       (!st || st->st_ctim.tv_sec < all.at.tv_sec - SETTLED_S);
}

static void list_processes(const struct stat *st, bool mappings)
{
	struct dirent *e;
	DIR *proc;

	if (is_fresh_for(st) && (all.has_mappings || !mappings))
		return;
	clear_processes();
	clock_gettime(CLOCK_REALTIME, &all.at);
	proc = opendir("/proc");
	while (proc && (e = readdir(proc))) {
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			add_process(e->d_name);
	}
	if (proc)
		closedir(proc);
	for (size_t i = 0; mappings && i < all.n; i++)
		add_mappings(all.process[i].pid);
	all.has_mappings = mappings;
}

static const struct seen_mapping *find_mapping(const char *path, const struct stat *st)
{
	list_processes(st, true);
	for (size_t i = 0; i < all.n_mappings; i++) {
		if (is_mapping_of(&all.mapping[i].m, path, st))
			return &all.mapping[i];
	}
	return NULL;
}

bool owner_is_mapped(const char *path, const struct stat *st)
{
	return find_mapping(path, st) != NULL;
}

/* --- view of this process --------------------------------------------------------------------- */

static struct {
	bool known;
	bool has_proc;	   /* /proc shows this process ... */
	bool own_proc;	   /* ... with the PIDs of its own namespace */
	uint64_t own;	   /* PID namespace of this process ... */
	uint64_t of_proc;  /* ... and of /proc; 0: unknown */
	bool shows_others; /* /proc shows processes of other users too */
	char boot_id[40];
} here;

static void find_view(void)
{
	char text[4096];
	unsigned depth;

	if (here.known)
		return;
	here.known = true;
	here.has_proc = innermost_pid("self", &depth) != 0;
	here.own_proc = here.has_proc && depth == 1;
	here.own = read_link_inode("self", "pid");
	here.of_proc = here.own_proc ? here.own : read_link_inode("1", "pid");
	here.shows_others = read_proc("1", "status", text, sizeof(text)) > 0; /* no hidepid */
	read_file(PYPROF_BOOT_ID_FILE, here.boot_id, sizeof(here.boot_id));
	here.boot_id[strcspn(here.boot_id, "\n")] = '\0';
}

uint64_t owner_namespace(void)
{
	find_view();
	return here.own;
}

/* True if `all` contains each running process of this namespace (0: of any namespace). */
static bool shows_namespace(uint64_t pid_namespace)
{
	if (!here.has_proc || !here.shows_others)
		return false;
	if (here.of_proc == INIT_PID_NAMESPACE || (pid_namespace && pid_namespace == here.own))
		return true;
	for (size_t i = 0; pid_namespace && i < all.n; i++) {
		if (all.process[i].pid_namespace == pid_namespace)
			return true;
	}
	return false;
}

/* True if another machine may write the file; then another boot id does not mean that it ended. */
static bool is_on_network(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) < 0 || pyprof_is_shared_by_machines((uint64_t)fs.f_type);
}

/* --- the owner of a recording ----------------------------------------------------------------- */

/* The process to find. */
struct wanted {
	uint32_t pid;
	uint64_t start, pid_namespace; /* 0: unknown */
	const char *path;	       /* NULL: without a file */
	const struct stat *st;
};

static void set_owner(struct owner *o, enum owner_state state, uint32_t pid, uint64_t start)
{
	*o = (struct owner){ .state = state, .pid = pid, .start = start };
}

static bool is_candidate(const struct seen *s, const struct wanted *w)
{
	return s->inner == w->pid && (!w->start || s->start == w->start) &&
	       (!w->pid_namespace || !s->pid_namespace || s->pid_namespace == w->pid_namespace);
}

/*
 * A process with the right PID owns the file if it maps the file. If its mappings cannot be read,
 * the same start and namespace are proof too, if both are known.
 */
static void find_among_all(struct owner *o, const struct wanted *w)
{
	bool perhaps = false;

	list_processes(w->st, false);
	for (size_t i = 0; i < all.n; i++) {
		const struct seen *s = &all.process[i];
		bool proven = w->start && w->pid_namespace && s->pid_namespace;
		int maps;

		if (!is_candidate(s, w))
			continue;
		maps = w->path ? maps_file(s->pid, w->path, w->st) : proven ? 1 : -1;
		if (maps > 0 || (maps < 0 && proven)) {
			set_owner(o, OWNER_RUNS, s->pid, s->start);
			return;
		}
		perhaps |= maps < 0;
	}
	o->state = !perhaps && shows_namespace(w->pid_namespace) ? OWNER_ENDED : OWNER_UNKNOWN;
}

static void find_in_own_namespace(struct owner *o, const struct wanted *w)
{
	if (owner_process_start(w->pid) != w->start)
		o->state = here.shows_others || getuid() == 0 ? OWNER_ENDED : OWNER_UNKNOWN;
	else if (!w->path || maps_file(w->pid, w->path, w->st))
		set_owner(o, OWNER_RUNS, w->pid, w->start);
	else
		o->state = OWNER_ENDED; /* it runs another program now */
}

static void find(struct owner *o, const struct wanted *w)
{
	find_view();
	memset(o, 0, sizeof(*o));
	if (!w->pid)
		o->state = OWNER_ENDED;
	else if (here.own_proc && w->start && w->pid_namespace && w->pid_namespace == here.own)
		find_in_own_namespace(o, w);
	else
		find_among_all(o, w);
}

void owner_find_process(struct owner *o, uint32_t pid, uint64_t start, uint64_t pid_namespace)
{
	const struct wanted w = { .pid = pid, .start = start, .pid_namespace = pid_namespace };

	find(o, &w);
}

/* Forked children may have continued in the file. Its header names the first process. */
static void find_successor(struct owner *o, const char *path, const struct stat *st)
{
	const struct seen_mapping *m = find_mapping(path, st);

	if (m)
		set_owner(o, OWNER_RUNS, m->pid, owner_process_start(m->pid));
}

void owner_find(struct owner *o, const struct pyprof_header *h, const char *path,
		const struct stat *st)
{
	const struct wanted w = { .pid = h->pid,
				  .start = h->process_start,
				  .pid_namespace = h->pid_namespace,
				  .path = path,
				  .st = st };
	const struct wanted process = { w.pid, w.start, w.pid_namespace, NULL, st };

	find_view();
	if (*h->boot_id && *here.boot_id &&
	    strncmp(h->boot_id, here.boot_id, sizeof(h->boot_id)) != 0) {
		memset(o, 0, sizeof(*o));
		o->state = is_on_network(path) ? OWNER_UNKNOWN : OWNER_ENDED;
		return;
	}
	find(o, h->replaced_mono_ns ? &process : &w);
	if (h->replaced_mono_ns && o->state == OWNER_RUNS)
		o->state = OWNER_REPLACED;
	else if (o->state == OWNER_ENDED && h->n_processes > 1)
		find_successor(o, path, st);
}

bool owner_is_of_this_boot(const struct pyprof_header *h)
{
	find_view();
	return *here.boot_id && !strncmp(here.boot_id, h->boot_id, sizeof(h->boot_id));
}

bool owner_still_runs(const struct owner *o)
{
	return o->pid && owner_process_start(o->pid) == o->start;
}

bool owner_may_write(const struct owner *o, const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 || maps_file(o->pid, path, &st) != 0;
}

/*
 * Tries all threads, because one that has ended shows no namespace. It may be the main thread while
 * others run.
 */
static uint64_t time_namespace(uint32_t pid)
{
	char name[300];
	uint64_t inode = 0;
	struct dirent *e;
	DIR *tasks;

	snprintf(name, sizeof(name), "/proc/%" PRIu32 "/task", pid);
	tasks = opendir(name);
	while (tasks && !inode && (e = readdir(tasks))) {
		snprintf(name, sizeof(name), "%" PRIu32 "/task/%s", pid, e->d_name);
		inode = *e->d_name == '.' ? 0 : read_link_inode(name, "time");
	}
	if (tasks)
		closedir(tasks);
	return inode;
}

bool owner_shares_namespaces(const struct owner *o, const struct pyprof_header *h)
{
	uint64_t clocks = read_link_inode("self", "time");

	find_view();
	return o->state == OWNER_RUNS && here.own_proc && h->pid_namespace == here.own &&
	       (!clocks || time_namespace(o->pid) == clocks);
}
