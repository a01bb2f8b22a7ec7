/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pstats file is a marshalled dict:
 *
 *	{ (file, line, name): (primitive calls, calls, tottime, cumtime, callers) ... }
 *	callers, of cProfile: { (file, line, name): (calls, primitive calls, tottime, cumtime) ... }
 *	callers, of the others: { (file, line, name): calls ... }
 *
 * If the counts are samples, it also has the entry ("__sampled__",): True.
 */
#include "pstats_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "marshal.h"

/*
 * Limits of the length of all names together. A small file can refer to one long name from many
 * functions, and a report prints the name for each of them.
 */
#define MAX_TEXT_BYTES (64u << 20)
#define MAX_TEXT_SHARE 32u

struct pstats_reading {
	struct pstats_file *f;
	struct profile *p;
	struct marshal m;
	uint32_t *known;       /* indexed by the first node of a key: its function + 1, or 0 */
	uint32_t *caller;      /* indexed by function: the last callee that has it as a caller */
	uint8_t *listed;       /* indexed by function: 1 if the file has an entry of it */
	bool is_first;	       /* the profile was empty before */
	size_t cap_fns;	       /* capacity of `caller` and `listed` */
	uint64_t n_text_bytes; /* length of all functions' names; shared ones count each time */
	size_t n_edges;
	uint64_t n_edge_calls; /* calls of all edges; their sum must not overflow */
};

__attribute__((format(printf, 2, 3))) static int refuse(struct pstats_reading *r,
							const char *format, ...)
{
	char what[128];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return error_set(&r->f->error, -EINVAL, "entry %zu: %s", r->f->n_functions + 1, what);
}

static int no_memory(struct pstats_reading *r)
{
	return error_set(&r->f->error, -ENOMEM, "%s", strerror(ENOMEM));
}

static const struct marshal_node *next_of(const struct pstats_reading *r,
					  const struct marshal_node *node)
{
	return &r->m.node[node->next];
}

static const struct marshal_node *first_of(const struct pstats_reading *r,
					   const struct marshal_node *node)
{
	return &r->m.node[node->first];
}

static bool is_tuple(const struct marshal_node *node, uint32_t n_items)
{
	return node->kind == MARSHAL_TUPLE && node->n_items == n_items;
}

static int read_count(struct pstats_reading *r, const struct marshal_node *node, uint64_t *count)
{
	if (node->kind != MARSHAL_INTEGER || node->integer < 0)
		return refuse(r, "found an invalid number of calls, expected 0 or more");
	*count = (uint64_t)node->integer;
	return 0;
}

static int read_seconds(struct pstats_reading *r, const struct marshal_node *node, double *seconds)
{
	if (node->kind != MARSHAL_INTEGER && node->kind != MARSHAL_REAL)
		return refuse(r, "found a time that is not a number, expected seconds");
	*seconds = node->kind == MARSHAL_REAL ? node->real : (double)node->integer;
	return 0;
}

/* Reads four numbers. In a function the primitive calls come first, in a caller all calls. */
static int read_counts(struct pstats_reading *r, const struct marshal_node *node,
		       bool primitive_first, struct profile_counts *to)
{
	uint64_t *first = primitive_first ? &to->n_primitive : &to->n_calls;
	uint64_t *second = primitive_first ? &to->n_calls : &to->n_primitive;
	int err;

	err = read_count(r, node, first);
	if (err)
		return err;
	node = next_of(r, node);
	err = read_count(r, node, second);
	if (err)
		return err;
	node = next_of(r, node);
	err = read_seconds(r, node, &to->self_s);
	return err ? err : read_seconds(r, next_of(r, node), &to->total_s);
}

/* Enlarges `caller` and `listed` to the functions of the profile. */
static int grow(struct pstats_reading *r)
{
	size_t more = r->p->cap_fns;
	uint32_t *caller;
	uint8_t *listed;

	if (r->p->n_fns <= r->cap_fns)
		return 0;
	caller = reallocarray(r->caller, more, sizeof(*caller));
	r->caller = caller ? caller : r->caller;
	listed = reallocarray(r->listed, more, sizeof(*listed));
	r->listed = listed ? listed : r->listed;
	if (!caller || !listed)
		return no_memory(r);
	memset(caller + r->cap_fns, 0xff, (more - r->cap_fns) * sizeof(*caller));
	memset(listed + r->cap_fns, 0, (more - r->cap_fns) * sizeof(*listed));
	r->cap_fns = more;
	return 0;
}

/* Makes the name of a code object. Returns its bytes for free(), or NULL without memory or name. */
static char *code_name(const struct pstats_reading *r, const struct marshal_node *code,
		       struct text *name)
{
	const struct marshal_node *file = first_of(r, code), *word = next_of(r, file);
	struct text t, f;
	char *bytes, *at;

