/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "profile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MIN_INDEX 64

void profile_init(struct profile *p)
{
	memset(p, 0, sizeof(*p));
}

void profile_fini(struct profile *p)
{
	for (size_t i = 0; i < p->n_fns; i++)
		free(p->fn[i].caller);
	texts_fini(&p->texts);
	free(p->fn);
	free(p->listed);
	free(p->index);
	free(p->edge);
	profile_init(p);
}

/* Makes room for one more element. Returns the array, or NULL without memory and no change. */
static void *grow(void *array, size_t n, size_t *cap, size_t element_bytes)
{
	size_t more = *cap ? *cap * 2 : 4;

	if (n < *cap)
		return array;
	array = reallocarray(array, more, element_bytes);
	if (array)
		*cap = more;
	return array;
}

static size_t utf8_valid_bytes(struct text t)
{
	size_t at = 0;

	while (at < t.n) {
		uint64_t word;
		size_t n;

		if (t.n - at >= sizeof(word)) { /* fast path for ASCII, which most texts are */
			memcpy(&word, t.bytes + at, sizeof(word));
			if (!(word & 0x8080808080808080ull)) {
				at += sizeof(word);
				continue;
			}
		}
		n = text_sequence((const unsigned char *)t.bytes + at, t.n - at);
		if (!n)
			break;
		at += n;
	}
	return at;
}

bool text_is_utf8(struct text t)
{
	return utf8_valid_bytes(t) == t.n;
}

/*
 * Converts a text to UTF-8 with surrogates. *owned is the copy that the caller frees, or NULL if
 * the text was already valid, as nearly all are. 0 or -ENOMEM.
 */
static int text_repair(struct text *t, char **owned)
{
	size_t from = utf8_valid_bytes(*t);
	size_t to = from;

	*owned = NULL;
	if (from == t->n)
		return 0;
	*owned = reallocarray(NULL, t->n, 3);
	if (!*owned)
		return -ENOMEM;
	memcpy(*owned, t->bytes, from);
	while (from < t->n) {
		const unsigned char *s = (const unsigned char *)t->bytes + from;
		size_t n = text_sequence(s, t->n - from);

		if (n) {
			memcpy(*owned + to, s, n);
			from += n;
			to += n;
			continue;
		}
		(*owned)[to++] = (char)0xed;
		(*owned)[to++] = (char)(0xb0 | *s >> 6);
		(*owned)[to++] = (char)(0x80 | (*s & 0x3f));
		from++;
	}
	*t = (struct text){ *owned, to };
	return 0;
}

static uint64_t hash_key(struct text file, int64_t line, struct text name)
{
	return texts_hash(texts_hash(texts_hash_word(0, (uint64_t)line), file), name);
}

static bool text_equal(struct text a, struct text b)
{
	return a.n == b.n && !text_cmp(a, b);
}

/* Returns the slot of this key, or the empty slot for it. Precondition: the index exists. */
static size_t index_slot(const struct profile *p, uint64_t hash, struct text file, int64_t line,
			 struct text name)
{
	size_t slot = hash & (p->cap_index - 1);

	for (; p->index[slot]; slot = (slot + 1) & (p->cap_index - 1)) {
		const struct profile_fn *fn = &p->fn[p->index[slot] - 1];

		if (fn->hash == hash && fn->line == line && text_equal(fn->name, name) &&
		    text_equal(fn->file, file))
			break;
	}
	return slot;
}

/* Keeps the index at most half full. */
static int index_grow(struct profile *p)
{
	size_t cap = p->cap_index ? p->cap_index * 2 : MIN_INDEX;
	uint32_t *index;

	if (p->n_fns < p->cap_index / 2)
		return 0;
	index = calloc(cap, sizeof(*index));
	if (!index)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_fns; i++) {
		size_t slot = p->fn[i].hash & (cap - 1);

		while (index[slot])
			slot = (slot + 1) & (cap - 1);
		index[slot] = (uint32_t)i + 1;
	}
	free(p->index);
	p->index = index;
	p->cap_index = cap;
	return 0;
}

