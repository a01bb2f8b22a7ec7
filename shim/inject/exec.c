/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exec.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/region.h"
#include "system/config.h"
#include "system/libc.h"
#include "system/sandbox.h"

static const char *own_name; /* name of the shim's file, without folders */

void exec_init(void)
{
	const char *slash;
	Dl_info info;

	(void)LIBC(execve);
	(void)LIBC(posix_spawn);
	(void)LIBC(posix_spawnp);
	if (!dladdr((void *)(uintptr_t)exec_init, &info) || !info.dli_fname)
		return;
	slash = strrchr(info.dli_fname, '/');
	own_name = slash ? slash + 1 : info.dli_fname;
}

/* --- whether a program will be recorded ------------------------------------------------------- */

static const char *value_of(char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; envp && *envp; envp++) {
		if (!strncmp(*envp, name, n) && (*envp)[n] == '=')
			return *envp + n + 1;
	}
	return NULL;
}

/* True if the program gets the rights of another user or group: then ld.so ignores LD_PRELOAD. */
static bool changes_rights(const char *path)
{
	struct stat st;

	return !sandbox_is_closed() && stat(path, &st) == 0 &&
	       (((st.st_mode & S_ISUID) && st.st_uid != geteuid()) ||
		((st.st_mode & S_ISGID) && st.st_gid != getegid()));
}

/*
 * True if the program will be recorded in the same folder as this process, so that one report
 * covers both.
 */
static bool will_be_recorded(const char *path, char *const *envp)
{
	const char *preload = value_of(envp, "LD_PRELOAD");
	const char *dir = value_of(envp, "PYSHIM_DIR");

	if (!preload || !strstr(preload, own_name) || changes_rights(path))
		return false;
	return !config.has_dir || (dir && !strcmp(dir, config.dir));
}

/* --- counting --------------------------------------------------------------------------------- */

bool exec_is_to_be_counted(const char *path, char *const *envp)
{
	int saved = errno;
	bool is = region.base && own_name && path && !will_be_recorded(path, envp);

	errno = saved;
	return is;
}

void exec_count(const char *path)
{
	struct pyprof_header *h = region_shared_header();
	uint64_t n = __atomic_fetch_add(&h->n_unrecorded, 1, __ATOMIC_RELAXED);
	const char *slash = strrchr(path, '/');

	if (n < PYPROF_UNRECORDED)
		strncpy(h->unrecorded[n], slash ? slash + 1 : path, sizeof(h->unrecorded[n]) - 1);
}

void exec_uncount(void)
{
	struct pyprof_header *h = region_shared_header();
	uint64_t n = __atomic_sub_fetch(&h->n_unrecorded, 1, __ATOMIC_RELAXED);

	if (n < PYPROF_UNRECORDED)
		memset(h->unrecorded[n], 0, sizeof(h->unrecorded[n]));
}
