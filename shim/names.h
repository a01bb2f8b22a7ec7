/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Appends entries to the recording's name table. Called with the GIL held.
 */
#ifndef SHIM_NAMES_H
#define SHIM_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct names_text {
	const char *bytes;
	size_t n;
};

struct names_entry {
	uint16_t kind;	/* enum pyprof_name_kind */
	uint16_t flags; /* PYPROF_NAME_* */
	uint32_t number;
	int32_t line;
	uint32_t code_bytes;
	struct names_text file, name, qualname;
};

/* Starts an empty table in a new recording. */
void names_reset(void);

/* The offset of the published entry, or 0 when there is no space. */
uint64_t names_publish(const struct names_entry *e);

#endif
