/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shows how much of the files has been read: one line on standard error, if that is a terminal and
 * reading takes longer than a second. Owns a thread that prints the line, so that readers only
 * count. main starts and stops it; load and drain report progress. It must not slow down reading,
 * nor print when another program has the terminal.
 */
#ifndef READER_PROGRESS_H
#define READER_PROGRESS_H

#include <stdint.h>

/*
 * Starts the display; not twice at the same time. If it was not started, or could not be, the other
 * functions show nothing.
 */
void progress_start(void);

/* Stops the display and clears its line. */
void progress_stop(void);

/* Adds a file to those that will be read. */
void progress_expect(const char *path);

/* Reports that reading this file begins, and that the previous one is done. */
void progress_next(const char *path);

/* Reports that `bytes` bytes of it have been read. Any thread may call only this one. */
void progress_add(uint64_t bytes);

#endif
