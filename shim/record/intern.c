/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "intern.h"

#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "pyprof/format.h"
#include "pyprof/order.h"
#include "python/label.h"
#include "python/pycode.h"
#include "region.h"
#include "system/log.h"

#define CO_GENERATORS (0x20 | 0x80 | 0x200) /* CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR */
#define FIRST_SLOTS 4096u
#define FIRST_SLOTS_FORKED 512u /* a child of few calls should touch few pages */

/* The private data of a number, besides its entry in the name table. */
struct number {
	uint64_t name; /* the place of its entry: names_at() */
	uint64_t label_hash;
	uintptr_t key;	     /* the key of its slot; 0: retired */
	uint32_t next;	     /* the next retired number of its bucket; 0: the last */
	uint32_t text_bytes; /* length of all three texts of its entry */
};

struct intern_slot intern_cache[1u << INTERN_CACHE_BITS];

/* The hash table of all functions: open addressing, linear probing; at most half full. */
static struct table {
	struct intern_slot *slot;
	unsigned shift; /* 64 - log2 of the number of slots */
	uint32_t mask;
} table;

static uint32_t n_slots_used;
static bool has_overflow;      /* a function has got no number */
static struct number *numbers; /* [1 .. n_numbers] */
static uint32_t n_numbers, cap_numbers;
static uint32_t *retired; /* buckets by label hash, chained through number.next */
static uint32_t retired_mask;

/* True for the key of a C function, which is odd. A code object's key is its address. */
static bool is_c(uintptr_t key)
{
	return key & 1;
}

/* --- the table ------------------------------------------------------------------------------- */

static uint32_t home_of(uintptr_t key)
{
	return (uint32_t)((uint64_t)key * 0x9e3779b97f4a7c15ull >> table.shift);
}

/* Returns the slot with this key, or the free one for it. */
static struct intern_slot *table_find(uintptr_t key)
{
	uint32_t i = home_of(key);

	while (table.slot[i].key && table.slot[i].key != key)
		i = (i + 1) & table.mask;
	return &table.slot[i];
}

static bool table_resize(uint32_t n_slots)
{
	struct table old = table;
	struct table bigger = { .mask = n_slots - 1,
				.shift = 64 - (unsigned)__builtin_ctz(n_slots) };

	bigger.slot = calloc(n_slots, sizeof(*bigger.slot));
	if (!bigger.slot)
		return false;
	table = bigger;
	for (uint32_t i = 0; old.slot && i <= old.mask; i++) {
		if (old.slot[i].key)
			*table_find(old.slot[i].key) = old.slot[i];
	}
	free(old.slot);
	return true;
}

static bool table_add(uintptr_t key, uint32_t fn, uint32_t check)
{
	if (n_slots_used >= (table.mask + 1) / 4 * 2 && !table_resize((table.mask + 1) * 2))
		return false;
	*table_find(key) = *intern_cached(key) = (struct intern_slot){ key, fn, check };
	n_slots_used++;
	return true;
}

/* Closes the hole as well: a probe stops at the first free slot, so chains must stay gapless. */
static void table_remove(uintptr_t key)
{
	struct intern_slot *slot = table.slot;
	struct intern_slot *found = table_find(key);
	uint32_t mask = table.mask;
	uint32_t hole = (uint32_t)(found - slot);

	if (!found->key)
		return;
	if (intern_cached(key)->key == key)
		intern_cached(key)->key = 0;
	for (uint32_t i = (hole + 1) & mask; slot[i].key; i = (i + 1) & mask) {
		uint32_t home = home_of(slot[i].key);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			slot[hole] = slot[i];
			hole = i;
		}
	}
	slot[hole].key = 0;
	n_slots_used--;
}

uint32_t intern_look_up_code(const PyObject *code)
{
	const struct intern_slot *s = table_find((uintptr_t)code);

	if (!s->key)
		return 0;
	*intern_cached(s->key) = *s;
	return s->fn;
}

