/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much of the files has been read: a line on standard error, where that is a terminal, while it
 * takes longer than a second. A thread of its own prints it, so that who reads only counts.
 */
#ifndef READER_PROGRESS_H
#define READER_PROGRESS_H

#include <stdint.h>

/* Not twice at once. Where nothing was started, or it could not be, the others do nothing. */
void progress_start(void);

/* No line is left behind. */
void progress_stop(void);

/* This file is going to be read. */
void progress_expect(const char *path);

/* It begins now; the one before is done. */
void progress_next(const char *path);

/* So many bytes of it have been read. The only one that any thread may call. */
void progress_add(uint64_t bytes);

#endif
