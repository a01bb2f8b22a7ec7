/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The recording: the one contract between libpyshim.so (the target side, one writing process) and
 * pyshim-read (any number of readers). A header page, then extents that the target appends as it
 * needs them, each a multiple of a page and reserved before use:
 *
 *	header | names extent -> ... | rings extent -> ... | block, block, block, ...
 *
 * Everything refers to everything else by its offset from the start of the file, 0 meaning none.
 * The file is complete at every instant: what has been published stays readable, with names, after
 * the target was killed. Nothing here needs an end marker to be read.
 *
 * Byte order and alignment are the machine's; `magic` tells a foreign byte order apart.
 * Compatibility: a reader refuses another `major`. A newer `minor` only gave reserved fields a
 * meaning. A reader refuses an unknown bit in `required`, and ignores one in `optional`. `magic` to
 * `start_realtime_ns` and `boot_id` stand in the same place in every major: by these anyone can
 * tell whether the process of a recording still runs.
 */
#ifndef PYPROF_FORMAT_H
#define PYPROF_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "record.h"

#define PYPROF_MAGIC 0x0a464f5250595001ull /* "\1PYPROF\n", stored last by the target */
#define PYPROF_MAJOR 4
#define PYPROF_MINOR 1

#define PYPROF_HEADER_BYTES 4096u
#define PYPROF_EXTENT_ALIGN 4096u
#define PYPROF_TEXT_BYTES 256u
#define PYPROF_CMDLINE_BYTES 2048u
#define PYPROF_UNRECORDED \
	8u /* of the programs that were started without the shim, so many have a name */

/* Why events are missing. The counters stand in the ring that missed them. */
enum pyprof_loss {
	PYPROF_LOST_BUDGET = 0,	 /* PYSHIM_BUFFER was used up */
	PYPROF_LOST_STORAGE = 1, /* the file could not grow: no space left, or it is gone */
	PYPROF_LOST_READER = 2,	 /* a reader held the ring, stopped, and did not die */
	PYPROF_LOST_CAUSES = 4,
};

/*
 * What recording has cost is not known until it is calibrated, but it depends on how many calls of
 * which kind lie in a time. The calls themselves are counted by kind, in the edges; their cost in
 * what lies around them is summed up with these weights, by which the calibrated cost is then
 * shared out.
 */
enum pyprof_cost {
	PYPROF_COST_PYTHON = 0,	   /* a call of a Python function, a resume too */
	PYPROF_COST_C = 1,	   /* ... of a C function */
	PYPROF_COST_BARE = 2,	   /* more of the former (or less), where bare or a resume */
	PYPROF_COST_EXCEPTION = 3, /* more of either, where it is left by an exception */
	PYPROF_COSTS = 4,
};

/*
 * The header. "constant" fields are written before `magic` and never again. All others are
 * written by the target only, each by one aligned store.
 */
struct pyprof_header {
	/* constant */
	uint64_t magic; /* last; store-release */
	uint16_t major;
	uint16_t minor;
	uint32_t header_bytes;
	uint64_t required;
	uint64_t optional;
	uint32_t block_bytes; /* a power of two, block header included */
	uint16_t max_between; /* PYPROF_MAX_BETWEEN_* */
	uint16_t max_gap;     /* PYPROF_MAX_GAP_* */
	uint32_t pid;
	uint32_t parent_pid;
	uint32_t uid;
	uint32_t forked;	    /* 1: this recording began in a forked child */
	uint64_t process_start;	    /* field 22 of /proc/PID/stat: tells a reused PID apart */
	uint64_t start_ticks;	    /* one pair of clocks, as close together as can be ... */
	uint64_t start_mono_ns;	    /* ... CLOCK_MONOTONIC */
	uint64_t start_realtime_ns; /* CLOCK_REALTIME, for a human */
	uint32_t clock;		    /* enum pyprof_clock */
	uint32_t engine;	    /* enum pyprof_engine */
	uint32_t overflow;	    /* enum pyprof_overflow */
	uint32_t builtins;	    /* 1: C functions are recorded */
	uint64_t buffer_bytes;	    /* budget of the rings */
	uint64_t bias_ps;	    /* PYSHIM_BIAS in picoseconds per event */
	int32_t cost_weight[PYPROF_COSTS]; /* of what PYPROF_COST_* says; about nanoseconds */
	uint32_t has_bias;
	uint32_t cmdline_bytes;		    /* whole length, even where `cmdline` holds less */
	char boot_id[40];		    /* the kernel's, NUL-terminated; "" unknown */
	char python[PYPROF_TEXT_BYTES];	    /* Py_GetVersion(), NUL-terminated */
	char shim[64];			    /* the shim's version and build, NUL-terminated */
	char cmdline[PYPROF_CMDLINE_BYTES]; /* /proc/self/cmdline: arguments end in NUL */

