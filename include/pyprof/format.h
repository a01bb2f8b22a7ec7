/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The recording: the contract between libpyshim.so (the target, one writing process) and
 * pyshim-read (any number of readers). A header page, then extents that the target appends when it
 * needs them. Each is a multiple of a page and is reserved before use:
 *
 *	header | names extent -> ... | rings extent -> ... | block, block, block, ...
 *
 * References are offsets from the start of the file; 0 means none. The file is complete at every
 * instant: published data stays readable, with names, after the target was killed. No end marker is
 * needed to read it.
 *
 * Byte order and alignment are those of the machine; `magic` identifies a foreign byte order.
 * Compatibility: a reader refuses another `major`. A newer `minor` only gave reserved fields a
 * meaning. A reader refuses an unknown bit in `required`, and ignores one in `optional`. The fields
 * `magic` to `start_realtime_ns` and `boot_id` have the same offsets in every major, so every
 * reader can find out whether the process of a recording still runs.
 *
 * This header declares structures only. Each field says who writes it; order.h has the accesses.
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
#define PYPROF_UNRECORDED 8u /* names kept of programs that were started without the shim */

/* Causes of loss. Each ring counts its own in `n_lost`; the header counts those without a ring. */
enum pyprof_loss {
	PYPROF_LOST_BUDGET = 0,	 /* PYSHIM_BUFFER was used up */
	PYPROF_LOST_STORAGE = 1, /* the file could not grow: no space left, or it is gone */
	PYPROF_LOST_READER = 2,	 /* a reader held the claim, stopped, and did not die */
	PYPROF_LOST_CAUSES = 4,
};

/*
 * Kinds of overhead by weight. The overhead is known only after calibration; it depends on how many
 * calls of each kind a time contains. The edges count their calls by kind. The overhead within a
 * surrounding time is summed up with these weights, and the calibrated overhead is divided in
 * proportion to them.
 */
enum pyprof_overhead {
	PYPROF_OVERHEAD_PYTHON = 0, /* a call of a Python function, or a resume */
	PYPROF_OVERHEAD_C = 1,	    /* ... of a C function */
	PYPROF_OVERHEAD_DIRECT =
		2, /* added to that for a direct call or a resume; may be negative */
	PYPROF_OVERHEAD_EXCEPTION = 3, /* added to either if an exception leaves it */
	PYPROF_OVERHEADS = 4,
};

/*
 * The header. "constant" fields are written before `magic` and never again, except by a forked
 * child that continues the recording: it replaces those that describe its process. The target
 * writes all others, with these exceptions. `end_ticks` is stored by the target as it exits, or by
 * a reader that saw it end without that (--wait). The next program of the process stores
 * `replaced_mono_ns`. Forked children also add to `n_unrecorded`, with `unrecorded`, and to
 * `n_lost_children`, atomically. Each number is one aligned store.
 */
struct pyprof_header {
	/* constant */
	uint64_t magic; /* last; store-release */
	uint16_t major;
	uint16_t minor;
	uint32_t header_bytes;
	uint64_t required;
	uint64_t optional;
	uint32_t block_bytes;  /* a power of two, block header included */
	uint16_t max_distance; /* PYPROF_MAX_BETWEEN_* */
	uint16_t max_idle;     /* PYPROF_MAX_GAP_* */
	uint32_t pid;
	uint32_t parent_pid;
	uint32_t uid;
	uint32_t forked;	    /* 1: this recording began in a forked child */
	uint64_t process_start;	    /* field 22 of /proc/PID/stat: identifies a reused PID */
	uint64_t start_ticks;	    /* one pair of clocks, read close together ... */
	uint64_t start_mono_ns;	    /* ... CLOCK_MONOTONIC */
	uint64_t start_realtime_ns; /* CLOCK_REALTIME, for a human */
	uint32_t clock;		    /* enum pyprof_clock */
	uint32_t engine;	    /* enum pyprof_engine */
	uint32_t overflow;	    /* enum pyprof_overflow */
	uint32_t builtins;	    /* 1: C functions are recorded */
	uint64_t buffer_bytes;	    /* budget of the rings */
	uint64_t bias_ps;	    /* PYSHIM_BIAS in picoseconds per event */
	int32_t overhead_weight[PYPROF_OVERHEADS]; /* indexed by PYPROF_COST_*; about nanoseconds */
	uint32_t has_bias;
	uint32_t cmdline_bytes;		    /* the whole length, also if `cmdline` holds less */
	char boot_id[40];		    /* the kernel's, NUL-terminated; "" unknown */
	char python[PYPROF_TEXT_BYTES];	    /* Py_GetVersion(), NUL-terminated */
	char shim[64];			    /* the shim's version and build, NUL-terminated */
	char cmdline[PYPROF_CMDLINE_BYTES]; /* /proc/self/cmdline: arguments end in NUL */

