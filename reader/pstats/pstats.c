/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * marshal, as little of it as every version reads: no references, no interned or short strings.
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

struct marshal {
	FILE *to;
	int error; /* 0 or -errno, the first; nothing is written after it */
};

static void put_bytes(struct marshal *m, const void *bytes, size_t n)
{
	if (m->error || !n)
		return;
	errno = 0;
	if (fwrite_unlocked(bytes, 1, n, m->to) != n)
		m->error = errno ? -errno : -EIO;
}

static void put_type(struct marshal *m, char type)
{
	put_bytes(m, &type, 1);
}

static void put_little_endian(struct marshal *m, uint64_t value, size_t n)
{
	unsigned char bytes[sizeof(value)];

	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)(value >> 8 * i);
	put_bytes(m, bytes, n);
}

static void put_digits(struct marshal *m, uint64_t magnitude, bool negative)
{
	uint32_t n = 0;

	for (uint64_t rest = magnitude; rest; rest >>= 15)
		n++;
	put_type(m, 'l');
	put_little_endian(m, negative ? 0u - n : n, 4);
	for (; magnitude; magnitude >>= 15)
		put_little_endian(m, magnitude & 0x7fff, 2);
}

static void put_count(struct marshal *m, uint64_t value)
{
	if (value > INT32_MAX) {
		put_digits(m, value, false);
		return;
	}
	put_type(m, 'i');
	put_little_endian(m, value, 4);
}

static void put_line(struct marshal *m, int64_t value)
{
	if (value < INT32_MIN) {
		put_digits(m, -(uint64_t)value, true);
	} else if (value < 0) {
		put_type(m, 'i');
		put_little_endian(m, (uint64_t)value, 4);
	} else {
		put_count(m, (uint64_t)value);
	}
}

static void put_float(struct marshal *m, double value)
{
	uint64_t bits;

	_Static_assert(sizeof(bits) == sizeof(value), "an IEEE 754 double");
	memcpy(&bits, &value, sizeof(bits));
	put_type(m, 'g');
	put_little_endian(m, bits, sizeof(bits));
}

static void put_string(struct marshal *m, struct text t)
{
	if (t.n > INT32_MAX && !m->error)
		m->error = -EOVERFLOW;
	put_type(m, 'u');
	put_little_endian(m, t.n, 4);
	put_bytes(m, t.bytes, t.n);
}

static void put_tuple(struct marshal *m, uint32_t n_items)
{
	put_type(m, '(');
	put_little_endian(m, n_items, 4);
}

static void put_key(struct marshal *m, const struct profile_fn *fn)
{
	put_tuple(m, 3);
	put_string(m, fn->file);
	put_line(m, fn->line);
	put_string(m, fn->name);
}

/* The calls come first here, the primitive ones first in put_function: so it is in cProfile. */
static void put_edge(struct marshal *m, const struct profile *p, const struct profile_edge *edge)
{
	put_key(m, &p->fn[edge->caller]);
	if (edge->only_calls) {
		put_count(m, edge->counts.n_calls);
		return;
	}
	put_tuple(m, 4);
	put_count(m, edge->counts.n_calls);
	put_count(m, edge->counts.n_primitive);
	put_float(m, edge->counts.self_s);
	put_float(m, edge->counts.total_s);
}

static void put_function(struct marshal *m, const struct profile *p, const struct profile_fn *fn)
{
	put_key(m, fn);
	put_tuple(m, 5);
	put_count(m, fn->counts.n_primitive);
	put_count(m, fn->counts.n_calls);
	put_float(m, fn->counts.self_s);
	put_float(m, fn->counts.total_s);
	put_type(m, '{');
	for (size_t i = 0; i < fn->n_callers; i++)
		put_edge(m, p, &fn->caller[i]);
	put_type(m, '0');
}

int pstats_write(FILE *to, const struct profile *p)
{
	struct marshal m = { to, 0 };

	put_type(&m, '{');
	for (size_t i = 0; i < p->n_listed && !m.error; i++)
		put_function(&m, p, &p->fn[p->listed[i]]);
	put_type(&m, '0');
	errno = 0;
	if (!m.error && fflush(to))
		m.error = errno ? -errno : -EIO;
	return m.error;
}