static size_t fn_append(struct profile *p, const struct profile_fn *key, struct text qualname)
{
	struct profile_fn *fn = grow(p->fn, p->n_fns, &p->cap_fns, sizeof(*fn));

	if (!fn)
		return SIZE_MAX;
	p->fn = fn;
	fn += p->n_fns;
	*fn = *key;
	fn->qualname = qualname;
	if (texts_keep(&p->texts, &fn->file) || texts_keep(&p->texts, &fn->name) ||
	    texts_keep(&p->texts, &fn->qualname))
		return SIZE_MAX;
	return p->n_fns++;
}

/* Precondition: in `key`, the texts are valid, the hash is set and the other fields are 0. */
static size_t fn_intern(struct profile *p, const struct profile_fn *key, struct text qualname)
{
	size_t slot, fn;

	if (p->n_fns >= UINT32_MAX - 1 || index_grow(p))
		return SIZE_MAX;
	slot = index_slot(p, key->hash, key->file, key->line, key->name);
	if (!p->index[slot]) {
		fn = fn_append(p, key, qualname);
		if (fn != SIZE_MAX)
			p->index[slot] = (uint32_t)fn + 1;
		return fn;
	}
	fn = p->index[slot] - 1;
	if (qualname.n && !p->fn[fn].qualname.n) {
		if (texts_keep(&p->texts, &qualname))
			return SIZE_MAX;
		p->fn[fn].qualname = qualname;
	}
	return fn;
}

static size_t fn_add(struct profile *p, struct text file, int64_t line, struct text name,
		     struct text qualname)
{
	struct profile_fn key = { .file = file, .line = line, .name = name };
	char *owned[3] = { NULL };
	size_t fn = SIZE_MAX;

	if (!text_repair(&key.file, &owned[0]) && !text_repair(&key.name, &owned[1]) &&
	    !text_repair(&qualname, &owned[2])) {
		key.hash = hash_key(key.file, key.line, key.name);
		fn = fn_intern(p, &key, qualname);
	}
	for (size_t i = 0; i < 3; i++)
		free(owned[i]);
	return fn;
}

size_t profile_caller_add(struct profile *p, struct text file, int64_t line, struct text name)
{
	return fn_add(p, file, line, name, (struct text){ "", 0 });
}

int profile_list(struct profile *p, size_t fn)
{
	size_t *listed;

	if (p->fn[fn].listed)
		return 0;
	listed = grow(p->listed, p->n_listed, &p->cap_listed, sizeof(*listed));
	if (!listed)
		return -ENOMEM;
	p->listed = listed;
	p->listed[p->n_listed++] = fn;
	p->fn[fn].listed = true;
	return 0;
}

size_t profile_fn_add(struct profile *p, struct text file, int64_t line, struct text name,
		      struct text qualname)
{
	size_t fn = fn_add(p, file, line, name, qualname);

	return fn == SIZE_MAX || profile_list(p, fn) ? SIZE_MAX : fn;
}

size_t profile_find(const struct profile *p, struct text file, int64_t line, struct text name)
{
	uint64_t hash = hash_key(file, line, name);

	/* An empty entry is 0, so the subtraction gives SIZE_MAX. */
	return p->n_fns ? (size_t)p->index[index_slot(p, hash, file, line, name)] - 1 : SIZE_MAX;
}

void profile_counts_add(struct profile_counts *to, const struct profile_counts *more)
{
	to->n_calls += more->n_calls;
	to->n_primitive += more->n_primitive;
	to->n_exceptions += more->n_exceptions;
	to->self_s += more->self_s;
	to->total_s += more->total_s;
	to->self_overhead_s += more->self_overhead_s;
	to->total_overhead_s += more->total_overhead_s;
}

static size_t edge_hash(size_t caller, size_t callee)
{
	return texts_hash_word(texts_hash_word(0, caller), callee);
}

/* edge_slot and edges_grow are index_slot and index_grow for edges. */
static size_t edge_slot(const struct profile *p, size_t caller, size_t callee)
{
	size_t slot = edge_hash(caller, callee) & (p->cap_edges - 1);

	for (; p->edge[slot].callee; slot = (slot + 1) & (p->cap_edges - 1)) {
		const struct profile_slot *s = &p->edge[slot];

		if (s->callee == callee + 1 && p->fn[callee].caller[s->edge].caller == caller)
			break;
	}
	return slot;
}