	if (file->kind != MARSHAL_TEXT || word->kind != MARSHAL_TEXT)
		return NULL;
	t = marshal_text(&r->m, word);
	f = marshal_text(&r->m, file);
	bytes = malloc(t.n + f.n + 64);
	if (!bytes)
		return NULL;
	at = mempcpy(stpcpy(bytes, "<code object "), t.bytes, t.n);
	at = mempcpy(stpcpy(at, ", file \""), f.bytes, f.n);
	at += sprintf(at, "\", line %" PRId64 ">", next_of(r, word)->integer);
	*name = (struct text){ bytes, (size_t)(at - bytes) };
	return bytes;
}

/* Adds the function of a valid key. */
static int add_key(struct pstats_reading *r, const struct marshal_node *key, size_t *fn)
{
	const struct marshal_node *file = first_of(r, key), *line = next_of(r, file);
	const struct marshal_node *last = next_of(r, line);
	struct text name = { "", 0 };
	char *owned = NULL;

	if (last->kind == MARSHAL_CODE)
		owned = code_name(r, last, &name);
	else
		name = marshal_text(&r->m, last);
	r->n_text_bytes += marshal_text(&r->m, file).n + name.n;
	if (r->n_text_bytes > MAX_TEXT_BYTES + MAX_TEXT_SHARE * r->m.n_bytes) {
		free(owned);
		return refuse(r,
			      "found long names that many functions share, expected at most %u "
			      "bytes of names for each of the file",
			      MAX_TEXT_SHARE);
	}
	*fn = profile_caller_add(r->p, marshal_text(&r->m, file), line->integer, name);
	free(owned);
	if (*fn == SIZE_MAX)
		return no_memory(r);
	r->known[key->first] = (uint32_t)*fn + 1;
	return grow(r);
}

/* Finds the function of a key. A key that is referred to many times is looked up once. */
static int read_key(struct pstats_reading *r, const struct marshal_node *key, size_t *fn)
{
	const struct marshal_node *file, *line, *name;

	if (!is_tuple(key, 3))
		return refuse(r, "found a function's key that is not a tuple of 3, expected (file, "
				 "line, name)");
	*fn = (size_t)r->known[key->first] - 1;
	if (r->known[key->first])
		return 0;
	file = first_of(r, key);
	line = next_of(r, file);
	name = next_of(r, line);
	if (file->kind != MARSHAL_TEXT || line->kind != MARSHAL_INTEGER ||
	    (name->kind != MARSHAL_TEXT && name->kind != MARSHAL_CODE))
		return refuse(r, "found a function's key of other types, expected (file, line, "
				 "name)");
	return add_key(r, key, fn);
}

/* A dict may be referred to many times. Limits the work to one edge for each byte of the file. */
static int count_edge(struct pstats_reading *r, uint64_t n_calls)
{
	if (++r->n_edges > r->m.n_bytes)
		return refuse(r, "found more callers than there are bytes, expected fewer");
	if (__builtin_add_overflow(r->n_edge_calls, n_calls, &r->n_edge_calls))
		return refuse(r, "found more than 2^64 calls, expected fewer");
	return 0;
}

static int read_caller(struct pstats_reading *r, const struct marshal_node *key, size_t callee)
{
	const struct marshal_node *value = next_of(r, key);
	struct profile_counts counts = { 0 };
	size_t caller = 0;
	int err = read_key(r, key, &caller);

	if (err)
		return err;
	if (r->caller[caller] == callee)
		return refuse(r, "found the same caller twice, expected it once");
	r->caller[caller] = (uint32_t)callee;
	if (value->kind == MARSHAL_INTEGER) {
		err = read_count(r, value, &counts.n_calls);
		err = err ? err : count_edge(r, counts.n_calls);
		if (!err && profile_edge_add_calls(r->p, caller, callee, counts.n_calls))
			err = no_memory(r);
		return err;
	}
	if (!is_tuple(value, 4))
		return refuse(r, "found a caller's value of another type, expected a count or 4 "
				 "numbers");
	err = read_counts(r, first_of(r, value), false, &counts);
	err = err ? err : count_edge(r, counts.n_calls);
	if (!err && profile_edge_add(r->p, caller, callee, &counts))
		err = no_memory(r);
	return err;
}

static int read_callers(struct pstats_reading *r, const struct marshal_node *callers, size_t callee)
{
	const struct marshal_node *key = first_of(r, callers);
	int err = 0;

	for (uint32_t i = 0; i < callers->n_items && !err; i += 2) {
		err = read_caller(r, key, callee);
		key = next_of(r, next_of(r, key));
	}
	return err;
}

