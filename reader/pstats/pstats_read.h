/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of a pstats file to a profile. Reads files of cProfile, profile, hotshot's converter
 * and Stats.dump_stats of Python 2.7 to 3.15, of profiling.sampling, and of pyshim-read. Owns
 * nothing between calls. load/sources.c calls it, from one thread. It must not trust the bytes: its
 * memory is bounded by their number.
 *
 * Python 2 wrote texts as bytes. If these are not UTF-8, they are decoded like os.fsdecode.
 * `python -m profile` has a code object as the key of the whole program. Its name is the repr of
 * that object without the address, which would differ on each load.
 */
#ifndef READER_PSTATS_READ_H
#define READER_PSTATS_READ_H

#include "base/error.h"
#include "profile/profile.h"

struct pstats_file {
	struct profile_counts total; /* calls, and self times added in the order of the file */
	size_t n_functions;
	bool sampled;	    /* profiling.sampling wrote it: the counts are samples */
	struct error error; /* set after a failure: "found X, expected Y" */
};

/*
 * Copies a whole file into memory, if it starts with a marshalled dict, as pstats files do. Returns
 * 0 with *bytes for free(), 0 with NULL if it starts otherwise or is not a regular file, or -errno.
 */
int pstats_load(const char *path, void **bytes, size_t *n_bytes);

/*
 * Adds the file to `p`, as Stats.add does. 0, or -EINVAL or -ENOMEM with f->error set; `p` is then
 * valid, but contains a part of the file.
 */
int pstats_read(struct pstats_file *f, struct profile *p, const void *bytes, size_t n_bytes);

#endif