	/* the target moves these on; a cache line of their own */
	_Alignas(64) uint64_t file_bytes; /* release: what lies below is reserved and mapped */
	uint64_t names;			  /* offset of the first names extent */
	uint64_t rings;			  /* offset of the first rings extent */
	uint64_t sync_ticks;		  /* the latest pair of clocks ... */
	uint64_t sync_mono_ns;		  /* ... release; 0 before the first */
	uint64_t end_ticks; /* a reader's: the clock when it saw the process end (--wait); or 0 */
	uint64_t n_unnamed; /* functions that share PYPROF_FN_OVERFLOW */
	uint64_t n_lost[PYPROF_LOST_CAUSES]; /* events of threads that got no ring */
	uint64_t n_subinterpreters; /* interpreters beside the main one, whose calls are left out */
	/* minor 1; 0 where the recording is older */
	uint64_t pid_namespace; /* constant: inode of /proc/self/ns/pid, 0: unknown */
	uint64_t n_processes;	/* that wrote here one after the other, all forked; 0: one */
	uint64_t n_threads;	/* thread numbers given so far; 0: not told */
	/* the next program's of this process, after execve(2), which has a recording of its own */
	uint64_t replaced_mono_ns; /* CLOCK_MONOTONIC when that began; 0: there is none */
	/* constant */
	uint32_t n_images;	   /* programs that this process was before, by execve(2) ... */
	uint32_t n_images_removed; /* ... and how many of their recordings are gone: too many */
	/*
	 * programs that this process has started without the shim, or as a setuid one; its forked
	 * children too
	 */
	uint64_t n_unrecorded;
	char unrecorded[PYPROF_UNRECORDED]
		       [24];	  /* the first of these, without their folders; NUL-terminated */
	uint64_t n_lost_children; /* forked children that could have no recording */
	uint64_t paused_ticks;	  /* the clock when the program stopped recording; 0: it goes on */
	uint64_t is_paused;	  /* 1: pyshim_stop() was called, and no pyshim_start() after it */
	/*
	 * How many blocks have been begun, in all rings together; moved on before a block takes its
	 * number. A block with a higher number than this was written after the header: the two are
	 * of different times, as in a file that was copied while the target wrote.
	 */
	uint64_t n_blocks;
	uint64_t file_device; /* constant: where the target made it; a copy lies elsewhere ... */
	uint64_t file_inode;  /* ... or has another number */
	/*
	 * constant: a pair of clocks of when the shim was loaded, before the interpreter began; 0:
	 * none
	 */
	uint64_t load_ticks;
	uint64_t load_mono_ns;
};

_Static_assert(sizeof(struct pyprof_header) <= PYPROF_HEADER_BYTES, "the header is one page");
_Static_assert(offsetof(struct pyprof_header, file_bytes) % 64 == 0, "a cache line of its own");
_Static_assert(offsetof(struct pyprof_header, magic) == 0, "what file(1) would look at");

/* Starts every extent of names and of rings; what it holds begins right behind. */
enum pyprof_extent_kind {
	PYPROF_EXTENT_NAMES = 0x454d414e, /* "NAME" */
	PYPROF_EXTENT_RINGS = 0x474e4952, /* "RING" */
	PYPROF_EXTENT_BLOCK = 0x4b434c42, /* "BLCK" */
	PYPROF_EXTENT_FOLD = 0x444c4f46,  /* "FOLD" */
};

struct pyprof_extent {
	uint32_t kind; /* constant */
	uint32_t reserved;
	uint64_t bytes; /* constant: whole length, this header included */
	uint64_t used;	/* release: bytes written, this header included */
	uint64_t next;	/* release: offset of the next extent of this kind, or 0 */
	uint64_t reserved1[4];
};

_Static_assert(sizeof(struct pyprof_extent) == 64, "format");

enum pyprof_name_kind {
	PYPROF_NAME_CODE = 1,	/* a code object */
	PYPROF_NAME_C = 2,	/* a C function: `name` is its label; `file` what cProfile calls it,
				 * "" for the same */
	PYPROF_NAME_THREAD = 3, /* number = thread; a later entry replaces an earlier one */
};

