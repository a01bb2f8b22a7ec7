/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of a pstats file -> profile: files of cProfile, profile, hotshot's converter and
 * Stats.dump_stats of Python 2.7 to 3.15, of profiling.sampling, and our own. Trusts nothing, and
 * its memory is bounded by the number of bytes.
 *
 * Texts that Python 2 wrote are bytes; those that are not UTF-8 come in as os.fsdecode would have
 * it. `python -m profile` calls the whole program by a code object; it is named like its repr, but
 * for the address, which is another one whenever it is loaded.
 */
#ifndef READER_PSTATS_READ_H
#define READER_PSTATS_READ_H

#include "base/error.h"
#include "profile/profile.h"

struct pstats_file {
	struct profile_counts total; /* of this file: calls, and self times added in its order */
	size_t n_functions;
	bool sampled;	    /* profiling.sampling wrote it: the counts are samples */
	struct error error; /* after a failure: what was found, what was expected */
};

/*
 * Copies a whole file, if it starts like a pstats file: with a marshalled dict. 0, with `bytes` for
 * free(), or NULL where it does not or is no plain file; or -errno.
 */
int pstats_load(const char *path, void **bytes, size_t *n_bytes);

/*
 * Adds the file to `p`, as Stats.add does. 0, or -EINVAL or -ENOMEM with `error` set; `p` then is
 * whole, but holds a part of the file.
 */
int pstats_read(struct pstats_file *f, struct profile *p, const void *bytes, size_t n_bytes);

#endif
