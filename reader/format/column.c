/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "column.h"

static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void column_begin(struct column *c, struct put *j, const char *key)
{
	put_key(j, key);
	put_separator(j);
	put_raw(j, "\"");
	*c = (struct column){ .to = j->to };
}

/* Prints three bytes as four digits. */
static void put_triple(struct column *c)
{
	for (int shift = 18; shift >= 0; shift -= 6)
		putc_unlocked(digit[c->bits >> shift & 63], c->to);
	c->bits = 0;
	c->n_bytes = 0;
}

static void add_byte(struct column *c, unsigned byte)
{
	c->bits = c->bits << 8 | byte;
	if (++c->n_bytes == 3)
		put_triple(c);
}

void column_add(struct column *c, uint64_t value)
{
	for (; value > 127; value >>= 7)
		add_byte(c, (value & 127) | 128);
	add_byte(c, (unsigned)value);
}

void column_end(struct column *c)
{
	int n_bytes = c->n_bytes;

	if (n_bytes) {
		c->bits <<= 8 * (3 - n_bytes);
		for (int i = 0; i <= n_bytes; i++)
			putc_unlocked(digit[c->bits >> (18 - 6 * i) & 63], c->to);
		fputs_unlocked(n_bytes == 1 ? "==" : "=", c->to);
	}
	putc_unlocked('"', c->to);
}
