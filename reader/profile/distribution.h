/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which distribution installed a file: yaml -> PyYAML. Owns what it has read of folders
 * (site-packages). profile/module.c calls it, from one thread. It must not trust the folders, whose
 * names come from a recording: it reads only regular files, and a bounded amount.
 *
 * It reads *.dist-info (METADATA, RECORD, top_level.txt) and *.egg-info (PKG-INFO, top_level.txt).
 */
#ifndef READER_DISTRIBUTION_H
#define READER_DISTRIBUTION_H

#include <stdbool.h>

#include "profile.h"

struct distributions {
	struct profile sites; /* index of the folders that have been read */
	/*
	 * Index of installed files by folder and path in it, and of top-level modules by folder and
	 * name. Each has the number of its distribution, or DISTRIBUTION_SEVERAL.
	 */
	struct profile files;
	size_t *of;
	size_t cap_of;
	struct text *name; /* of each distribution */
	size_t n_names, cap_names;
	struct texts texts;
	size_t left_bytes; /* that may still be read */
};

void distributions_init(struct distributions *d);
void distributions_fini(struct distributions *d);

/* Reads what is installed in a folder, once; nothing if it cannot be read. 0 or -ENOMEM. */
int distributions_read(struct distributions *d, struct text site);

/*
 * Finds the distribution of the file `rest` in the folder `site`. False: none is known, or its
 * top-level package belongs to several.
 */
bool distributions_find(const struct distributions *d, struct text site, struct text rest,
			struct text *name);

/* Does the same for a module that any of the folders may have, by the first part of its name. */
bool distributions_find_module(const struct distributions *d, struct text module,
			       struct text *name);

/* True if a top-level module belongs to the standard library, or is built into the interpreter. */
bool distribution_is_python(struct text top);

#endif
