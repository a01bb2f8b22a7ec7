/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * 3.8 to 3.11: the profile hook of a thread when the program takes it. The loss is found whoever
 * took the hook; the hook is set again as soon as it is free; and what was missed is told as a gap.
 * Owns what a thread knows about that.
 *
 * Who looks, from the surest to the last resort:
 *
 *	an audit hook in C	PyEval_SetProfile was called, by any code: look at the thread's next chance
 *	takers.c		a C function that may take the hook returns
 *	a pending call		between two instructions of the main thread
 *	spawn.c			a frame is evaluated, while there is a reason to look (PEP 523)
 *	spawn_look()		another thread's record needs a new block
 *
 * All calls need the GIL of the main interpreter and are about the calling thread. None may raise
 * or leave an exception behind, nor replace a function that the program uses.
 */
#ifndef SHIM_TAKEN_H
#define SHIM_TAKEN_H

/*
 * Once in each interpreter that is initialised, in its main thread. From then on profilehook_look()
 * looks at the thread's hook, and does what is to be done about it. Exceptions and errno stay as
 * they are.
 */
void taken_prepare(void);

#endif