	/* the target updates these; a cache line of their own */
	_Alignas(64) uint64_t file_bytes; /* release: all below is reserved and mapped */
	uint64_t names;			  /* offset of the first names extent */
	uint64_t rings;			  /* offset of the first rings extent */
	uint64_t sync_ticks;		  /* the latest pair of clocks ... */
	uint64_t sync_mono_ns;		  /* ... release; 0 before the first */
	uint64_t end_ticks; /* the clock when the process ended: see above; 0: unknown */
	uint64_t n_unnamed; /* functions that share PYPROF_FN_OVERFLOW */
	uint64_t n_lost[PYPROF_LOST_CAUSES]; /* events of threads that got no ring */
	uint64_t n_subinterpreters;	     /* subinterpreters, whose calls are left out */
	/* minor 1; 0 where the recording is older */
	uint64_t pid_namespace; /* constant: inode of /proc/self/ns/pid, 0: unknown */
	uint64_t n_processes;	/* that wrote here in turn, all forked; 0: one */
	uint64_t n_threads;	/* thread numbers given so far; 0: unknown */
	/*
	 * written by the next program of this process, after execve(2), which has a recording of
	 * its own
	 */
	uint64_t replaced_mono_ns; /* CLOCK_MONOTONIC when that began; 0: none did */
	/* constant */
	uint32_t n_images;	   /* programs that this process ran before, by execve(2) ... */
	uint32_t n_images_removed; /* ... and how many of their recordings were removed: too many */
	/*
	 * counts programs that this process and its forked children started without the shim, or
	 * that are setuid
	 */
	uint64_t n_unrecorded;
	char unrecorded[PYPROF_UNRECORDED][24]; /* base names of the first ones; NUL-terminated */
	uint64_t n_lost_children;		/* forked children that got no recording */
	uint64_t paused_ticks; /* the clock when the program paused recording; 0: it runs */
	uint64_t is_paused;    /* 1: pyshim_stop() was called, and no pyshim_start() after it */
	/*
	 * Number of blocks begun in all rings together; raised before a block takes its number. A
	 * block with a higher number was written after this header was read: the two are of
	 * different times, as in a file that was copied while the target wrote.
	 */
	uint64_t n_blocks;
	uint64_t file_device; /* constant: the file's device; a copy has another ... */
	uint64_t file_inode;  /* ... or another inode */
	/*
	 * constant: a pair of clocks read when the shim was loaded, before the interpreter began;
	 * 0: unknown
	 */
	uint64_t load_ticks;
	uint64_t load_mono_ns;
};

_Static_assert(sizeof(struct pyprof_header) <= PYPROF_HEADER_BYTES, "the header is one page");
_Static_assert(offsetof(struct pyprof_header, file_bytes) % 64 == 0, "a cache line of its own");
_Static_assert(offsetof(struct pyprof_header, magic) == 0, "what file(1) would look at");

/* Starts every extent of names and of rings; its contents follow directly. */
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
	PYPROF_NAME_C = 2,	/* a C function: `name` is its label; `file` is cProfile's, or "" */
	PYPROF_NAME_THREAD = 3, /* number = thread; a later entry replaces an earlier one */
};

