/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Private folders of runs: the launcher and a calibration record into one each, and put a link to
 * the shim into it. `pyshim-read --list` and `--clean` find them by their names. Owns nothing.
 */
#ifndef READER_RUNFOLDER_H
#define READER_RUNFOLDER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Makes PARENT/pyshim.PID.NAMESPACE.XXXXXX, of mode 0700, for this process. Returns the malloced
 * path, or NULL with errno.
 */
char *runfolder_make(const char *parent);

/*
 * Puts the shim into the folder by a link, for LD_PRELOAD, which is split at blanks and colons.
 * Returns the malloced path of the link, or NULL with errno.
 */
char *runfolder_link(const char *folder, const char *shim);

/*
 * Removes the link and the folder, if nothing else is left in it. 0 or -errno. A folder without a
 * link is removed too.
 */
int runfolder_remove(const char *folder);

/* Returns true for names that begin like those of runfolder_make. */
bool runfolder_is_name(const char *name);

/*
 * Reads which process made the folder; PID namespace 0: unknown, as in folders of version 0.1.
 * False: the name is another one.
 */
bool runfolder_maker(const char *name, uint32_t *pid, uint64_t *pid_namespace);

#endif
