/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hand-over of a ring's consumer side, as in shim/fold.c, reader/consume.c, include/pyprof/table.h and
 * reader/drain.c: a target that writes BLOCKS blocks into a ring of SLOTS, two readers that fold in its stead
 * (--wait) and may die at any step, and one that looks on.
 *
 * What is simple here: the table is one entry and the state. Block s has two records, which add bits of their own to
 * the entry; it stands in slot s % SLOTS, and is full when there is one behind it. A target waits for a living reader as long as it takes.
 * Every access to what is shared is a step of its own, in the order of the source: what the machine may reorder is
 * tests/litmus' matter.
 *
 * Holds: whoever looks on finds each folded block once and whole in the table, and each block that is not in the
 * ring; nobody folds a block that has become another one; nobody waits for ever. -DM_... breaks one rule.
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
#define NOBODY 0
#define TARGET 9
#define RECORD(s, i) (1 << (2 * (s) - 2 + (i)))
#define ALL_UP_TO(s) ((1 << (2 * (s))) - 1)

/* the recording */
byte slot[SLOTS];	 /* which block stands there; 0: it is being cleared */
byte first = 1, last;	 /* ring.first_block, and the newest block */
byte folded;
byte consumer = NOBODY;
byte val, val_before;
byte epoch, epoch_before;
byte state[2];

/* not in it */
bool dead[READERS + 1];
bool written;		 /* the target has ended */

#define IS_UNDONE(f) (epoch > (f))

/* Where a view of the table stands: only the process itself looks at it. */
#define VIEW			\
	bool has_view;		\
	byte view_at;		\
	byte view_state

/*
 * pyprof_table_undo: the mark stays, and says that what the entry was before is the same. Were it put back, one who
 * has read the entry in between, and looks at the mark once more, would take it for unchanged.
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

/* pyprof_table_take_over, where the view does not stand at `folded` */
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

/* A record that adds `what` to the entry: pyprof_fold_change_fn */
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
	assert(slot[s % SLOTS] == s); /* it is still that block */
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

/* shim/fold.c: fold_block; the oldest block is not folded as yet */
inline fold_oldest()
{
	byte holder;

	do
	:: holder = consumer;
		if
#ifdef M_TAKE_FROM_THE_LIVING
		:: holder != NOBODY ->
#else
#ifdef M_LEAVE_TO_THE_DEAD
		:: false ->
#else
		:: holder != NOBODY && dead[holder] ->
#endif
#endif
			if
			:: atomic { consumer == holder -> consumer = TARGET };
				has_view = false; /* it may have left something half done */
				break
			:: consumer != holder
			fi
		:: holder == NOBODY ->
			if
			:: atomic { consumer == NOBODY -> consumer = TARGET };
				break
			:: consumer != NOBODY
			fi
		:: else ->
			/* a living reader has it */
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
	consumer = NOBODY
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

/* reader/consume.c: fold_one, again and again */
proctype consumer_of(byte me)
{
	VIEW;
	byte s;

	{
		do
		:: written -> break
		:: else ->
			/* full_block: the first that is not folded, with one behind it */
			s = folded + 1;
			(written || (s >= first && s < last));
			if
			:: atomic { s < last && consumer == NOBODY -> consumer = me };
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
				consumer = NOBODY;
#endif
				consumer = NOBODY
			:: !(s < last && consumer == NOBODY)
			fi
		od
	} unless { dead[me] }
}

/* Death comes at any step, or never. */
proctype killer(byte me)
{
	if
	:: dead[me] = true
	:: written
	fi
}

/*
 * reader/tables.c: tables_load_state and read_entry. The state is as of block f, the entry as of `as_of`: what lies
 * between is added by the reader itself, from blocks that it has copied.
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
	/* The state is that of block f ... */
	assert(seen_state == ALL_UP_TO(f));
	/* ... and the block behind it is in the ring, unless it is folded by now. */
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
	:: mark > f && mark > folded -> /* it is being changed: as it was before, unless that is folded by now */
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
	/* The entry is whole, as of one block. */
	assert(seen == ALL_UP_TO(as_of));
overtaken: /* to be read again: as another looker would */
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