#define PYPROF_NAME_GENERATOR 1u  /* flag: the code is a generator or coroutine */
#define PYPROF_NAME_TAKES_HOOK 2u /* flag: a C function that may take the profile hook (3.8-3.11) */

/*
 * One entry of the name table; constant once `used` of its extent covers it. The texts follow in
 * this order: file, name, qualified name ("" before 3.11, which does not have it). They are UTF-8
 * with surrogates passed through (as marshal has them), without a NUL at the end, and may hold NUL
 * and newlines.
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

/* One for each ring. A ring serves one thread at a time; a later thread may continue it. */
struct pyprof_ring {
	/* the target's */
	uint64_t first_block; /* offset of the oldest block, or 0; release */
	/* the claim holder's */
	/*
	 * Blocks up to this sequence number are in the fold table, and the table's state of this
	 * number's parity is valid; 0: nothing is folded. The release store of it commits the fold
	 * of a block at once.
	 */
	uint64_t folded;
	/* the target's */
	uint64_t fold; /* offset of the fold table, or 0; release, with the claim held */
	uint64_t n_lost[PYPROF_LOST_CAUSES];
	uint64_t n_waits; /* how often the target waited for a reader that held the claim */
	/* both sides', by compare-and-swap */
	uint64_t consumer; /* holder of the claim: PYPROF_CONSUMER of a process, or 0 */
	/* a reader's */
	uint64_t wants_table; /* 1: there is no fold table, or it is too small for the next block */
	/* the target's, minor 1 */
	uint64_t ended_ticks;	/* the clock when the ring's thread ended; 0: it has not */
	uint64_t skipped_ticks; /* as in struct pyprof_block, updated; 0: as in the last block */
	uint64_t reserved1[4];
};

/* A process that may hold a claim. Its start identifies it if a later one has the same PID. */
#define PYPROF_CONSUMER(pid, start) ((uint64_t)(pid) << 32 | ((start)&0xffffffffu))

_Static_assert(sizeof(struct pyprof_ring) == 128, "format");

/* Starts every block; the records follow, up to header.block_bytes. */
struct pyprof_block {
	uint32_t kind;	     /* PYPROF_EXTENT_BLOCK */
	uint32_t thread;     /* of the first record */
	uint64_t sequence;   /* 1, 2, ... in this ring */
	uint64_t base_ticks; /* ticks of the thread's own time: slow paths of the shim left out */
	uint64_t skipped_ticks; /* ticks left out in this thread so far */
	uint64_t mono_ns; /* CLOCK_MONOTONIC at base_ticks + skipped_ticks; 0 if ticks are ns */
	uint64_t next;	  /* release: the following block, or 0 */
	uint64_t prev;	  /* constant: the preceding block, or 0 */
	uint64_t number;  /* header.n_blocks when it was begun; 0 before minor 1 */
	uint64_t record[];
};

_Static_assert(sizeof(struct pyprof_block) == 64, "format");

/*
 * A function: the values that are not sums over its edges. Times are ticks. The claim holder writes
 * it.
 */
struct pyprof_fold_fn {
	uint32_t number;
	uint32_t level;	      /* number of its frames on the stack */
	uint32_t last_edge;   /* its latest edge as a caller: a guess of the next one ... */
	uint32_t last_number; /* ... and its callee's number */
	uint32_t epoch;
	uint32_t reserved;
	uint64_t n_recursive; /* calls that returned while an outer one was still running */
	uint64_t total;	      /* of the other calls, start to end */
	uint64_t cost;	      /* overhead, by weight, of calls that ended in `total` */
	uint64_t python;      /* self time of Python functions in `total`, its own included */
	uint64_t n_recursive_resumes; /* of n_recursive, resumes */
	uint64_t
		n_class_units; /* overhead of its class calls: numbers of PYPROF_SYNC added up ... */
	uint64_t n_high_class_calls; /* ... and how many class calls had PYPROF_HIGH_OFFSET */
	uint64_t distance_within;    /* distance of the calls that began in `total` */
};

