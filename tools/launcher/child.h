/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command and the reader as child processes, and the signals meanwhile.
 *
 * A child stays in the launcher's process group, as if the shell had started it: what is typed at
 * the terminal reaches both, and the launcher outlives it. What is sent to the launcher alone is
 * passed on; what was sent to the group is not, for the child has it already. To tell these apart
 * where the kernel does not, a third process waits in the group, with nothing open, and is seen to
 * die of what the group was sent.
 *
 * Signals that were ignored or blocked when the launcher began are so in its children. One thread.
 */
#ifndef LAUNCHER_CHILD_H
#define LAUNCHER_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Before anything else here. From now on signals wait for child_wait. */
void child_init(void);

/*
 * Runs a program, found as a shell finds it. `prepare` is called in the child before that, and may
 * change its environment and descriptors; NULL: nothing to do. The child's number, or -errno: it
 * could not be run.
 */
pid_t child_start(char *const *argv, void (*prepare)(void *arg), void *arg);

/*
 * Waits for its end, stops and goes on together with it, passes signals on. Its status as waitpid
 * gives it. Signals that arrive later wait for the next call.
 */
int child_wait(pid_t pid);

/* Whether Ctrl-C or Ctrl-\\ was typed meanwhile: the terminal shows that without a new line. */
bool child_was_interrupted(void);

/* Ends the launcher as a child with this status ended: by the same signal, without a core. */
void child_end_like(int status) __attribute__((noreturn));

#endif