static int edges_grow(struct profile *p)
{
	size_t cap = p->cap_edges ? p->cap_edges * 2 : MIN_INDEX;
	struct profile_slot *before = p->edge;
	size_t n_before = p->cap_edges;

	if (p->n_edges < p->cap_edges / 2)
		return 0;
	p->edge = calloc(cap, sizeof(*p->edge));
	if (!p->edge) {
		p->edge = before;
		return -ENOMEM;
	}
	p->cap_edges = cap;
	for (size_t i = 0; i < n_before; i++) {
		const struct profile_fn *callee;

		if (!before[i].callee)
			continue;
		callee = &p->fn[before[i].callee - 1];
		p->edge[edge_slot(p, callee->caller[before[i].edge].caller, before[i].callee - 1)] =
			before[i];
	}
	free(before);
	return 0;
}

static struct profile_edge *edge_append(struct profile_fn *callee, size_t caller)
{
	struct profile_edge *edge =
		grow(callee->caller, callee->n_callers, &callee->cap_callers, sizeof(*edge));

	if (!edge)
		return NULL;
	callee->caller = edge;
	edge += callee->n_callers++;
	/* Adding -0.0 changes no number, not even -0.0, which Python prints as -0.000. */
	*edge = (struct profile_edge){ .caller = caller,
				       .counts = { .self_s = -0.0, .total_s = -0.0 } };
	return edge;
}

/* Returns the edge from `caller` to `callee`, and makes it if needed. NULL without memory. */
static struct profile_edge *edge_intern(struct profile *p, size_t caller, size_t callee)
{
	struct profile_edge *edge;
	struct profile_slot *slot;

	if (edges_grow(p))
		return NULL;
	slot = &p->edge[edge_slot(p, caller, callee)];
	if (slot->callee)
		return &p->fn[callee].caller[slot->edge];
	edge = edge_append(&p->fn[callee], caller);
	if (!edge)
		return NULL;
	slot->callee = (uint32_t)callee + 1;
	slot->edge = (uint32_t)p->fn[callee].n_callers - 1;
	p->n_edges++;
	return edge;
}

static void edge_count(struct profile_edge *edge, const struct profile_counts *more,
		       bool only_calls)
{
	edge->only_calls |= only_calls;
	profile_counts_add(&edge->counts, more);
}

static int edge_add(struct profile *p, size_t caller, size_t callee,
		    const struct profile_counts *more, bool only_calls)
{
	struct profile_edge *edge;

	if (caller >= p->n_fns || callee >= p->n_fns)
		return -EINVAL;
	edge = edge_intern(p, caller, callee);
	if (!edge)
		return -ENOMEM;
	edge_count(edge, more, only_calls);
	return 0;
}

struct profile_edge *profile_edge_find(const struct profile *p, size_t caller, size_t callee)
{
	const struct profile_slot *s;

	if (!p->n_edges)
		return NULL;
	s = &p->edge[edge_slot(p, caller, callee)];
	return s->callee ? &p->fn[callee].caller[s->edge] : NULL;
}

int profile_edge_add(struct profile *p, size_t caller, size_t callee,
		     const struct profile_counts *more)
{
	return edge_add(p, caller, callee, more, false);
}

int profile_edge_add_calls(struct profile *p, size_t caller, size_t callee, uint64_t n_calls)
{
	struct profile_counts calls = { .n_calls = n_calls, .n_primitive = n_calls };

	return edge_add(p, caller, callee, &calls, true);
}

/*
 * Adds the callers of one function. `map` converts indices of `from` to those of `to`. The profiles
 * are mostly runs of one program, so a caller mostly has the same position in both. That
 * position is tried first, which saves most of the look-ups.
 */
static int merge_callers(struct profile *to, const struct profile *from, size_t callee,
			 const size_t *map)
{
	const struct profile_fn *fn = &from->fn[callee];
	struct profile_fn *sum = &to->fn[map[callee]];
	int err = 0;

	for (size_t i = 0; i < fn->n_callers && !err; i++) {
		const struct profile_edge *edge = &fn->caller[i];

		if (i < sum->n_callers && sum->caller[i].caller == map[edge->caller]) {
			edge_count(&sum->caller[i], &edge->counts, edge->only_calls);
			continue;
		}
		err = edge_add(to, map[edge->caller], map[callee], &edge->counts, edge->only_calls);
	}
	return err;
}

