/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A private folder for the recordings of one run: it holds only those of the command and its
 * children. It is made in PYSHIM_DIR if that is set, else in /dev/shm. Only main.c calls this file.
 * It owns the folder and the paths in struct rundir. It must not follow links in the folder, and
 * must not remove a recording that a process still uses.
 *
 * Root's command may become another user, and is recorded then, too. So, in a parent that all users
 * may write to, root's folder contains another folder that all users may write to. Its name is
 * random, the outer folder cannot be listed, and other users cannot read the command's environment,
 * which contains the name.
 *
 * Recordings in PYSHIM_DIR are kept: after the run they are moved to the parent, under their usual
 * names. Those in /dev/shm are removed. A folder that a process still uses stays where it is.
 */
#ifndef LAUNCHER_RUNDIR_H
#define LAUNCHER_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct rundir {
	char *path;  /* where the command records */
	char *outer; /* the folder around `path`, or NULL */
	const char *parent;
	bool is_kept;	   /* `parent` is PYSHIM_DIR */
	bool stays;	   /* rundir_remove leaves the folder with the recordings */
	char *preload;	   /* the shim's path for LD_PRELOAD, perhaps a link: see find_preload */
	char *link_folder; /* the folder that contains this link, or NULL */
	char **recording;  /* paths, in the order in which the recordings began */
	size_t n_recordings;
	bool has_foreign; /* some of them belong to another user */
};

/* `shim` is an absolute path. Returns 0, or -1 after a message. */
int rundir_open(struct rundir *d, const char *shim);

/* The PID of a running process that has the folder in its environment or a recording, or 0. */
pid_t rundir_user(const struct rundir *d);

/* Collects the recordings, except broken files; `complains`: names these. 0 or -errno. */
int rundir_collect(struct rundir *d, bool complains);

/* Moves the collected recordings of ended processes to `parent`, if `is_kept`. */
void rundir_move_up(struct rundir *d);

/* Takes write permission from other users. Call it when no process of the command runs. */
void rundir_shut(const struct rundir *d);

/* Removes the folder and its contents, except recordings that are to be kept. 0 or -errno. */
int rundir_remove(struct rundir *d);

/* Frees the memory. */
void rundir_fini(struct rundir *d);

#endif
