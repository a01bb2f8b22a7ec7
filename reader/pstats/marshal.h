/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Python's marshal format -> a tree of plain values, of every version of the format from Python
 * 2.7's to 3.15's. What a profile is made of is kept: numbers, texts, tuples, dicts, and of code
 * objects (profile.py names the program by one) how they are called. All else is read and left out.
 * Pure: works on bytes that the caller holds, and the texts of the tree point into them.
 *
 * Trusts nothing. The tree has at most one node for each byte, so its memory is bounded by the
 * bytes that there are, whatever lengths they claim. A value that the bytes refer back to is in the
 * tree wherever it is referred to, so walking it may take longer than reading it did: who walks
 * counts.
 */
#ifndef READER_MARSHAL_H
#define READER_MARSHAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "profile/profile.h"

enum marshal_kind {
	MARSHAL_OTHER, /* all that is not named here, and integers of more than 63 bits */
	MARSHAL_INTEGER,
	MARSHAL_REAL,
	MARSHAL_TEXT, /* Python 2's may be any bytes; the others are what struct text promises */
	MARSHAL_TUPLE,
	MARSHAL_DICT, /* a key, its value, the next key ... */
	MARSHAL_CODE, /* its file, name and line: two texts, as far as they are, and an integer */
};

/* The items of a container are found by its `first` and their `next`, in order. */
struct marshal_node {
	union {
		int64_t integer;
		double real;
		struct {
			uint32_t at;
			uint32_t n_bytes;
		} text;
		struct {
			uint32_t first; /* the same for all that refer to one container */
			uint32_t n_items;
		};
	};
	uint32_t next; /* index of a node */
	uint8_t kind;
};

struct marshal {
	const char *bytes;
	size_t n_bytes;
	size_t at;
	struct marshal_node *node; /* [0] is the whole */
	uint32_t n_nodes, cap_nodes;
	uint32_t *ref; /* what may be referred to: its node, or UINT32_MAX before it is whole */
	uint32_t n_refs, cap_refs;
	uint32_t *interned; /* the same for the texts of Python 2 */
	uint32_t n_interned, cap_interned;
	struct error error; /* after a failure: what was found, what was expected */
	const char *
		python; /* what Python's marshal.load says to that, or NULL where it is not known */
};

/*
 * Reads one value; bytes behind it are ignored, as marshal.load does. 0, or -EINVAL or -ENOMEM with
 * `error` set. marshal_fini is for both.
 */
int marshal_read(struct marshal *m, const void *bytes, size_t n_bytes);
void marshal_fini(struct marshal *m);

static inline struct text marshal_text(const struct marshal *m, const struct marshal_node *node)
{
	return (struct text){ m->bytes + node->text.at, node->text.n_bytes };
}

#endif
