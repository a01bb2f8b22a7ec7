/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hand-over of a ring's consumer side, as in shim/record/fold.c, reader/recording/consume.c,
 * include/pyprof/table.h and reader/recording/drain.c. A target writes BLOCKS blocks into a ring of
 * SLOTS. Readers fold instead of it (--wait) and may die at any step. A looker only reads.
 *
 * Simplifications: the table is one entry and the state. Block s has two records, and each adds its
 * own bit to the entry. The block is in slot s % SLOTS, and is full when a later one exists. A
 * target waits for a living reader without a limit. Every access to shared data is one step, in the
 * order of the source. Reordering by the machine is tested in tests/litmus.
 *
 * Properties: a looker finds each folded block once and complete in the table, and each other block
 * in the ring. No process folds a block that has been replaced. No process waits forever. -DM_...
 * breaks one rule.
 */
#ifndef BLOCKS
#define BLOCKS 3
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#define UNCLAIMED 0
#define TARGET 9
#define RECORD(s, i) (1 << (2 * (s) - 2 + (i)))
#define ALL_UP_TO(s) ((1 << (2 * (s))) - 1)

/* the recording */
byte slot[SLOTS];	 /* the block in this slot; 0: it is being cleared */
byte first = 1, last;	 /* ring.first_block, and the newest block */
byte folded;
byte consumer = UNCLAIMED;
byte val, val_before;
byte epoch, epoch_before;
byte state[2];

/* not in the recording */
bool dead[READERS + 1];
bool written;		 /* the target has ended */

#define IS_UNDONE(f) (epoch > (f))

/* A process's private view of the table. */
#define VIEW			\
	bool has_view;		\
	byte view_at;		\
	byte view_state

/*
 * pyprof_table_undo: the epoch stays, and the before-image equals the entry again. If the epoch
 * were restored, a reader that has read the entry in between and checks the epoch once more would
 * take it for unchanged.
 */
inline undo(at)
{
	if
	:: IS_UNDONE(at) ->
		val = val_before;
#ifdef M_PUT_MARK_BACK
		epoch = epoch_before
#endif
	:: else
	fi
}

/* pyprof_table_take_over, unless the view is at `folded` */
inline take_over()
{
	if
	:: has_view && view_at == folded
	:: else ->
		view_at = folded;
		view_state = state[view_at % 2];
#ifndef M_NO_UNDO
		undo(view_at);
#endif
		has_view = true
	fi
}

/* pyprof_fold_change_fn: a record that adds `what` to the entry */
inline change(s, what)
{
	if
	:: epoch == s ->
		val = val + (what)
	:: else ->
#ifdef M_MARK_BEFORE_COPY
		epoch_before = epoch;
		epoch = s;
		val_before = val;
#else
		epoch_before = epoch;
		val_before = val;
#ifdef M_CHANGE_BEFORE_MARK
		val = val + (what);
		epoch = s
#else
		epoch = s;
#endif
#endif
#ifndef M_CHANGE_BEFORE_MARK
		val = val + (what)
#endif
	fi
}

/* pyprof_table_fold and pyprof_table_commit */
inline fold(s)
{
	assert(view_at == s - 1);
	assert(slot[s % SLOTS] == s); /* it is still this block */
	change(s, RECORD(s, 0));
	assert(slot[s % SLOTS] == s);
	change(s, RECORD(s, 1));
	view_state = view_state + RECORD(s, 0) + RECORD(s, 1);
	assert(val == ALL_UP_TO(s) && view_state == ALL_UP_TO(s));
#ifdef M_COMMIT_BEFORE_STATE
	folded = s;
	state[s % 2] = view_state;
#else
#ifdef M_ONE_STATE
	state[0] = view_state;
	state[1] = view_state;
#else
	state[s % 2] = view_state;
#endif
	folded = s;
#endif
	view_at = s
}

