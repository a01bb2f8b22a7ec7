/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the command and the reader as child processes, and handles the signals meanwhile. It owns
 * the signal mask and the witness process below. main.c calls it, from the only thread. It must not
 * print, or open recordings.
 *
 * A child stays in the launcher's process group, as if the shell had started it. Keys typed at the
 * terminal reach both, and the launcher survives them. A signal to the launcher alone is passed on.
 * A signal to the group is not, because the child has received it already. The kernel does not
 * always show which of these it was. So a third process, the witness, waits in the group, with
 * nothing open: a signal to the group kills it.
 *
 * Signals that were ignored or blocked when the launcher started are so in its children.
 */
#ifndef LAUNCHER_CHILD_H
#define LAUNCHER_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Call it first. From here on signals stay pending until child_wait. */
void child_init(void);

/*
 * Runs a program, which is found in PATH as a shell does. `prepare` is called in the child first
 * and may change its environment and descriptors; NULL: nothing to do. Returns the PID, or -errno
 * if the program could not be run.
 */
pid_t child_start(char *const *argv, void (*prepare)(void *arg), void *arg);

/*
 * Waits for the end of a child. Meanwhile it stops and continues together with it, and passes
 * signals on. Returns the status in the form of waitpid. Later signals wait for the next call.
 */
int child_wait(pid_t pid);

/* True if Ctrl-C or Ctrl-\\ was typed so far: the terminal echoes that without a newline. */
bool child_was_interrupted(void);

/* Ends the launcher with the exit status or by the signal of a child, without a core. */
void child_end_like(int status) __attribute__((noreturn));

#endif