int profile_merge(struct profile *to, const struct profile *from)
{
	size_t *map = reallocarray(NULL, from->n_fns + 1, sizeof(*map));
	int err = -ENOMEM;

	if (!map)
		return err;
	for (size_t i = 0; i < from->n_fns; i++) {
		const struct profile_fn *fn = &from->fn[i];
		struct profile_fn key = {
			.file = fn->file, .line = fn->line, .name = fn->name, .hash = fn->hash
		};

		map[i] = fn_intern(to, &key, fn->qualname);
		if (map[i] == SIZE_MAX)
			goto out;
	}
	for (size_t i = 0; i < from->n_listed; i++) {
		size_t fn = from->listed[i];

		if (profile_list(to, map[fn]))
			goto out;
		profile_counts_add(&to->fn[map[fn]].counts, &from->fn[fn].counts);
	}
	err = 0;
	for (size_t i = 0; i < from->n_fns && !err; i++)
		err = merge_callers(to, from, i, map);
out:
	free(map);
	return err;
}

/* --- strip_dirs ------------------------------------------------------------------------------- */

struct strip {
	const struct profile *from;
	struct profile to;
	size_t *map;		   /* converts indices of `from` to those of `to` */
	struct profile_edge *edge; /* callers of one function */
	size_t n_edges;
	size_t *place; /* indexed by caller: its index in `edge`, valid if it is there */
};

struct text text_base_name(struct text path)
{
	const char *slash = path.n ? memrchr(path.bytes, '/', path.n) : NULL;
	size_t n = slash ? (size_t)(slash + 1 - path.bytes) : 0;

	return (struct text){ path.bytes + n, path.n - n };
}

static int strip_functions(struct strip *s)
{
	for (size_t i = 0; i < s->from->n_fns; i++) {
		const struct profile_fn *fn = &s->from->fn[i];
		struct profile_fn key = { .file = text_base_name(fn->file),
					  .line = fn->line,
					  .name = fn->name };

		key.hash = hash_key(key.file, key.line, key.name);
		s->map[i] = fn_intern(&s->to, &key, fn->qualname);
		if (s->map[i] == SIZE_MAX)
			return -ENOMEM;
	}
	return 0;
}

static void strip_callers(struct strip *s, const struct profile_fn *fn)
{
	s->n_edges = 0;
	for (size_t i = 0; i < fn->n_callers; i++) {
		size_t caller = s->map[fn->caller[i].caller];
		size_t at = s->place[caller];

		if (at >= s->n_edges || s->edge[at].caller != caller)
			at = s->n_edges++;
		s->place[caller] = at;
		s->edge[at] = fn->caller[i];
		s->edge[at].caller = caller;
	}
}

static int strip_listed(struct strip *s)
{
	int err = 0;

	for (size_t i = 0; i < s->from->n_listed && !err; i++) {
		size_t from = s->from->listed[i], to = s->map[from];

		if (!s->to.fn[to].listed)
			s->to.fn[to].counts = s->from->fn[from].counts;
		else
			profile_counts_add(&s->to.fn[to].counts, &s->from->fn[from].counts);
		err = profile_list(&s->to, to);
		strip_callers(s, &s->from->fn[from]);
		for (size_t k = 0; k < s->n_edges && !err; k++)
			err = edge_add(&s->to, s->edge[k].caller, to, &s->edge[k].counts,
				       s->edge[k].only_calls);
	}
	return err;
}

int profile_strip_dirs(struct profile *p)
{
	struct strip s = { .from = p };
	int err = -ENOMEM;

	profile_init(&s.to);
	s.map = calloc(p->n_fns + 1, sizeof(*s.map));
	s.place = calloc(p->n_fns + 1, sizeof(*s.place));
	s.edge = calloc(p->n_edges + 1, sizeof(*s.edge));
	if (s.map && s.place && s.edge)
		err = strip_functions(&s);
	if (!err)
		err = strip_listed(&s);
	free(s.map);
	free(s.place);
	free(s.edge);
	if (err) {
		profile_fini(&s.to);
		return err;
	}
	profile_fini(p);
	*p = s.to;
	return 0;
}