static int add_total(struct pstats_reading *r, const struct profile_counts *counts)
{
	struct profile_counts *total = &r->f->total;

	if (__builtin_add_overflow(total->n_calls, counts->n_calls, &total->n_calls) ||
	    __builtin_add_overflow(total->n_primitive, counts->n_primitive, &total->n_primitive))
		return refuse(r, "found more than 2^64 calls, expected fewer");
	total->self_s += counts->self_s;
	return 0;
}

static int read_function(struct pstats_reading *r, const struct marshal_node *key)
{
	const struct marshal_node *value = next_of(r, key);
	const struct marshal_node *callers;
	struct profile_counts counts = { 0 };
	size_t fn = 0;
	int err = read_key(r, key, &fn);

	if (err)
		return err;
	if (!is_tuple(value, 5))
		return refuse(r, "found a function's value that is not a tuple of 5, expected "
				 "(primitive calls, calls, tottime, cumtime, callers)");
	err = read_counts(r, first_of(r, value), true, &counts);
	err = err ? err : add_total(r, &counts);
	if (err)
		return err;
	callers = first_of(r, value);
	for (int i = 0; i < 4; i++)
		callers = next_of(r, callers);
	if (callers->kind != MARSHAL_DICT)
		return refuse(r, "found callers that are not a dict, expected one");
	if (r->listed[fn])
		return refuse(r, "found the same function twice, expected it once");
	r->listed[fn] = 1;
	if (profile_list(r->p, fn))
		return no_memory(r);
	if (r->is_first) /* adding would turn -0.0 into 0.0 */
		r->p->fn[fn].counts = counts;
	else
		profile_counts_add(&r->p->fn[fn].counts, &counts);
	return read_callers(r, callers, fn);
}

static bool is_sampled_mark(const struct pstats_reading *r, const struct marshal_node *key)
{
	static const char mark[] = "__sampled__";
	const struct marshal_node *word;

	if (!is_tuple(key, 1))
		return false;
	word = first_of(r, key);
	return word->kind == MARSHAL_TEXT &&
	       !text_cmp(marshal_text(&r->m, word), (struct text){ mark, sizeof(mark) - 1 });
}

static int read_functions(struct pstats_reading *r)
{
	const struct marshal_node *dict = &r->m.node[0];
	const struct marshal_node *key;
	int err = 0;

	if (dict->kind != MARSHAL_DICT)
		return refuse(r, "found no dict, expected one of functions");
	key = first_of(r, dict);
	r->known = calloc(r->m.n_nodes, sizeof(*r->known));
	if (!r->known || grow(r))
		return no_memory(r);
	for (uint32_t i = 0; i < dict->n_items && !err; i += 2) {
		if (is_sampled_mark(r, key)) {
			r->f->sampled = true;
		} else {
			err = read_function(r, key);
			r->f->n_functions += !err;
		}
		key = next_of(r, next_of(r, key));
	}
	return err;
}

/* Reads up to *n bytes. There are fewer if another process truncates the file meanwhile. */
static int read_bytes(int fd, char *to, size_t *n)
{
	size_t want = *n;
	ssize_t got = 1;

	for (*n = 0; *n < want && got > 0; *n += got > 0 ? (size_t)got : 0)
		got = read(fd, to + *n, want - *n);
	return got < 0 ? -errno : 0;
}

static int load(int fd, void **bytes, size_t *n_bytes)
{
	struct stat st;
	char first;
	int err;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || pread(fd, &first, 1, 0) != 1 || (first & 0x7f) != '{')
		return 0;
	*n_bytes = (size_t)st.st_size;
	*bytes = malloc(*n_bytes);
	if (!*bytes)
		return -ENOMEM;
	err = read_bytes(fd, *bytes, n_bytes);
	if (err) {
		free(*bytes);
		*bytes = NULL;
	}
	return err;
}

int pstats_load(const char *path, void **bytes, size_t *n_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int err = fd < 0 ? -errno : 0;

	*bytes = NULL;
	*n_bytes = 0;
	if (!err) {
		err = load(fd, bytes, n_bytes);
		close(fd);
	}
	return err;
}

int pstats_read(struct pstats_file *f, struct profile *p, const void *bytes, size_t n_bytes)
{
	struct pstats_reading r = { .f = f, .p = p, .is_first = !p->n_fns };
	int err;

	memset(f, 0, sizeof(*f));
	err = marshal_read(&r.m, bytes, n_bytes);
	if (err)
		f->error = r.m.error;
	else
		err = read_functions(&r);
	marshal_fini(&r.m);
	free(r.known);
	free(r.caller);
	free(r.listed);
	return err;
}
