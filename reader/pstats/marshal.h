/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Python's marshal format to a tree of plain values, for all versions of the format from Python 2.7
 * to 3.15. Owns the tree; its texts point into the bytes, which the caller keeps until
 * marshal_fini. pstats_read.c and refusal.c call it; one thread at a time.
 *
 * The tree holds the values of which a profile consists: numbers, texts, tuples, dicts, and the
 * names of code objects (profile.py names the program by one). Other values are parsed and left
 * out.
 *
 * It must not trust the bytes. The tree has at most one node for each byte, so the bytes that exist
 * bound its memory, not the lengths that they claim. A value is in the tree at each reference to
 * it, so walking the tree may take longer than reading it. Callers must limit that.
 */
#ifndef READER_MARSHAL_H
#define READER_MARSHAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "profile/profile.h"

enum marshal_kind {
	MARSHAL_OTHER, /* all other types, and integers of more than 63 bits */
	MARSHAL_INTEGER,
	MARSHAL_REAL,
	MARSHAL_TEXT, /* of types s and t, which Python 2 wrote, any bytes; else UTF-8 with surrogates */
	MARSHAL_TUPLE,
	MARSHAL_DICT, /* items: a key, its value, the next key, ... */
	MARSHAL_CODE, /* items: file, name and line; the first two need not be texts */
};

/* The items of a container are a list: `first` is the first one, and each has its `next`. */
struct marshal_node {
	union {
		int64_t integer;
		double real;
		struct {
			uint32_t at;
			uint32_t n_bytes;
		} text;
		struct {
			uint32_t first; /* the same in all references to one container */
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
	struct marshal_node *node; /* node[0] is the root */
	uint32_t n_nodes, cap_nodes;
	uint32_t *ref; /* nodes that can be referred to; UINT32_MAX until the value is whole */
	uint32_t n_refs, cap_refs;
	uint32_t *interned; /* the same for interned texts of Python 2 */
	uint32_t n_interned, cap_interned;
	struct error error; /* set after a failure: "found X, expected Y" */
	const char *python; /* the exception of Python's marshal.load, or NULL if not known */
};

/*
 * Reads one value. Bytes after it are ignored, as in marshal.load. 0, or -EINVAL or -ENOMEM with
 * m->error set. Call marshal_fini in either case. LC_NUMERIC must be C.
 */
int marshal_read(struct marshal *m, const void *bytes, size_t n_bytes);
void marshal_fini(struct marshal *m);

static inline struct text marshal_text(const struct marshal *m, const struct marshal_node *node)
{
	return (struct text){ m->bytes + node->text.at, node->text.n_bytes };
}

#endif
