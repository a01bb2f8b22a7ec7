/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A private folder for the recordings of one run, so that they are those of the command and its
 * children and no others. It is made in PYSHIM_DIR where that is set, else in /dev/shm.
 *
 * Root's command may go on as another user and record then, too. So in a place that all users may
 * write to root's folder has another in it, which all may write to who know its name: that is
 * random, the folder around it cannot be listed, and the environment of the command has it, which
 * others cannot read.
 *
 * In PYSHIM_DIR the recordings are the user's to keep: after the run they are moved up, under their
 * usual names. In /dev/shm they are removed. What a process still runs with stays where it is.
 */
#ifndef LAUNCHER_RUNDIR_H
#define LAUNCHER_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct rundir {
	char *path;  /* where the command records */
	char *outer; /* the folder that this is in, or NULL */
	const char *parent;
	bool is_kept;	   /* `parent` is PYSHIM_DIR */
	bool stays;	   /* the folder, with the recordings */
	char *preload;	   /* the shim's path for LD_PRELOAD, which cannot take just any */
	char *link_folder; /* a folder that `preload` is a link in, or NULL */
	char **recording;  /* paths, in the order in which they were begun */
	size_t n_recordings;
	bool has_foreign; /* some of them are another user's */
};

/* `shim` is an absolute path. 0, or -1 when it has been said what is wrong. */
int rundir_open(struct rundir *d, const char *shim);

/* A process that runs and has the folder in its environment or a collected recording, or 0. */
pid_t rundir_user(const struct rundir *d);

/* Looks for the recordings. Leaves out a file that is broken, and may say which. 0 or -errno. */
int rundir_collect(struct rundir *d, bool complains);

/* Brings the collected ones of ended processes to where they are kept, if they are to be. */
void rundir_move_up(struct rundir *d);

/* Nobody else can write there any more. For when no process of the command runs. */
void rundir_shut(const struct rundir *d);

/*
 * Removes it from the file system, with all that is in it, but for what is to be kept. 0 or -errno.
 */
int rundir_remove(struct rundir *d);

/* Frees the memory. */
void rundir_fini(struct rundir *d);

#endif
