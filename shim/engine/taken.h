/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * 3.8 to 3.11: handles that the program takes the profile hook of a thread. The loss is noticed,
 * regardless of the code that took the hook. The hook is set again as soon as it is free, and the
 * missing time is recorded as a blind interval. Owns what a thread knows about that.
 *
 * The places that look, from the surest to the last resort:
 *
 *	an audit hook in C	PyEval_SetProfile was called, by any code: look at the next chance
 *	takers.c		a C function that may take the hook returns
 *	a pending call		between two instructions of the main thread
 *	spawn.c			a frame is evaluated, while there is a reason to look (PEP 523)
 *	spawn_look()		another thread's record needs a new block
 *
 * All calls need the GIL of the main interpreter and are about the calling thread. They must not
 * raise or leave an exception, nor replace a function that the program uses.
 */
#ifndef SHIM_TAKEN_H
#define SHIM_TAKEN_H

/*
 * Called once in each interpreter that is initialised, by its main thread. From then on
 * profilehook_look() checks the thread's hook, and handles a change. Keeps exceptions and errno.
 */
void taken_prepare(void);

#endif
