/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Code object or C function -> number. A function's identity is the object, not its address
 * (addresses are reused) and not its label (labels collide): a code object carries a slot whose
 * destructor tells of its death, and its number is retired with it. A new code object with the same
 * file, line, name and qualified name as a retired one takes that one's number over, so that a
 * program that compiles in a loop stays bounded, while functions that live side by side stay
 * apart.
 *
 * The name is published before the number is given out. All calls need the GIL of the main
 * interpreter, which is what keeps the table whole.
 */
#ifndef SHIM_INTERN_H
#define SHIM_INTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "pyprof/format.h"
#include "python/pyapi.h"

/*
 * A function as the hot path has it: its number where a record wants it (<< PYPROF_FN_SHIFT), so
 * that what is found needs only the kind and the ticks, with these flags. 0: not known.
 */
#define INTERN_GENERATOR (1u << 31)  /* a generator or coroutine, whose events want a closer look */
#define INTERN_TAKES_HOOK (1u << 30) /* sys.setprofile, whose calls setprofile.c wants to know */
#define INTERN_FLAGS (INTERN_GENERATOR | INTERN_TAKES_HOOK)
#define INTERN_OVERFLOW (PYPROF_FN_OVERFLOW << PYPROF_FN_SHIFT)

struct intern_slot {
	uintptr_t key; /* PyCodeObject *, or PyMethodDef * + 1; 0 free */
	uint32_t fn;
	uint32_t check; /* of a PyMethodDef: whether the address serves another function now */
};

/*
 * The functions that were looked for last, each in the one slot that its key can have here: at a
 * constant place, so that a hit takes a multiplication and a comparison. All are in a table behind
 * it.
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

/* The function of a code object, or 0 where it is not in the cache. */
static inline uint32_t intern_find_code(const PyObject *code)
{
	const struct intern_slot *s = intern_cached((uintptr_t)code);

	if (__builtin_expect(s->key != (uintptr_t)code, 0))
		return 0;
	if (!s->fn) /* never, and the compiler may know */
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

/* The same in the table; what is found goes to the cache. */
uint32_t intern_look_up_code(const PyObject *code);
uint32_t intern_look_up_c(const struct py_method_def *def);

/* Once per process, and again for every interpreter that is initialised. False: no memory. */
bool intern_init(void);

/*
 * Functions seen for the first time; INTERN_OVERFLOW, with their flags, when numbers, memory or
 * space for the name have run out: for good, but where there is no memory to remember that. `self`
 * and `module` are those of the PyCFunction (NULL: none). `takes_hook`: the function gets
 * INTERN_TAKES_HOOK.
 */
uint32_t intern_code(PyObject *code);
uint32_t intern_c(struct py_method_def *def, PyObject *self, PyObject *module, bool takes_hook);

/* The C function with this number, as a record has it, or NULL. */
struct py_method_def *intern_c_def(uint32_t fn);

/* Its address or name was changed, but it is the same function. */
void intern_c_changed(const struct py_method_def *def);

/*
 * What the recording of a forked child makes a function's name from: the child's memory is a copy
 * of the parent's, whose recording is out of its reach.
 */
#define INTERN_TEXT_BYTES 96

struct intern_origin {
	uintptr_t key; /* of a code object; an odd number: of a C function; 0: one without a name */
	uint16_t flags;
	uint16_t text_bytes;
	char text[INTERN_TEXT_BYTES]; /* of a C function: its name, cut off where too long */
};

/* In the parent. Of number 0 and of the overflow's: a key of 0. */
void intern_describe(uint32_t number, struct intern_origin *frame);

/* How many functions have a number. */
uint32_t intern_count(void);

/*
 * In a forked child that cannot go on with its parent's numbers: no function is known, each is seen
 * for the first time. False: no memory.
 */
bool intern_reset(void);

/*
 * In a forked child that goes on with its parent's numbers: functions without one are tried again.
 */
void intern_inherited(void);

/*
 * In a recording that another process has begun: what it has beyond the numbers of this process,
 * which it must share, is taken over by functions with the same labels. False: its name table is
 * damaged, or there is no memory.
 */
bool intern_adopt(void);

/* In the child: the number of such a function. */
uint32_t intern_frame(const struct intern_origin *frame);

#endif
