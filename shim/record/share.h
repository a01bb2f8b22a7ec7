/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much room the rings of all recordings may take together: a quarter of what the file system
 * has for them, and a sixteenth of the memory that a control group (or the machine) has left. Names
 * and tables are small and not asked about: a recording cannot do without them.
 *
 * Needs the GIL. Opens files for a moment; allocates nothing that outlives the call.
 */
#ifndef SHIM_SHARE_H
#define SHIM_SHARE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Once per process image: looks at the file system of a recording, whose file is `fd`, and at
 * limits.
 */
void share_open(int fd);

/*
 * The most bytes that a file may have as its length, at share_open: half of what is free. Pages of
 * the file that nobody has touched take no room, but mlockall(2) in the program touches them all.
 */
uint64_t share_max_length(void);

enum share {
	SHARE_LEFT,	/* rings may take as much */
	SHARE_FULL,	/* they may not */
	SHARE_EXCEEDED, /* ... and are to give back what they can do without */
};

/*
 * Whether rings may take `bytes` more. `without_asking`: where they may, how many after these: a
 * small part of what is free, for it takes some 20 us to find out.
 */
enum share share_ask(uint64_t bytes, uint64_t *without_asking);

#endif
