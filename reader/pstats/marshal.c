/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The type codes of marshal, and what follows each:
 *
 *	0		no value: ends a dict
 *	N F T . S	None, False, True, ..., StopIteration
 *	i n		int32			I n	int64, to Python 2
 *	l n digits	int of n 15-bit digits, n < 0: negative
 *	g double	float			f n bytes	float as decimal text, to version 1
 *	y 2 doubles	complex			x 2 of f's texts, to version 1
 *	s u a A n bytes	bytes, and str in UTF-8 (surrogates passed) or ASCII; A and t are interned
 *	t n bytes	Python 2: interned bytes; Python 3: as u
 *	z Z n bytes	as a and A, n in one byte
 *	R n		Python 2: the n-th t
 *	( n items	tuple; ) with n in one byte; [ list, < set, > frozenset
 *	{ key value ...	dict; } frozendict
 *	: 3 items	slice
 *	c ...		code, see read_code
 *	r n		the n-th value whose type had the bit 0x80, counted when values begin
 *
 * Numbers are little-endian, n is an int32 unless stated otherwise.
 */
#include "marshal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers of a caller are 5 levels deep. Code objects with inner functions are deeper. */
#define MAX_DEPTH 200
#define FLAG_REF 0x80
#define UNFINISHED UINT32_MAX

/* Sets Python's exception for the bytes that were refused. Returns `err`. */
static int set_python_words(struct marshal *m, int err, const char *words)
{
	m->python = words;
	return err;
}

static int no_memory(struct marshal *m)
{
	return error_set(&m->error, -ENOMEM, "%s", strerror(ENOMEM));
}

static int cut_off(struct marshal *m)
{
	error_set(&m->error, -EINVAL,
		  "found its end at byte %zu, in the middle of a value, expected the rest",
		  m->n_bytes);
	return set_python_words(m, -EINVAL, "EOFError: EOF read where not expected");
}

/* Reads an unsigned number of `n` bytes. *value is 0 if there are fewer bytes. */
static int get(struct marshal *m, size_t n, uint64_t *value)
{
	*value = 0;
	if (m->n_bytes - m->at < n)
		return cut_off(m);
	for (size_t i = 0; i < n; i++)
		*value |= (uint64_t)(unsigned char)m->bytes[m->at++] << 8 * i;
	return 0;
}

static const char *size_out_of_range(char type)
{
	switch (type) {
	case 's':
		return "ValueError: bad marshal data (bytes object size out of range)";
	case '(':
		return "ValueError: bad marshal data (tuple size out of range)";
	case '[':
		return "ValueError: bad marshal data (list size out of range)";
	case '<':
	case '>':
		return "ValueError: bad marshal data (set size out of range)";
	default:
		return "ValueError: bad marshal data (string size out of range)";
	}
}

/* Reads a number of bytes, or of items, each of which takes at least one byte. */
static int get_length(struct marshal *m, char type, uint32_t *length)
{
	size_t length_bytes = strchr(")zZf", type) ? 1 : 4;
	uint64_t n;
	int err = get(m, length_bytes, &n);

	if (err)
		return err;
	*length = (uint32_t)n;
	if (n <= m->n_bytes - m->at)
		return 0;
	error_set(&m->error, -EINVAL, "found a length of %lld at byte %zu, expected at most %zu",
		  (long long)(int32_t)n, m->at - length_bytes, m->n_bytes - m->at);
	return set_python_words(m, -EINVAL,
				n > INT32_MAX ? size_out_of_range(type)
					      : "EOFError: EOF read where not expected");
}

/* Makes room for one more element; indices have 32 bits. NULL without memory and no change. */
static void *grow(void *array, uint32_t n, uint32_t *cap, size_t element_bytes)
{
	uint32_t more = *cap ? *cap * 2 : 64;

	if (n < *cap)
		return array;
	array = more > *cap ? reallocarray(array, more, element_bytes) : NULL;
	if (array)
		*cap = more;
	return array;
}

static int remember(struct marshal *m, uint32_t **list, uint32_t *n, uint32_t *cap, uint32_t node)
{
	uint32_t *more = grow(*list, *n, cap, sizeof(*more));

	if (!more)
		return no_memory(m);
	*list = more;
	more[(*n)++] = node;
	return 0;
}

static int new_node(struct marshal *m, uint32_t *at)
{
	struct marshal_node *more = grow(m->node, m->n_nodes, &m->cap_nodes, sizeof(*more));

	if (!more)
		return no_memory(m);
	m->node = more;
	*at = m->n_nodes++;
	more[*at] = (struct marshal_node){ .kind = MARSHAL_OTHER };
	return 0;
}

static int read_integer(struct marshal *m, struct marshal_node *to, char type)
{
	uint64_t bits;
	int err = get(m, type == 'I' ? 8 : 4, &bits);

	to->kind = MARSHAL_INTEGER;
	to->integer = type == 'I' ? (int64_t)bits : (int32_t)bits;
	return err;
}

static int read_long(struct marshal *m, struct marshal_node *to)
{
	uint64_t bits, digit, magnitude = 0;
	uint64_t n_digits;
	bool too_large = false;
	int err = get(m, 4, &bits);

	if (err)
		return err;
	n_digits = (uint64_t)llabs((int32_t)bits);
	if (n_digits > (m->n_bytes - m->at) / 2)
		return cut_off(m);
	for (uint64_t i = 0; i < n_digits && !err; i++) {
		err = get(m, 2, &digit);
		if (digit > 0x7fff) {
			error_set(&m->error, -EINVAL,
				  "found a digit of 0x%04x at byte %zu, expected 15 bits",
				  (unsigned)digit, m->at - 2);
			return set_python_words(
				m, -EINVAL,
				"ValueError: bad marshal data (digit out of range in long)");
		}
		too_large |= digit && (i > 4 || digit > (uint64_t)INT64_MAX >> 15 * i);
		magnitude |= too_large ? 0 : digit << (i > 4 ? 0 : 15 * i);
	}
	to->kind = too_large ? MARSHAL_OTHER : MARSHAL_INTEGER;
	to->integer = (int32_t)bits < 0 ? -(int64_t)magnitude : (int64_t)magnitude;
	return err;
}

static int read_real(struct marshal *m, struct marshal_node *to)
{
	uint64_t bits;
	int err = get(m, 8, &bits);

	_Static_assert(sizeof(bits) == sizeof(to->real), "an IEEE 754 double");
	to->kind = MARSHAL_REAL;
	memcpy(&to->real, &bits, sizeof(bits));
	return err;
}

/* LC_NUMERIC must be C. Refuses all that strtod accepts except decimals, inf and nan. */
static int read_decimal(struct marshal *m, struct marshal_node *to)
{
	char text[256], *end;
	uint32_t n;
	int err = get_length(m, 'f', &n);

	if (err)
		return err;
	memcpy(text, m->bytes + m->at, n);
	text[n] = 0;
	to->kind = MARSHAL_REAL;
	to->real = strtod(text, &end);
	if (!n || end != text + n || strspn(text, "0123456789.+-eEinfa") != n)
		return error_set(&m->error, -EINVAL,
				 "found an invalid float at byte %zu, expected decimal digits",
				 m->at);
	m->at += n;
	return 0;
}

static bool is_ascii(struct text t)
{
	for (size_t i = 0; i < t.n; i++)
		if (t.bytes[i] & 0x80)
			return false;
	return true;
}

static int read_text(struct marshal *m, struct marshal_node *to, char type)
{
	struct text t = { m->bytes, 0 };
	uint32_t n;
	int err = get_length(m, type, &n);

	if (err)
		return err;
	t = (struct text){ m->bytes + m->at, n };
	if (type != 's' && type != 't' && !(type == 'u' ? text_is_utf8(t) : is_ascii(t)))
		return error_set(&m->error, -EINVAL,
				 "found a text that is not %s at byte %zu, expected one that is",
				 type == 'u' ? "UTF-8" : "ASCII", m->at);
	to->kind = MARSHAL_TEXT;
	to->text.at = (uint32_t)m->at;
	to->text.n_bytes = n;
	m->at += n;
	return 0;
}

static int refer(struct marshal *m, struct marshal_node *to, const uint32_t *list, uint32_t n_list)
{
	uint64_t n;
	int err = get(m, 4, &n);

	if (err)
		return err;
	if (n >= n_list) {
		error_set(&m->error, -EINVAL,
			  "found a reference to value %llu at byte %zu, expected one of %u",
			  (unsigned long long)n, m->at - 4, n_list);
		return set_python_words(m, -EINVAL,
					"ValueError: bad marshal data (invalid reference)");
	}
	if (list[n] == UNFINISHED)
		return error_set(
			&m->error, -EINVAL,
			"found a value that contains itself at byte %zu, expected one that "
			"does not",
			m->at - 4);
	*to = m->node[list[n]];
	to->next = 0;
	return 0;
}

static int read_value(struct marshal *m, uint32_t to, int depth);

static int new_value(struct marshal *m, uint32_t *at, int depth)
{
	int err = new_node(m, at);

	return err ? err : read_value(m, *at, depth + 1);
}

static bool at_dict_end(struct marshal *m)
{
	bool end = m->at < m->n_bytes && (m->bytes[m->at] & 0x7f) == '0';

	m->at += end;
	return end;
}

/* Reads `n` items, or for a dict all items up to its end. */
static int read_items(struct marshal *m, uint32_t to, bool dict, uint32_t n, int depth)
{
	uint32_t item = 0, last = 0, i = 0;

	for (; dict ? i % 2 || !at_dict_end(m) : i < n; i++) {
		int err = new_value(m, &item, depth);

		if (err)
			return err;
		if (i)
			m->node[last].next = item;
		else
			m->node[to].first = item;
		last = item;
	}
	m->node[to].n_items = i;
	return 0;
}

/*
 *			numbers	values
 *	2.7		4	code, constants, names, variables, free, cells, file, name
 *	3.0 to 3.7	5	the same
 *	3.8 to 3.10	6	the same
 *	3.11 on		5	code, constants, names, variables, kinds, file, name, long name
 *
 * then the first line, a table of lines, and from 3.11 on one of exceptions. The type of the code
 * is bytes, which shows how many numbers precede it. The kinds have the type bytes too, which
 * distinguishes the last row from the others.
 */
static int read_code(struct marshal *m, uint32_t to, int depth)
{
	uint32_t value[8], table, line, file = 6;
	size_t numbers = 16;
	uint64_t first_line;
	int err = 0;

	while (numbers < 24 && m->n_bytes - m->at > numbers &&
	       (m->bytes[m->at + numbers] & 0x7f) != 's')
		numbers += 4;
	if (m->n_bytes - m->at <= numbers)
		return cut_off(m);
	m->at += numbers;
	for (int i = 0; i < 8 && !err; i++)
		err = new_value(m, &value[i], depth);
	err = err ? err : get(m, 4, &first_line);
	err = err ? err : new_value(m, &table, depth);
	if (!err && numbers == 20 && m->node[value[4]].kind == MARSHAL_TEXT) {
		file = 5;
		err = new_value(m, &table, depth);
	}
	err = err ? err : new_node(m, &line);
	if (err)
		return err;
	m->node[line].kind = MARSHAL_INTEGER;
	m->node[line].integer = (int32_t)first_line;
	m->node[value[file]].next = value[file + 1];
	m->node[value[file + 1]].next = line;
	m->node[to].first = value[file];
	m->node[to].n_items = 3;
	return 0;
}

/*
 * Reads the number of items of a container. Python does not check whether there can be so many. It
 * reads items up to the first fault, which decides its exception. So this does the same on error.
 */
static int get_n_items(struct marshal *m, uint32_t to, char type, uint32_t *n, int depth)
{
	bool is_there = m->n_bytes - m->at >= (type == ')' ? 1 : 4);
	int err = get_length(m, type, n);
	struct error error;

	if (err != -EINVAL || !is_there || *n > INT32_MAX)
		return err;
	error = m->error;
	m->python = NULL;
	read_items(m, to, false, UINT32_MAX, depth);
	m->error = error;
	return err;
}

static int read_container(struct marshal *m, uint32_t to, char type, int depth)
{
	bool dict = type == '{' || type == '}';
	uint32_t n = 3;
	int err = 0;

	if (depth >= MAX_DEPTH)
		return error_set(&m->error, -EINVAL,
				 "found more nested values at byte %zu, expected at most %d",
				 m->at - 1, MAX_DEPTH);
	if (type == 'c') {
		err = read_code(m, to, depth);
	} else {
		if (!dict && type != ':')
			err = get_n_items(m, to, type, &n, depth);
		err = err ? err : read_items(m, to, dict, n, depth);
	}
	m->node[to].kind = type == '{'			? MARSHAL_DICT
			   : type == 'c'		? MARSHAL_CODE
			   : type == '(' || type == ')' ? MARSHAL_TUPLE
							: MARSHAL_OTHER;
	return err;
}

/* Reads the two numbers of a complex number, and does not keep them. */
static int read_complex(struct marshal *m, struct marshal_node *to, char type)
{
	int err = 0;

	for (int i = 0; i < 2 && !err; i++)
		err = type == 'y' ? read_real(m, to) : read_decimal(m, to);
	to->kind = MARSHAL_OTHER;
	return err;
}

/* Reads a value that is not a container. `to` stays valid, because no nodes are added. */
static int read_plain(struct marshal *m, struct marshal_node *to, char type)
{
	if (type && strchr("NFT.S", type))
		return 0;
	if (type && strchr("stuaAzZ", type))
		return read_text(m, to, type);
	switch (type) {
	case 'i':
	case 'I':
		return read_integer(m, to, type);
	case 'l':
		return read_long(m, to);
	case 'g':
		return read_real(m, to);
	case 'f':
		return read_decimal(m, to);
	case 'x':
	case 'y':
		return read_complex(m, to, type);
	case 'r':
		return refer(m, to, m->ref, m->n_refs);
	case 'R':
		return refer(m, to, m->interned, m->n_interned);
	default:
		error_set(&m->error, -EINVAL,
			  "found type 0x%02x at byte %zu, expected one of marshal's",
			  (unsigned char)type, m->at - 1);
		return set_python_words(
			m, -EINVAL,
			type == '0' ? NULL : "ValueError: bad marshal data (unknown type code)");
	}
}

/* Reads a value into node `to`, an index, because the nodes may move meanwhile. */
static int read_value(struct marshal *m, uint32_t to, int depth)
{
	uint32_t ref = UNFINISHED;
	uint64_t byte;
	char type;
	int err = get(m, 1, &byte);

	if (err)
		return set_python_words(m, err, "EOFError: EOF read where object expected");
	type = (char)(byte & ~(uint64_t)FLAG_REF);
	if (byte & FLAG_REF && !strchr("NFT.Sr", type)) {
		ref = m->n_refs;
		err = remember(m, &m->ref, &m->n_refs, &m->cap_refs, UNFINISHED);
	}
	if (!err && type == 't')
		err = remember(m, &m->interned, &m->n_interned, &m->cap_interned, to);
	if (!err && type && strchr("(){}[<>:c", type))
		err = read_container(m, to, type, depth);
	else if (!err)
		err = read_plain(m, &m->node[to], type);
	if (!err && ref != UNFINISHED)
		m->ref[ref] = to;
	return err;
}

int marshal_read(struct marshal *m, const void *bytes, size_t n_bytes)
{
	uint32_t root;
	int err;

	memset(m, 0, sizeof(*m));
	m->bytes = bytes;
	m->n_bytes = n_bytes;
	if (n_bytes >= UINT32_MAX / 2)
		return error_set(&m->error, -EINVAL, "found %zu bytes, expected at most 2 GiB",
				 n_bytes);
	err = new_node(m, &root);
	return err ? err : read_value(m, root, 0);
}

void marshal_fini(struct marshal *m)
{
	free(m->node);
	free(m->ref);
	free(m->interned);
	m->node = NULL;
	m->ref = m->interned = NULL;
}
