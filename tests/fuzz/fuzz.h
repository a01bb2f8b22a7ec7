/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by both fuzz targets: reads a source and writes every report of it. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* A target, as libFuzzer knows it. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void fuzz_init(void);

/* Returns a file that holds these bytes. It is removed at exit. */
const char *fuzz_file(const uint8_t *data, size_t size);

/*
 * Reads the file as pyshim-read does. The bits of `choice` select options and the format. Aborts if
 * our own pstats output cannot be read back.
 */
void fuzz_source(const char *name, unsigned choice);

#endif
