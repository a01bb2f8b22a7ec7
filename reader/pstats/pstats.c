/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of marshal that all versions read: no references, no interned or short strings.
 *
 *	{ key value ... 0	dict	( n items	tuple	g double	float
 *	i n			int32	l n digits	int of n 15-bit digits, n < 0: negative
 *	u n bytes		str, in UTF-8 with surrogates passed
 *
 * Numbers are little-endian.
 */
#include "pstats.h"

#include <errno.h>
#include <limits.h>

struct writer {
	FILE *to;
	int error; /* 0, or the first -errno; nothing is written after it */
};

static void put_bytes(struct writer *w, const void *bytes, size_t n)
{
	if (w->error || !n)
		return;
	errno = 0;
	if (fwrite_unlocked(bytes, 1, n, w->to) != n)
		w->error = errno ? -errno : -EIO;
}

static void put_type(struct writer *w, char type)
{
	put_bytes(w, &type, 1);
}

static void put_little_endian(struct writer *w, uint64_t value, size_t n)
{
	unsigned char bytes[sizeof(value)];

	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)(value >> 8 * i);
	put_bytes(w, bytes, n);
}

static void put_digits(struct writer *w, uint64_t magnitude, bool negative)
{
	uint32_t n = 0;

	for (uint64_t rest = magnitude; rest; rest >>= 15)
		n++;
	put_type(w, 'l');
	put_little_endian(w, negative ? 0u - n : n, 4);
	for (; magnitude; magnitude >>= 15)
		put_little_endian(w, magnitude & 0x7fff, 2);
}

static void put_count(struct writer *w, uint64_t value)
{
	if (value > INT32_MAX) {
		put_digits(w, value, false);
		return;
	}
	put_type(w, 'i');
	put_little_endian(w, value, 4);
}

static void put_line(struct writer *w, int64_t value)
{
	if (value < INT32_MIN) {
		put_digits(w, -(uint64_t)value, true);
	} else if (value < 0) {
		put_type(w, 'i');
		put_little_endian(w, (uint64_t)value, 4);
	} else {
		put_count(w, (uint64_t)value);
	}
}

static void put_float(struct writer *w, double value)
{
	uint64_t bits;

	_Static_assert(sizeof(bits) == sizeof(value), "an IEEE 754 double");
	memcpy(&bits, &value, sizeof(bits));
	put_type(w, 'g');
	put_little_endian(w, bits, sizeof(bits));
}

static void put_string(struct writer *w, struct text t)
{
	if (t.n > INT32_MAX && !w->error)
		w->error = -EOVERFLOW;
	put_type(w, 'u');
	put_little_endian(w, t.n, 4);
	put_bytes(w, t.bytes, t.n);
}

static void put_tuple(struct writer *w, uint32_t n_items)
{
	put_type(w, '(');
	put_little_endian(w, n_items, 4);
}

static void put_key(struct writer *w, const struct profile_fn *fn)
{
	put_tuple(w, 3);
	put_string(w, fn->file);
	put_line(w, fn->line);
	put_string(w, fn->name);
}

/* In an edge all calls come first, in a function the primitive ones, as in cProfile's files. */
static void put_edge(struct writer *w, const struct profile *p, const struct profile_edge *edge)
{
	put_key(w, &p->fn[edge->caller]);
	if (edge->only_calls) {
		put_count(w, edge->counts.n_calls);
		return;
	}
	put_tuple(w, 4);
	put_count(w, edge->counts.n_calls);
	put_count(w, edge->counts.n_primitive);
	put_float(w, edge->counts.self_s);
	put_float(w, edge->counts.total_s);
}

static void put_function(struct writer *w, const struct profile *p, const struct profile_fn *fn)
{
	put_key(w, fn);
	put_tuple(w, 5);
	put_count(w, fn->counts.n_primitive);
	put_count(w, fn->counts.n_calls);
	put_float(w, fn->counts.self_s);
	put_float(w, fn->counts.total_s);
	put_type(w, '{');
	for (size_t i = 0; i < fn->n_callers; i++)
		put_edge(w, p, &fn->caller[i]);
	put_type(w, '0');
}

int pstats_write(FILE *to, const struct profile *p)
{
	struct writer w = { to, 0 };

	put_type(&w, '{');
	for (size_t i = 0; i < p->n_listed && !w.error; i++)
		put_function(&w, p, &p->fn[p->listed[i]]);
	put_type(&w, '0');
	errno = 0;
	if (!w.error && fflush(to))
		w.error = errno ? -errno : -EIO;
	return w.error;
}