#define PYPROF_NAME_GENERATOR 1u  /* flag: the code is a generator or coroutine */
#define PYPROF_NAME_TAKES_HOOK 2u /* flag: a C function that may take the profile hook (3.8-3.11) */

/*
 * One entry of the name table; never changed once `used` of its extent covers it. The texts are
 * UTF-8 with surrogates passed through (as marshal has them), in this order, without NUL at the
 * end, and may hold NUL and newlines: file, name, qualified name ("" before 3.11, which does not
 * know it).
 */
struct pyprof_name {
	uint32_t bytes; /* of this entry, texts and padding included; a multiple of 8 */
	uint32_t number;
	uint16_t kind;
	uint16_t flags;
	int32_t line; /* first line; of a thread: its native id */
	uint32_t file_bytes;
	uint32_t name_bytes;
	uint32_t qual_bytes;
	uint32_t code_bytes; /* of a code object: its bytecode; 0: not known */
	char text[];
};

_Static_assert(sizeof(struct pyprof_name) == 32, "format");

/* One for each ring. A ring serves one thread at a time; a later thread may go on in it. */
struct pyprof_ring {
	/* the target's */
	uint64_t first_block; /* offset of the oldest block, or 0; release */
	/* the claim holder's */
	/*
	 * Blocks up to this sequence number are in the fold table, and the table's state of this
	 * number's parity is the one that holds; 0: nothing is folded. The release store of it is
	 * what makes the fold of a block happen, at once.
	 */
	uint64_t folded;
	/* the target's */
	uint64_t fold; /* offset of the fold table, or 0; release, with the claim held */
	uint64_t n_lost[PYPROF_LOST_CAUSES];
	uint64_t n_waits; /* how often the target waited for a reader that held the claim */
	/* both sides', by compare-and-swap */
	uint64_t consumer; /* who may fold: PYPROF_CONSUMER of a process, or 0 */
	/* a reader's */
	uint64_t wants_table; /* 1: there is no fold table, or it is too small for the next block */
	/* the target's, minor 1 */
	uint64_t ended_ticks;	/* the clock when the ring's thread ended, 0: it has not */
	uint64_t skipped_ticks; /* as in struct pyprof_block, by now; 0: as in the last block */
	uint64_t reserved1[4];
};

/* A process that may fold: told apart from a later one of the same PID by its start. */
#define PYPROF_CONSUMER(pid, start) ((uint64_t)(pid) << 32 | ((start)&0xffffffffu))

_Static_assert(sizeof(struct pyprof_ring) == 128, "format");

/* Starts every block; the records follow, up to header.block_bytes. */
struct pyprof_block {
	uint32_t kind;	     /* PYPROF_EXTENT_BLOCK */
	uint32_t thread;     /* that the first record belongs to */
	uint64_t sequence;   /* 1, 2, ... in this ring */
	uint64_t base_ticks; /* ticks of the thread's own time: slow paths of the shim left out */
	uint64_t skipped_ticks; /* how much has been left out in this thread so far */
	uint64_t mono_ns; /* CLOCK_MONOTONIC at base_ticks + skipped_ticks; 0 where ticks are ns */
	uint64_t next;	  /* release: the following block, or 0 */
	uint64_t prev;	  /* constant: the preceding block, or 0 */
	uint64_t number;  /* header.n_blocks when it was begun; 0 before minor 1 */
	uint64_t record[];
};

_Static_assert(sizeof(struct pyprof_block) == 64, "format");

/* A function, as far as it is not the sum of its edges. Times are ticks. */
struct pyprof_fold_fn {
	uint32_t number;
	uint32_t level;	      /* how many of its frames are on the stack */
	uint32_t last_edge;   /* what it called last: a guess of what it calls next ... */
	uint32_t last_number; /* ... and its callee's number */
	uint32_t epoch;
	uint32_t reserved;
	uint64_t n_recursive; /* calls that returned while an outer one was still running */
	uint64_t total;	      /* of the others, start to end */
	uint64_t cost;	      /* of the calls that ended in `total`, by weight */
	uint64_t python;      /* self time of Python functions in `total`, its own included */
	uint64_t n_recursive_resumes; /* of n_recursive, resumes */
	uint64_t n_others; /* numbers of PYPROF_SYNC, of what it called that is no function ... */
	uint64_t n_far_others;	   /* ... and how many of these calls PYPROF_FAR was said of */
	uint64_t n_between_within; /* n_between of the calls that began in `total` */
};

