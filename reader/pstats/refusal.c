/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "refusal.h"

#include <stdio.h>
#include <string.h>

#include "marshal.h"

/* Python's type for each type code of marshal. */
static const struct {
	char code;
	const char *name;
} type_table[] = {
	{ 'T', "bool" },    { '.', "ellipsis" },  { 'S', "type" },  { 'i', "int" },
	{ 'I', "int" },	    { 'l', "int" },	  { 'g', "float" }, { 'f', "float" },
	{ 'x', "complex" }, { 'y', "complex" },	  { 's', "bytes" }, { 'u', "str" },
	{ 'a', "str" },	    { 'A', "str" },	  { 'z', "str" },   { 'Z', "str" },
	{ 't', "str" },	    { '(', "tuple" },	  { ')', "tuple" }, { '[', "list" },
	{ '<', "set" },	    { '>', "frozenset" }, { 'c', "code" },
};

static const char *type_name(char code)
{
	for (size_t i = 0; i < sizeof(type_table) / sizeof(type_table[0]); i++)
		if (type_table[i].code == code)
			return type_table[i].name;
	return NULL;
}

static bool is_false(const struct marshal_node *value, char code)
{
	switch (value->kind) {
	case MARSHAL_INTEGER:
		return !value->integer;
	case MARSHAL_REAL:
		return value->real == 0;
	case MARSHAL_TEXT:
		return !value->text.n_bytes;
	case MARSHAL_TUPLE:
	case MARSHAL_DICT:
		return !value->n_items;
	default:
		return strchr("NF", code) || (strchr("[<>", code) && !value->n_items);
	}
}

static const struct marshal_node *next_of(const struct marshal *m, const struct marshal_node *node)
{
	return &m->node[node->next];
}

/* True if Python would accept this function and continue with the next one. */
static bool check_function(struct refusal *r, const struct marshal *m,
			   const struct marshal_node *value)
{
	const struct marshal_node *item;

	if (value->kind == MARSHAL_INTEGER || value->kind == MARSHAL_REAL)
		snprintf(r->words, sizeof(r->words),
			 "TypeError: cannot unpack non-iterable %s object",
			 value->kind == MARSHAL_REAL ? "float" : "int");
	if (value->kind != MARSHAL_TUPLE)
		return false;
	if (value->n_items != 5) {
		snprintf(r->words, sizeof(r->words),
			 value->n_items > 5
				 ? "ValueError: too many values to unpack (expected 5)"
				 : "ValueError: not enough values to unpack (expected 5, got %u)",
			 (unsigned)value->n_items);
		return false;
	}
	item = &m->node[value->first];
	for (int i = 0; i < 4; i++) {
		if (item->kind != MARSHAL_INTEGER && item->kind != MARSHAL_REAL)
			return false;
		item = next_of(m, item);
	}
	if (item->kind == MARSHAL_INTEGER || item->kind == MARSHAL_REAL)
		snprintf(r->words, sizeof(r->words),
			 "TypeError: argument of type '%s' is not iterable",
			 item->kind == MARSHAL_REAL ? "float" : "int");
	return item->kind == MARSHAL_DICT;
}

static void check_functions(struct refusal *r, const struct marshal *m)
{
	const struct marshal_node *key = &m->node[m->node[0].first];

	for (uint32_t i = 0; i < m->node[0].n_items; i += 2) {
		const struct marshal_node *value = next_of(m, key);

		if (!check_function(r, m, value))
			return;
		if (key->kind == MARSHAL_TEXT || (key->kind == MARSHAL_TUPLE && key->n_items < 3))
			snprintf(r->words, sizeof(r->words),
				 "TypeError: not enough arguments for format string");
		if (key->kind != MARSHAL_TUPLE || key->n_items != 3)
			return;
		key = next_of(m, value);
	}
}

void refusal_find(struct refusal *r, const void *bytes, size_t n_bytes)
{
	char code = n_bytes ? (char)(*(const char *)bytes & 0x7f) : 0;
	const char *name;
	struct marshal m;

	memset(r, 0, sizeof(*r));
	if (marshal_read(&m, bytes, n_bytes)) {
		if (m.python)
			snprintf(r->words, sizeof(r->words), "%s", m.python);
		r->kind = m.python ? REFUSAL_BYTES : REFUSAL_UNKNOWN;
	} else if (is_false(&m.node[0], code)) {
		r->kind = REFUSAL_EMPTY;
	} else {
		name = m.node[0].kind == MARSHAL_DICT ? NULL : type_name(code);
		if (name)
			snprintf(r->words, sizeof(r->words),
				 "AttributeError: '%s' object has no attribute 'items'", name);
		else if (m.node[0].kind == MARSHAL_DICT)
			check_functions(r, &m);
		r->kind = *r->words ? REFUSAL_VALUE : REFUSAL_UNKNOWN;
	}
	marshal_fini(&m);
}
