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

#include "pyapi.h"

/* In a number, as found: a generator or coroutine, whose events want a closer look. */
#define INTERN_GENERATOR (1u << 31)

/* ... a C function that, by its name, may take the thread's profile hook for itself. */
#define INTERN_TAKES_HOOK (1u << 30)

#define INTERN_FLAGS (INTERN_GENERATOR | INTERN_TAKES_HOOK)

struct intern_slot {
	uintptr_t key; /* PyCodeObject *, or PyMethodDef * + 1; 0 free */
	uint32_t fn;   /* with INTERN_FLAGS */
	uint32_t
		check; /* of a PyMethodDef: tells whether the address serves another function now */
};

struct intern_table {
	struct intern_slot *slot;
	unsigned shift; /* 64 - log2 of the number of slots */
	uint32_t mask;
};

extern struct intern_table intern_table;

static inline uint32_t intern_hash(uintptr_t key)
{
	/* Fibonacci hashing: Knuth, The Art of Computer Programming, vol. 3, 6.4 */
	return (uint32_t)((uint64_t)key * 0x9e3779b97f4a7c15ull >> intern_table.shift);
}

static inline uint32_t intern_check(const struct py_method_def *def)
{
	return (uint32_t)((uintptr_t)def->ml_meth ^ (uintptr_t)def->ml_name << 3);
}

/* The number of a code object, or 0 where it has none yet. */
static inline uint32_t intern_find_code(const PyObject *code)
{
	for (uint32_t i = intern_hash((uintptr_t)code);; i++) {
		const struct intern_slot *s = &intern_table.slot[i & intern_table.mask];

		if (__builtin_expect(s->key == (uintptr_t)code, 1))
			return s->fn;
		if (!s->key)
			return 0;
	}
}

static inline uint32_t intern_find_c(const struct py_method_def *def)
{
	uintptr_t key = (uintptr_t)def + 1;

	for (uint32_t i = intern_hash(key);; i++) {
		const struct intern_slot *s = &intern_table.slot[i & intern_table.mask];

		if (__builtin_expect(s->key == key, 1))
			return __builtin_expect(s->check == intern_check(def), 1) ? s->fn : 0;
		if (!s->key)
			return 0;
	}
}

/* Once per process, and again for every interpreter that is initialised. False: no memory. */
bool intern_init(void);

/*
 * Numbers of functions seen for the first time; PYPROF_FN_OVERFLOW when numbers, memory or space
 * for the name have run out. `self` and `module` are those of the PyCFunction (NULL: none).
 */
uint32_t intern_code(PyObject *code);
uint32_t intern_c(struct py_method_def *def, PyObject *self, PyObject *module);

/* After a fork: publishes the names of all numbers in the new recording. */
bool intern_republish(const uint8_t *old_base);

/* Forgets all numbers: a new recording begins in the same process. */
void intern_reset(void);

#endif
