/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of fold.h in private memory: empty, or as a ring's fold table in the recording has
 * them, with a fold that was cut off undone. Of a live recording too: the target need not stand
 * still while its table is read, as long as the records of the blocks that it folds meanwhile are
 * at hand.
 */
#ifndef READER_TABLES_H
#define READER_TABLES_H

#include "drain.h"
#include "pyprof/fold.h"

/* 0 or -ENOMEM. */
int tables_init(struct pyprof_fold *f);
void tables_fini(struct pyprof_fold *f);

/*
 * An entry of a fold table that had changed, when it was read, since the block that the table is
 * taken as of: it holds as of another block, and what the records up to that one say of it is not
 * to be added again.
 */
struct tables_late {
	uint64_t sequence; /* of that block */
	uint32_t slot;	   /* a function's, or an edge's if `is_edge` */
	bool is_edge;
	union {
		struct pyprof_fold_fn fn;
		struct pyprof_fold_edge edge;
	};
};

/* A ring's fold table that is being taken over. */
struct tables_source {
	struct drain_ring *ring;
	uint64_t offset;	  /* of the table */
	uint64_t folded;	  /* out: the block that state and stack are as of */
	struct tables_late *late; /* out, for tables_source_fini: in the order of their blocks */
	size_t n_late, cap_late;
	size_t n_applied;
	uint32_t n_fns,
		n_edges; /* entries that an attempt before has read: of most, the marks are the same */
	bool torn;	 /* out: the table is of another time than the ring */
};

void tables_source_fini(struct tables_source *s);

/*
 * Takes over what the ring has folded, into empty tables: first the state and the stack as of
 * s->folded, then the entries. 0, -ENOMEM, -EAGAIN where the target has folded on meanwhile, or
 * -EINVAL where the table makes no sense.
 */
int tables_load_state(struct pyprof_fold *f, struct tables_source *s);
int tables_load_entries(struct pyprof_fold *f, struct tables_source *s);

/*
 * The state alone, with the same results. Uses the ring and the offset of `s`; nothing is to be
 * freed.
 */
int tables_read_state(struct pyprof_fold_state *state, struct tables_source *s);

/*
 * What was read is checked, and can be worked on from here on. Before, one may load once more: it
 * is quicker then.
 */
int tables_index(struct pyprof_fold *f, struct tables_source *s);

/* The last block that an entry is as of; s->folded where all are as of that. */
uint64_t tables_latest(const struct tables_source *s);

/*
 * The records of block `sequence` have been added: those entries that are as of it become what they
 * were read as.
 */
int tables_apply_late(struct pyprof_fold *f, struct tables_source *s, uint64_t sequence);

/* What has been counted, for reading only: without indices and stack. 0 or -ENOMEM. */
int tables_copy(struct pyprof_fold *to, const struct pyprof_fold *from);

/*
 * Forgets what has been counted, but neither the time nor the room that there is. The stack is
 * empty.
 */
void tables_clear(struct pyprof_fold *f);

#endif
