/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exec.h"

#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "record/region.h"
#include "system/config.h"
#include "system/sandbox.h"

#define EXPORT __attribute__((visibility("default")))

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *,
			   const posix_spawnattr_t *, char *const *, char *const *);

EXPORT int execve(const char *path, char *const argv[], char *const envp[]);
EXPORT int execv(const char *path, char *const argv[]);
EXPORT spawn_function posix_spawn, posix_spawnp;

static int (*real_execve)(const char *, char *const *, char *const *);
static spawn_function *real_spawn, *real_spawnp;
static const char *own_name; /* of the shim's file, without folders */

void exec_init(void)
{
	const char *slash;
	Dl_info info;

	real_execve = (__typeof__(real_execve))dlsym(RTLD_NEXT, "execve");
	real_spawn = (spawn_function *)dlsym(RTLD_NEXT, "posix_spawn");
	real_spawnp = (spawn_function *)dlsym(RTLD_NEXT, "posix_spawnp");
	if (!dladdr((void *)(uintptr_t)exec_init, &info) || !info.dli_fname)
		return;
	slash = strrchr(info.dli_fname, '/');
	own_name = slash ? slash + 1 : info.dli_fname;
}

/* --- whether a program will be recorded ------------------------------------------------------------------- */

static const char *value_of(char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; envp && *envp; envp++) {
		if (!strncmp(*envp, name, n) && (*envp)[n] == '=')
			return *envp + n + 1;
	}
	return NULL;
}

/* ld.so ignores LD_PRELOAD where the program gets another user's or group's rights. */
static bool changes_rights(const char *path)
{
	struct stat st;

	return !sandbox_is_closed() && stat(path, &st) == 0 &&
	       (((st.st_mode & S_ISUID) && st.st_uid != geteuid()) ||
		((st.st_mode & S_ISGID) && st.st_gid != getegid()));
}

/* In the same place as this process, so that the report on one is the report on both. */
static bool will_be_recorded(const char *path, char *const *envp)
{
	const char *preload = value_of(envp, "LD_PRELOAD");
	const char *dir = value_of(envp, "PYSHIM_DIR");

	if (!preload || !strstr(preload, own_name) || changes_rights(path))
		return false;
	return !config.has_dir || (dir && !strcmp(dir, config.dir));
}

/* --- counting ------------------------------------------------------------------------------------------------- */

static bool is_of_interest(const char *path, char *const *envp)
{
	int saved = errno;
	bool is = region.base && own_name && path && !will_be_recorded(path, envp);

	errno = saved;
	return is;
}

static void count(const char *path)
{
	struct pyprof_header *h = region_shared_header();
	uint64_t n = __atomic_fetch_add(&h->n_unrecorded, 1, __ATOMIC_RELAXED);
	const char *slash = strrchr(path, '/');

	if (n < PYPROF_UNRECORDED)
		strncpy(h->unrecorded[n], slash ? slash + 1 : path, sizeof(h->unrecorded[n]) - 1);
}

/* It did not start: the next one has its place. */
static void count_back(void)
{
	struct pyprof_header *h = region_shared_header();
	uint64_t n = __atomic_sub_fetch(&h->n_unrecorded, 1, __ATOMIC_RELAXED);

	if (n < PYPROF_UNRECORDED)
		memset(h->unrecorded[n], 0, sizeof(h->unrecorded[n]));
}

/* --- what is interposed ------------------------------------------------------------------------------------- */

int execve(const char *path, char *const argv[], char *const envp[])
{
	bool counted = is_of_interest(path, envp);
	int result;

	if (counted)
		count(path);
	result = real_execve ? real_execve(path, argv, envp)
			     : (int)syscall(SYS_execve, path, argv, envp);
	if (counted)
		count_back();
	return result;
}

int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

static int spawn(spawn_function *real, pid_t *pid, const char *path,
		 const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
		 char *const *argv, char *const *envp)
{
	bool counts = is_of_interest(path, envp);
	int err = real(pid, path, actions, attributes, argv, envp);

	if (counts && !err)
		count(path);
	return err;
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
	if (!real_spawn)
		real_spawn = (spawn_function *)dlsym(RTLD_NEXT, "posix_spawn");
	return spawn(real_spawn, pid, path, actions, attributes, argv, envp);
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
	if (!real_spawnp)
		real_spawnp = (spawn_function *)dlsym(RTLD_NEXT, "posix_spawnp");
	return spawn(real_spawnp, pid, file, actions, attributes, argv, envp);
}