uint32_t intern_look_up_c(const struct py_method_def *def)
{
	const struct intern_slot *s = table_find((uintptr_t)def + 1);

	if (!s->key || s->check != intern_check(def))
		return 0;
	*intern_cached(s->key) = *s;
	return s->fn;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static bool numbers_grow(void)
{
	uint32_t cap = cap_numbers ? cap_numbers * 2 : 64;
	struct number *more = realloc(numbers, (cap + 1ull) * sizeof(*more));
	uint32_t *heads;

	if (!more)
		return false;
	numbers = more;
	heads = calloc(cap, sizeof(*heads));
	if (!heads)
		return false;
	free(retired);
	retired = heads;
	retired_mask = cap - 1;
	cap_numbers = cap;
	for (uint32_t i = 1; i <= n_numbers; i++) {
		uint32_t *head = &retired[numbers[i].label_hash & retired_mask];

		if (!numbers[i].key) {
			numbers[i].next = *head;
			*head = i;
		}
	}
	return true;
}

static uint32_t number_of(uint32_t fn)
{
	return (fn & ~INTERN_FLAGS) >> PYPROF_FN_SHIFT;
}

/* True for a function without a number, because numbers or space ran out. It has only a slot. */
static bool is_overflow(uint32_t fn)
{
	return number_of(fn) == PYPROF_FN_OVERFLOW;
}

/* Puts a number among the retired ones. */
static void put_back(uint32_t n)
{
	uint32_t *head = &retired[numbers[n].label_hash & retired_mask];

	numbers[n].key = 0;
	numbers[n].next = *head;
	*head = n;
}

static void retire(uint32_t n)
{
	if (!numbers[n].key)
		return;
	table_remove(numbers[n].key);
	put_back(n);
}

/* Forgets the function of this slot, which does not exist any more. */
static void forget(const struct intern_slot *s)
{
	if (is_overflow(s->fn))
		table_remove(s->key);
	else
		retire(number_of(s->fn));
}

/* Forgets functions without a number: code objects, and with `c_too` C functions. */
static void forget_overflow(bool c_too)
{
	for (uint32_t i = 0; table.slot && i <= table.mask; i++) {
		const struct intern_slot *s = &table.slot[i];

		while (s->key && is_overflow(s->fn) && (c_too || !is_c(s->key)))
			table_remove(s->key); /* this may move another one here */
	}
}

static bool same_label(uint32_t n, const struct label_entry *e)
{
	const struct pyprof_name *p = names_at(numbers[n].name);

	/* The length is kept privately: other processes can write to the file. */
	if ((uint64_t)p->file_bytes + p->name_bytes + p->qual_bytes != numbers[n].text_bytes ||
	    p->kind != e->kind || p->line != e->line || p->name_bytes != e->name.n ||
	    memcmp(p->text + p->file_bytes, e->name.bytes, e->name.n) != 0)
		return false;
	if (e->kind ==
	    PYPROF_NAME_C) /* its `file` is only cProfile's label, which may contain an address */
		return true;
	return p->file_bytes == e->file.n && p->qual_bytes == e->qualname.n &&
	       !memcmp(p->text, e->file.bytes, e->file.n) &&
	       !memcmp(p->text + e->file.n + e->name.n, e->qualname.bytes, e->qualname.n);
}

static uint64_t hash_bytes(uint64_t h, const char *bytes, size_t n)
{
	/* FNV-1a: Fowler, Noll, Vo */
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3ull;
	return (h ^ n) * 0x100000001b3ull;
}

static uint64_t hash_label(const struct label_entry *e)
{
	uint64_t h = 0xcbf29ce484222325ull ^ (uint32_t)e->line;

	if (e->kind != PYPROF_NAME_C)
		h = hash_bytes(h, e->file.bytes, e->file.n);
	h = hash_bytes(h, e->name.bytes, e->name.n);
	return hash_bytes(h, e->qualname.bytes, e->qualname.n) ^ e->kind;
}

/* Takes a retired number with this label and returns it; 0: no number has it. */
static uint32_t take_over(uint64_t hash, const struct label_entry *e)
{
	if (!retired)
		return 0;
	for (uint32_t *at = &retired[hash & retired_mask]; *at; at = &numbers[*at].next) {
		uint32_t n = *at;

		if (numbers[n].label_hash == hash && same_label(n, e)) {
			*at = numbers[n].next;
			return n;
		}
	}
	return 0;
}

static uint32_t new_number(uint64_t hash, struct label_entry *e)
{
	if (n_numbers >= PYPROF_FN_MAX)
		return 0;
	if (n_numbers == cap_numbers && !numbers_grow())
		return 0;
	e->number = n_numbers + 1;
	uint64_t name = names_publish(e);
	if (!name)
		return 0;
	numbers[++n_numbers] = (struct number){
		.name = name,
		.label_hash = hash,
		.text_bytes = (uint32_t)(e->file.n + e->name.n + e->qualname.n),
	};
	return n_numbers;
}

/*
 * Gives the function with this label a number, and its key a slot. Returns INTERN_OVERFLOW, with
 * the flags, if that fails.
 */
static uint32_t assign(struct label_entry *e, uintptr_t key, uint32_t flags, uint32_t check)
{
	uint64_t hash = hash_label(e);
	uint32_t n = take_over(hash, e);
	uint32_t fn;

	if (!n)
		n = new_number(hash, e);
	fn = (n ? n << PYPROF_FN_SHIFT : INTERN_OVERFLOW) | flags;
	if (table_add(key, fn, check)) {
		if (n)
			numbers[n].key = key;
	} else if (n) {
		put_back(n);
		fn = INTERN_OVERFLOW | flags;
	}
	has_overflow |= is_overflow(fn);
	if (is_overflow(fn))
		pyprof_set(&region.header->n_unnamed, region.header->n_unnamed + 1);
	return fn;
}

/*
 * Called when a code object dies. A watcher reports every one, even if the hash table was never
 * made.
 */
static void code_died(void *code)
{
	const struct intern_slot *s = code && table.slot ? table_find((uintptr_t)code) : NULL;

	if (s && s->key)
		forget(s);
}

static void forget_all_code(void)
{
	for (uint32_t n = 1; n <= n_numbers; n++) {
		if (!is_c(numbers[n].key))
			retire(n);
	}
	forget_overflow(false);
}

bool intern_init(void)
{
	bool all_gone;

	if (pyapi_deaths_request(code_died, &all_gone) < 0) {
		py.PyErr_Clear();
		log_debug(
			"the interpreter does not report deaths of code objects: all are kept alive");
	}
	if (all_gone)
		forget_all_code();
	return table.slot || table_resize(FIRST_SLOTS);
}

uint32_t intern_code(PyObject *code)
{
	struct label label;
	uint32_t fn;

	label_of_code(&label, code);
	label.entry.flags = 0;
	if (pycode_int(code, PYCODE_FLAGS) & CO_GENERATORS)
		label.entry.flags |= PYPROF_NAME_GENERATOR;
	fn = assign(&label.entry, (uintptr_t)code,
		    label.entry.flags & PYPROF_NAME_GENERATOR ? INTERN_GENERATOR : 0, 0);
	label_fini(&label);
	if (intern_look_up_code(code) && pyapi_deaths_watch(code) < 0)
		py.Py_IncRef(code); /* its address must never be reused */
	return fn;
}

uint32_t intern_c(struct py_method_def *def, PyObject *self, PyObject *module, bool takes_hook)
{
	uintptr_t key = (uintptr_t)def + 1;
	const struct intern_slot *old;
	struct label label;
	uint32_t fn;

	/*
	 * A function that no longer exists may have had this address: they can be made at run time.
	 */
	old = table_find(key);
	if (old->key)
		forget(old);
	label_of_c(&label, def, self, module);
	if (takes_hook)
		label.entry.flags |= PYPROF_NAME_TAKES_HOOK;
	fn = assign(&label.entry, key, label.entry.flags ? INTERN_TAKES_HOOK : 0,
		    intern_check(def));
	label_fini(&label);
	return fn;
}

struct py_method_def *intern_c_def(uint32_t fn)
{
	uint32_t n = number_of(fn);
	uintptr_t key = n && n <= n_numbers ? numbers[n].key : 0;

	return is_c(key) ? (struct py_method_def *)(key - 1) : NULL;
}

void intern_c_changed(const struct py_method_def *def)
{
	uintptr_t key = (uintptr_t)def + 1;
	struct intern_slot *s = table_find(key);

	if (!s->key)
		return;
	s->check = intern_check(def);
	if (intern_cached(key)->key == key)
		*intern_cached(key) = *s;
}

/* --- forked children -------------------------------------------------------------------------- */

void intern_describe(uint32_t number, struct intern_origin *frame)
{
	const struct number *n = number && number <= n_numbers ? &numbers[number] : NULL;
	const struct pyprof_name *p;
	uint32_t file_bytes, bytes;

	*frame = (struct intern_origin){ .key = n ? n->key : 0 };
	if (!is_c(frame->key))
		return;
	p = names_at(n->name);
	frame->flags = p->flags;
	file_bytes = p->file_bytes < n->text_bytes ? p->file_bytes : n->text_bytes;
	bytes = n->text_bytes - file_bytes;
	frame->text_bytes = (uint16_t)(bytes < sizeof(frame->text) ? bytes : sizeof(frame->text));
	memcpy(frame->text, p->text + file_bytes, frame->text_bytes);
}

/*
 * The parent's tables are not freed: the memory is shared with the parent until one of them writes
 * to it, and free() writes.
 */
bool intern_reset(void)
{
	memset(intern_cache, 0, sizeof(intern_cache));
	table = (struct table){ 0 };
	numbers = NULL;
	retired = NULL;
	n_slots_used = n_numbers = cap_numbers = retired_mask = 0;
	return table_resize(FIRST_SLOTS_FORKED);
}

/* Numbers up to this one are already known, because the adopted recording shares them. */
static uint32_t n_shared;

/* Takes an entry of another process: a retired number, until a function with this label is seen. */
static bool adopt_number(const struct pyprof_name *p, uint64_t place)
{
	struct label_entry e = {
		.kind = p->kind,
		.line = p->line,
		.file = { p->text, p->file_bytes },
		.name = { p->text + p->file_bytes, p->name_bytes },
		.qualname = { p->text + p->file_bytes + p->name_bytes, p->qual_bytes },
	};

	if (p->number <= n_shared)
		return true;
	if (p->number != n_numbers + 1 || p->number > PYPROF_FN_MAX ||
	    (n_numbers == cap_numbers && !numbers_grow()))
		return false;
	numbers[++n_numbers] = (struct number){
		.name = place,
		.label_hash = hash_label(&e),
		.text_bytes = p->file_bytes + p->name_bytes + p->qual_bytes,
	};
	put_back(n_numbers);
	return true;
}

uint32_t intern_count(void)
{
	return n_numbers;
}

void intern_inherited(void)
{
	if (has_overflow) /* this recording may have space for their names */
		forget_overflow(true);
	has_overflow = false;
}

bool intern_adopt(void)
{
	intern_inherited();
	n_shared = n_numbers;
	return names_adopt(adopt_number);
}

uint32_t intern_frame(const struct intern_origin *frame)
{
	struct label_entry e = {
		.kind = PYPROF_NAME_C,
		.flags = frame->flags,
		.file = { "", 0 },
		.name = { frame->text, frame->text_bytes },
		.qualname = { "", 0 },
	};
	const struct py_method_def *def;
	uint32_t fn;

	if (!frame->key)
		return INTERN_OVERFLOW;
	if (!is_c(frame->key)) {
		fn = intern_look_up_code((PyObject *)frame->key);
		return fn ? fn : intern_code((PyObject *)frame->key);
	}
	def = (const struct py_method_def *)(frame->key - 1);
	fn = intern_look_up_c(def);
	return fn ? fn
		  : assign(&e, frame->key, frame->flags ? INTERN_TAKES_HOOK : 0, intern_check(def));
}