/* An edge, of caller and callee. The claim holder writes it. */
struct pyprof_fold_edge {
	uint32_t caller; /* slot: index into fn */
	uint32_t callee; /* slot */
	uint32_t level;
	uint32_t epoch;
	uint64_t n_calls; /* with resumes, as cProfile counts them */
	uint64_t self;
	uint64_t self_cost; /* overhead, by weight, of calls that the callee made */
	uint64_t total;
	uint64_t cost;	 /* as in struct pyprof_fold_fn ... */
	uint64_t python; /* ... as well */
	uint64_t n_recursive;
	uint64_t n_exceptions;	  /* calls that were left by an exception */
	uint64_t n_resumes;	  /* of n_calls, those that resumed a suspended generator */
	uint64_t n_direct;	  /* of n_calls, direct calls and resumes */
	uint64_t n_high;	  /* of n_calls, those whose end had PYPROF_HIGH_OFFSET */
	uint64_t last_record;	  /* the fold's n_records when it was last taken */
	uint64_t distance;	  /* reuse distances of its events, added up: see below */
	uint64_t distance_within; /* as in fn; makes the size a power of two: index by shift */
};

/*
 * Overhead grows with the reuse distance (cache misses): with the events since the edge was last
 * taken, up to header.max_distance, from where on nothing of it is cached any more. It also grows
 * with the idle ticks before an event, of which up to header.max_idle count, each as half an event.
 * sys.monitoring keeps data for each code object and call site, a profile function next to nothing.
 * Measured: see docs/overhead.md.
 */
#define PYPROF_MAX_DISTANCE_TRACEFUNC 100u
#define PYPROF_MAX_DISTANCE_MONITORING 3000u
#define PYPROF_MAX_IDLE_TRACEFUNC 0u
#define PYPROF_MAX_IDLE_MONITORING 512u
#define PYPROF_IDLE_SHIFT 1

struct pyprof_fold_frame {
	uint64_t start;
	uint64_t inside; /* time of its callees */
	uint32_t edge;
	uint32_t slot;	 /* the edge's callee ... */
	uint32_t number; /* ... and its number */
	uint32_t flags;	 /* PYPROF_FRAME_* */
	uint64_t self_cost;
	uint64_t cost;	   /* the thread's value at the start ... */
	uint64_t python;   /* ... as well ... */
	uint64_t distance; /* ... and this */
};

_Static_assert(sizeof(struct pyprof_fold_fn) == 88, "format");
_Static_assert(sizeof(struct pyprof_fold_edge) == 128, "format");
_Static_assert(sizeof(struct pyprof_fold_frame) == 64, "format");

/*
 * A ring's fold table: the contents of blocks that were reused, as tables of fold.h. Behind this
 * header lie, in this order, each array aligned to 8:
 *
 *	struct pyprof_fold_fn fn[cap_fns + 1], fn_before[cap_fns + 1];
 *	struct pyprof_fold_edge edge[cap_edges + 1], edge_before[cap_edges + 1];
 *	struct pyprof_fold_frame stack[2][cap_depth];
 *
 * While block number N is folded, an entry that changes is first copied to its before-image and
 * marked with epoch N. A reader takes the before-image of an entry whose epoch is beyond
 * ring.folded, which undoes a fold that a kill has cut off. State and stack exist twice, by parity
 * of N.
 */
struct pyprof_fold_state {
	uint64_t base, now, n_records;
	uint64_t n_unmatched; /* returns without a call, less lost calls yet to return */
	uint64_t n_closed;    /* calls without a return, ended with their caller ... */
	uint64_t n_open; /* ... at a blind interval, a pause, or the end of thread or records */
	uint64_t n_lost; /* events that did not fit into the tables */
	uint32_t n_fns, n_edges, depth, thread;
	uint32_t n_threads;
	uint32_t n_found;     /* frames that ran already when recording began */
	uint64_t first_ticks; /* clock reading of the ring's first record */
	uint64_t skipped_ticks;
	uint64_t n_blind_intervals;
	uint64_t blind_interval_ticks;
	uint64_t cost;	   /* of all calls that have ended so far, by weight */
	uint64_t python;   /* self time of Python functions so far */
	uint64_t distance; /* the edges' values added up */
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
