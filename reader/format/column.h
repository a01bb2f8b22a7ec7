/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Columns of whole numbers in a JSON document: each is a string in base64 of LEB128 numbers, seven
 * bits a byte, the lowest first. Half as long as an array, and read in the same time. html_data.c
 * calls it. It owns nothing.
 */
#ifndef READER_COLUMN_H
#define READER_COLUMN_H

#include "put.h"

struct column {
	FILE *to;
	uint32_t bits; /* that are not printed yet */
	int n_bytes;   /* of them, at most 2 */
};

/* Prints the key. column_end must follow, and nothing else may be printed in between. */
void column_begin(struct column *c, struct put *j, const char *key);
void column_add(struct column *c, uint64_t value);
void column_end(struct column *c);

#endif