/* shim/record/fold.c: fold_block; the oldest block is not folded yet */
inline fold_oldest()
{
	byte holder;

	do
	:: holder = consumer;
		if
#ifdef M_TAKE_FROM_THE_LIVING
		:: holder != UNCLAIMED ->
#else
#ifdef M_LEAVE_TO_THE_DEAD
		:: false ->
#else
		:: holder != UNCLAIMED && dead[holder] ->
#endif
#endif
			if
			:: atomic { consumer == holder -> consumer = TARGET };
				has_view = false; /* it may have left a partial fold */
				break
			:: consumer != holder
			fi
		:: holder == UNCLAIMED ->
			if
			:: atomic { consumer == UNCLAIMED -> consumer = TARGET };
				break
			:: consumer != UNCLAIMED
			fi
		:: else ->
			/* a living reader holds the claim */
#ifdef M_LEAVE_TO_THE_DEAD
			consumer != holder
#else
			(consumer != holder || dead[holder])
#endif
		fi
	od;
	if
#ifdef M_LEAVE_HALF_DONE
	:: folded >= first
#else
	:: folded >= first && has_view
#endif
	:: else ->
		take_over();
		if
		:: folded < first -> fold(first)
		:: else
		fi
	fi;
	consumer = UNCLAIMED
}

active proctype target()
{
	VIEW;
	byte s = 1;

	do
	:: s > BLOCKS -> break
	:: else ->
		if
		:: s - first == SLOTS ->
#ifndef M_REUSE_UNFOLDED
			if
			:: folded >= first
			:: else -> fold_oldest()
			fi;
#endif
			first++
		:: else
		fi;
		slot[s % SLOTS] = 0;
		slot[s % SLOTS] = s;
		last = s;
		s++
	od;
	written = true
}

/* reader/recording/consume.c: fold_one, repeatedly */
proctype consumer_of(byte me)
{
	VIEW;
	byte s;

	{
		do
		:: written -> break
		:: else ->
			/* full_block: the first unfolded block with a later one */
			s = folded + 1;
			(written || (s >= first && s < last));
			if
			:: atomic { s < last && consumer == UNCLAIMED -> consumer = me };
#ifndef M_NO_SECOND_LOOK
				s = folded + 1;
#endif
				if
				:: s >= first && s < last ->
					take_over();
					fold(s)
				:: else
				fi;
#ifdef M_GIVE_BACK_TWICE
				consumer = UNCLAIMED;
#endif
				consumer = UNCLAIMED
			:: !(s < last && consumer == UNCLAIMED)
			fi
		od
	} unless { dead[me] }
}

/* Kills the reader at any step, or never. */
proctype killer(byte me)
{
	if
	:: dead[me] = true
	:: written
	fi
}

/*
 * reader/recording/tables.c: tables_load_state and read_entry. The state is as of block f, the
 * entry as of `as_of`. The reader adds the blocks in between itself, from its copies.
 */
proctype looker()
{
	byte f, at, mark, as_of, seen, seen_state, seen_slot;

	f = folded;
	at = first;
	seen_state = state[f % 2];
	if
#ifndef M_LOOK_ONCE
	:: folded != f || first != at -> goto overtaken
#endif
	:: else
	fi;
	/* The state is that of block f. */
	assert(seen_state == ALL_UP_TO(f));
	/* The next block is in the ring, unless it is folded by now. */
	if
	:: f < last ->
		seen_slot = slot[(f + 1) % SLOTS];
		if
		:: folded > f
		:: else -> assert(seen_slot == f + 1)
		fi
	:: else
	fi;
	as_of = f;
	mark = epoch;
	if
	:: mark > f && mark > folded -> /* it is changing: use the before-image, unless folded by now */
		seen = val_before;
		as_of = epoch_before;
		if
#ifndef M_TRUST_THE_COPY
		:: folded >= mark -> goto overtaken
#endif
		:: else
		fi
	:: else ->
		seen = val;
		if
#ifndef M_LOOK_AT_MARK_ONCE
		:: epoch != mark -> goto overtaken
#endif
		:: else
		fi;
		as_of = mark
	fi;
	if
	:: as_of < f -> as_of = f
	:: else
	fi;
	/* The entry is complete, as of one block. */
	assert(seen == ALL_UP_TO(as_of));
overtaken: /* a real reader reads again, like another looker */
	skip
}

init {
	byte i = 1;

	atomic {
		do
		:: i > READERS -> break
		:: else ->
			run consumer_of(i);
			run killer(i);
			i++
		od;
#ifdef LOOKER
		run looker()
#endif
	}
}
