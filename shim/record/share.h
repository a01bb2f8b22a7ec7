/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The share of space that the rings of all recordings may take together: a quarter of the space for
 * them in the file system, and a sixteenth of the memory that a control group (or the machine) has
 * left. Names and tables do not ask: they are small, and a recording must have them. But no new
 * recording begins when all together take half of the space, or an eighth of the memory.
 *
 * Any thread with the GIL. Opens files for a moment; must not allocate anything that outlives the
 * call.
 */
#ifndef SHIM_SHARE_H
#define SHIM_SHARE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * True if a recording of `bytes` may begin beside others. Short programs, each of which leaves its
 * recording, would fill the file system otherwise. Called first: reads the limits of this process
 * image.
 */
bool share_has_recording(uint64_t bytes);

/*
 * Returns the largest length in bytes for a file: half of the free space. Untouched pages of the
 * file take no space, but mlockall(2) in the program touches them all.
 */
uint64_t share_max_length(void);

enum share {
	SHARE_LEFT,	/* rings may take that much */
	SHARE_FULL,	/* they may not */
	SHARE_EXCEEDED, /* ... and should give back blocks */
};

/*
 * Asks if rings may take `bytes` more. `*without_asking`: if so, how many more they may take after
 * these; a small part of the free space, because finding out takes about 20 us.
 */
enum share share_ask(uint64_t bytes, uint64_t *without_asking);

#endif