/* A caller pair. */
struct pyprof_fold_edge {
	uint32_t caller; /* slot: index into fn */
	uint32_t callee; /* slot */
	uint32_t level;
	uint32_t epoch;
	uint64_t n_calls; /* with resumes, as cProfile counts them */
	uint64_t self;
	uint64_t self_cost; /* of the calls that the callee made, by weight */
	uint64_t total;
	uint64_t cost;	 /* as in struct pyprof_fold_fn ... */
	uint64_t python; /* ... as well */
	uint64_t n_recursive;
	uint64_t n_exceptions; /* calls that were left by an exception */
	uint64_t n_resumes;    /* of n_calls, those that went on with a suspended generator */
	uint64_t n_bare;       /* of n_calls, bare calls and resumes */
	uint64_t n_far;	       /* of n_calls, those whose end PYPROF_FAR was said of */
	uint64_t last_record;  /* the fold's n_records when it was last taken */
	uint64_t n_between;    /* what was to be forgotten before its events, summed up: below */
	uint64_t n_between_within; /* as above; now a power of two: found by a shift */
};

/*
 * Recording an event costs more where the processor has had other things to remember: by the events
 * since the edge was taken last, but no more than header.max_between, for by then nothing is left
 * that could be forgotten; and by the ticks since the event before, of which header.max_gap count,
 * as half an event each. sys.monitoring keeps something for each code object and place in it, a
 * profile function next to nothing. Measured: see docs/overhead.md.
 */
#define PYPROF_MAX_BETWEEN_TRACEFUNC 100u
#define PYPROF_MAX_BETWEEN_MONITORING 3000u
#define PYPROF_MAX_GAP_TRACEFUNC 0u
#define PYPROF_MAX_GAP_MONITORING 512u
#define PYPROF_GAP_SHIFT 1

struct pyprof_fold_frame {
	uint64_t start;
	uint64_t inside; /* time of what it called */
	uint32_t edge;
	uint32_t slot;	 /* the edge's callee ... */
	uint32_t number; /* ... and its number */
	uint32_t flags;	 /* PYPROF_FRAME_* */
	uint64_t self_cost;
	uint64_t cost;	    /* the thread's when it started ... */
	uint64_t python;    /* ... as well ... */
	uint64_t n_between; /* ... and this */
};

_Static_assert(sizeof(struct pyprof_fold_fn) == 88, "format");
_Static_assert(sizeof(struct pyprof_fold_edge) == 128, "format");
_Static_assert(sizeof(struct pyprof_fold_frame) == 64, "format");

/*
 * A ring's fold table: what the blocks that were reused had to say, as tables of fold.h. Behind
 * this header lie, in this order, each array aligned to 8:
 *
 *	struct pyprof_fold_fn fn[cap_fns + 1], fn_before[cap_fns + 1];
 *	struct pyprof_fold_edge edge[cap_edges + 1], edge_before[cap_edges + 1];
 *	struct pyprof_fold_frame stack[2][cap_depth];
 *
 * While block number N is being folded, an entry that it changes is first copied to its `before`
 * and marked with epoch N. So an entry with an epoch beyond ring.folded is to be read from
 * `before`: that is the undo of a fold that a kill has cut off. State and stack exist twice, by
 * parity of N.
 */
struct pyprof_fold_state {
	uint64_t base, now, n_records;
	uint64_t n_unmatched; /* returns without a call, less lost calls whose return is to come */
	uint64_t n_closed;    /* calls without a return, ended with their caller ... */
	uint64_t n_open;      /* ... at a gap, a pause, or the end of the thread or the records */
	uint64_t n_lost;      /* events for which there was no room in the tables */
	uint32_t n_fns, n_edges, depth, thread;
	uint32_t n_threads;
	uint32_t n_found;     /* frames found running */
	uint64_t first_ticks; /* clock reading of the ring's first record */
	uint64_t skipped_ticks;
	uint64_t n_gaps;
	uint64_t gap_ticks;
	uint64_t cost;	    /* of all calls that have ended so far, by weight */
	uint64_t python;    /* self time of Python functions so far */
	uint64_t n_between; /* the edges', summed up */
};

struct pyprof_fold_table {
	struct pyprof_extent extent;		/* constant: kind FOLD; `used` and `next` are 0 */
	uint32_t cap_fns, cap_edges, cap_depth; /* constant */
	uint32_t reserved[13];
	struct pyprof_fold_state state[2];
};

_Static_assert(sizeof(struct pyprof_fold_state) == 136, "format");
_Static_assert(sizeof(struct pyprof_fold_table) == 400, "format");
_Static_assert(offsetof(struct pyprof_fold_table, state) == 128, "format");

#endif