struct profile_counts profile_total(const struct profile *p)
{
	struct profile_counts total = { 0 };

	for (size_t i = 0; i < p->n_listed; i++)
		profile_counts_add(&total, &p->fn[p->listed[i]].counts);
	total.total_s = 0;
	return total;
}

#define LINE_BYTES sizeof(":-9223372036854775808()")

/* Returns the #2 of a name like f#2, which the qualified name lacks, or "". */
static struct text ordinal_of(const struct profile_fn *fn)
{
	const char *hash = memrchr(fn->name.bytes, '#', fn->name.n);
	size_t base = hash ? (size_t)(hash - fn->name.bytes) : 0;
	struct text qual = fn->qualname;

	if (!hash || qual.n < base || memcmp(qual.bytes + qual.n - base, fn->name.bytes, base))
		return (struct text){ "", 0 };
	return (struct text){ hash, fn->name.n - base };
}

static size_t label_put(const struct profile_fn *fn, bool qualified, char *to)
{
	struct text shown = qualified && fn->qualname.n ? fn->qualname : fn->name;
	struct text ordinal = { "", 0 };
	size_t n = shown.n;
	const char *name = shown.bytes;
	char *at = to;

	if (qualified && fn->qualname.n)
		ordinal = ordinal_of(fn);
	if (profile_fn_is_c(fn)) {
		memcpy(to, name, n);
		if (n > 1 && name[0] == '<' && name[n - 1] == '>') {
			to[0] = '{';
			to[n - 1] = '}';
		}
		return n;
	}
	at = mempcpy(at, fn->file.bytes, fn->file.n);
	at += sprintf(at, ":%" PRId64 "(", fn->line);
	at = mempcpy(at, name, n);
	at = mempcpy(at, ordinal.bytes, ordinal.n);
	*at++ = ')';
	return (size_t)(at - to);
}

static struct text *make_labels(const struct profile *p, bool qualified)
{
	size_t bytes = (p->n_fns + 1) * sizeof(struct text);
	struct text *label;
	char *at;

	for (size_t i = 0; i < p->n_fns; i++)
		bytes += p->fn[i].file.n + p->fn[i].name.n + p->fn[i].qualname.n + LINE_BYTES;
	label = malloc(bytes);
	if (!label)
		return NULL;
	at = (char *)(label + p->n_fns + 1);
	for (size_t i = 0; i < p->n_fns; i++) {
		label[i] = (struct text){ at, label_put(&p->fn[i], qualified, at) };
		at += label[i].n;
	}
	return label;
}

struct text *profile_labels(const struct profile *p)
{
	return make_labels(p, false);
}

struct text *profile_qualified_labels(const struct profile *p)
{
	return make_labels(p, true);
}

#define MAX_NAME_BYTES (1ull << 30)
#define MAX_PADDED_BYTES (4ull << 30)

int profile_check_size(const struct profile *p)
{
	uint64_t n_lines = 0, sum = 0, longest = 0;

	for (size_t i = 0; i < p->n_fns; i++) {
		const struct profile_fn *fn = &p->fn[i];
		uint64_t n = fn->file.n + fn->name.n;

		longest = n > longest ? n : longest;
		sum += n;
		n_lines += 1 + fn->n_callers;
		for (size_t k = 0; k < fn->n_callers; k++)
			sum += p->fn[fn->caller[k].caller].file.n +
			       p->fn[fn->caller[k].caller].name.n;
		if (sum > MAX_NAME_BYTES)
			return -E2BIG;
	}
	return longest && n_lines > MAX_PADDED_BYTES / longest ? -E2BIG : 0;
}

int profile_fn_cmp(const struct profile_fn *a, const struct profile_fn *b)
{
	int order = text_cmp(a->file, b->file);

	if (!order)
		order = (a->line > b->line) - (a->line < b->line);
	return order ? order : text_cmp(a->name, b->name);
}
