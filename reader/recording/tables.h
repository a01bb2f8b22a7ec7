/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of fold.h in private memory: empty, or loaded from a ring's fold table with an
 * unfinished fold undone. Owns that memory. replay, snapshot and ticks call it, each struct from
 * one thread. It must not write the recording, and must check all values it takes from it.
 *
 * A table of a live target can be loaded while the target changes it, if the records of the blocks
 * that it folds meanwhile are available. Each entry is read as of some block. An entry of a later
 * block than the others is kept apart (struct tables_late) until the records up to its block have
 * been added to the others.
 */
#ifndef READER_TABLES_H
#define READER_TABLES_H

#include "drain.h"
#include "pyprof/fold.h"

/* 0 or -ENOMEM. */
int tables_init(struct pyprof_fold *f);
void tables_fini(struct pyprof_fold *f);

/*
 * An entry that had already changed after block tables_source.folded when it was read. Its numbers
 * include the records up to block `sequence`, so these must not be added again.
 */
struct tables_late {
	uint64_t sequence; /* number of the block that changed it last */
	uint32_t slot;	   /* of a function, or of an edge if `is_edge` */
	bool is_edge;
	union {
		struct pyprof_fold_fn fn;
		struct pyprof_fold_edge edge;
	};
};

/* A fold table in the recording that is being loaded. */
struct tables_source {
	struct drain_ring *ring;
	uint64_t offset;	  /* of the table in the file */
	uint64_t folded;	  /* out: number of the block that state and stack are as of */
	struct tables_late *late; /* out: sorted by block; freed by tables_source_fini */
	size_t n_late, cap_late;
	size_t n_applied;
	/* Entries that an earlier attempt has read. Most have the same epoch and are kept. */
	uint32_t n_fns, n_edges;
	bool torn; /* out: the table and the ring are of different times */
};

void tables_source_fini(struct tables_source *s);

/*
 * Load a fold table into empty tables: first the state and the stack as of block s->folded, then
 * the entries. 0, -ENOMEM, -EAGAIN if the target has folded more meanwhile, or -EINVAL if the table
 * is invalid.
 */
int tables_load_state(struct pyprof_fold *f, struct tables_source *s);
int tables_load_entries(struct pyprof_fold *f, struct tables_source *s);

/*
 * Reads only the state, and returns the same errors. Uses s->ring and s->offset. Allocates nothing,
 * so `s` needs no tables_source_fini.
 */
int tables_read_state(struct pyprof_fold_state *state, struct tables_source *s);

/*
 * Checks the loaded tables and builds the indices; records can be added from then on. Until then,
 * loading may be repeated, which reuses the entries that have not changed. 0, -EINVAL if the tables
 * are invalid, or -EAGAIN if they are and the target has folded more; both leave empty tables.
 */
int tables_index(struct pyprof_fold *f, struct tables_source *s);

/* Returns the number of the newest block that an entry is as of; at least s->folded. */
uint64_t tables_latest(const struct tables_source *s);

/*
 * Call it when the records of block `sequence` have been added. Gives the late entries up to that
 * block the numbers that were read. 0, or -EINVAL if such an entry is invalid.
 */
int tables_apply_late(struct pyprof_fold *f, struct tables_source *s, uint64_t sequence);

/* Removes all entries and frames. Keeps the clock and the allocated memory. */
void tables_clear(struct pyprof_fold *f);

#endif
