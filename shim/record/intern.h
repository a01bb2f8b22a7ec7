/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Code object or C function -> number. A function is identified by its object, not by its address
 * (addresses are reused) and not by its label (labels collide). The interpreter reports the death
 * of a code object, and its number is retired then. A new code object with the same file, line,
 * name and qualified name as a retired one takes over its number. So a program that compiles in a
 * loop stays bounded, while functions that live at the same time stay apart.
 *
 * The name is published before the number is returned. Any thread, with the GIL of the main
 * interpreter, which protects the tables. Must not run Python code.
 */
#ifndef SHIM_INTERN_H
#define SHIM_INTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "pyprof/format.h"
#include "python/pyapi.h"

/*
 * A function for the hot path: its number, shifted by PYPROF_FN_SHIFT as in a record, so that only
 * the kind and the ticks must be added. The flags below are in the bits above it. 0: unknown.
 */
#define INTERN_GENERATOR (1u << 31)  /* a generator or coroutine, whose events may be resumes */
#define INTERN_TAKES_HOOK (1u << 30) /* sys.setprofile: setprofile.c is notified of its calls */
#define INTERN_FLAGS (INTERN_GENERATOR | INTERN_TAKES_HOOK)
#define INTERN_OVERFLOW (PYPROF_FN_OVERFLOW << PYPROF_FN_SHIFT)

struct intern_slot {
	uintptr_t key; /* PyCodeObject *, or PyMethodDef * + 1; 0: free */
	uint32_t fn;
	uint32_t check; /* for a PyMethodDef: differs if another function has its address now */
};

/*
 * A cache of the functions that were looked up last, in front of the hash table of all. Each key
 * has one possible slot, and the cache has a constant address, so that a hit takes a multiplication
 * and a comparison.
 */
#define INTERN_CACHE_BITS 12
extern struct intern_slot intern_cache[1u << INTERN_CACHE_BITS]
	__attribute__((visibility("hidden")));

static inline struct intern_slot *intern_cached(uintptr_t key)
{
	/* Fibonacci hashing: Knuth, The Art of Computer Programming, vol. 3, 6.4 */
	return &intern_cache[(uint32_t)key * 0x9e3779b1u >> (32 - INTERN_CACHE_BITS)];
}

static inline uint32_t intern_check(const struct py_method_def *def)
{
	return (uint32_t)(uintptr_t)def->ml_meth + (uint32_t)(uintptr_t)def->ml_name;
}

/* Returns the function of a code object, or 0 if it is not in the cache. */
static inline uint32_t intern_find_code(const PyObject *code)
{
	const struct intern_slot *s = intern_cached((uintptr_t)code);

	if (__builtin_expect(s->key != (uintptr_t)code, 0))
		return 0;
	if (!s->fn) /* never happens; the compiler can use that */
		__builtin_unreachable();
	return s->fn;
}

static inline uint32_t intern_find_c(const struct py_method_def *def)
{
	uintptr_t key = (uintptr_t)def + 1;
	const struct intern_slot *s = intern_cached(key);

	if (__builtin_expect(s->key != key || s->check != intern_check(def), 0))
		return 0;
	if (!s->fn)
		__builtin_unreachable();
	return s->fn;
}

/* Look up in the hash table, and copy what is found to the cache; 0: unknown. */
uint32_t intern_look_up_code(const PyObject *code);
uint32_t intern_look_up_c(const struct py_method_def *def);

/*
 * Called once per process, and again for every interpreter that is initialised. False: no memory.
 */
bool intern_init(void);

/*
 * Give a number to a function that is seen for the first time. INTERN_OVERFLOW, with the flags:
 * there are no more numbers, no memory or no space for the name. That is permanent, unless there is
 * no memory to remember it. `self` and `module` are those of the PyCFunction, or NULL.
 * `takes_hook`: the function gets INTERN_TAKES_HOOK.
 */
uint32_t intern_code(PyObject *code);
uint32_t intern_c(struct py_method_def *def, PyObject *self, PyObject *module, bool takes_hook);

/* Returns the C function with this number, in the position that it has in a record, or NULL. */
struct py_method_def *intern_c_def(uint32_t fn);

/* Called when the address of its code or of its name was changed, but it is the same function. */
void intern_c_changed(const struct py_method_def *def);

/*
 * The facts from which the recording of a forked child makes a function's name. The child's memory
 * is a copy of the parent's, and it cannot reach the parent's recording.
 */
#define INTERN_TEXT_BYTES 96

struct intern_origin {
	uintptr_t key; /* address of a code object; odd: a C function; 0: without a name */
	uint16_t flags;
	uint16_t text_bytes;
	char text[INTERN_TEXT_BYTES]; /* name of a C function, cut off if it is too long */
};

/* Describes a function, in the parent. Number 0 and overflow get the key 0. Async-signal-safe. */
void intern_describe(uint32_t number, struct intern_origin *frame);

/* Returns how many functions have a number. */
uint32_t intern_count(void);

/*
 * Called in a forked child that cannot continue its parent's numbers: forgets all functions. False:
 * no memory.
 */
bool intern_reset(void);

/*
 * Called in a forked child that continues its parent's numbers: functions without one are tried
 * again.
 */
void intern_inherited(void);

/*
 * Called in a recording that another process has begun. Its numbers must continue those of this
 * process; the additional ones go to functions with the same labels. False: its name table is
 * damaged, or there is no memory.
 */
bool intern_adopt(void);

/* Returns the number of such a function, in the child. */
uint32_t intern_frame(const struct intern_origin *frame);

#endif
