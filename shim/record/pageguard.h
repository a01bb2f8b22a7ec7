/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps the program alive when the recording's pages are gone: the file was truncated, or the
 * server of its file system has died. A store into such a page raises SIGBUS. The handler here maps
 * private zeroed memory instead, and recording is switched off at the next slow path.
 *
 * The handler is installed only if SIGBUS has its default action. A SIGBUS outside of the recording
 * gets that default action. If the program has a handler of its own, or installs one later without
 * calling ours, the program's handler decides. The handler runs in any thread, without the GIL, and
 * must stay async-signal-safe.
 */
#ifndef SHIM_PAGEGUARD_H
#define SHIM_PAGEGUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Protects this address range instead of the former one. The same base with another length changes
 * the length. Needs the GIL.
 */
void pageguard_set(void *base, size_t bytes);

/*
 * Protects a second range: in a forked child the parent's recording, until it is unmapped. NULL: no
 * second range. Async-signal-safe.
 */
void pageguard_set_aside(void *base, size_t bytes);

/*
 * True if pages of either range were replaced since pageguard_set() got another base. Any thread.
 */
bool pageguard_has_tripped(void);

/*
 * Writes to each page without changing it, so that the file system reserves space. False: there is
 * no space, and the pages are private memory now; or ours is not the handler, and nothing was done.
 */
bool pageguard_touch(uint8_t *from, size_t bytes);

#endif
