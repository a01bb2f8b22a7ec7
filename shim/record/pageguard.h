/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps the program alive when the recording's pages are gone: somebody has truncated the file, or
 * the server of its file system has died. A store into such a page raises SIGBUS; the handler here
 * maps private zeroed memory in its place, and the recording goes off at the next slow path.
 *
 * The handler is installed only where SIGBUS has its default action. A SIGBUS that has nothing to
 * do with the recording gets that default action. Where the program has a handler of its own, or
 * installs one later without calling ours, the program's handler decides.
 */
#ifndef SHIM_PAGEGUARD_H
#define SHIM_PAGEGUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Protects this address range, in place of the one before; the same base with another length
 * changes the length. Needs the GIL.
 */
void pageguard_set(void *base, size_t bytes);

/*
 * Protects another range beside it: in a forked child the parent's recording, until it is unmapped.
 * NULL: none. Async-signal-safe.
 */
void pageguard_set_aside(void *base, size_t bytes);

/*
 * Whether pages of either range were replaced since pageguard_set() got another base. Any thread.
 */
bool pageguard_has_tripped(void);

/*
 * Writes to each page, so that the file system reserves space for it. False: there was none, and
 * the pages are private memory now; or ours is not the handler, and nothing was touched.
 */
bool pageguard_touch(uint8_t *from, size_t bytes);

#endif
