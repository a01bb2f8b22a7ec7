/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parser follows Lib/re/_parser.py step by step, because errors depend on its steps: on its
 * tokens (a backslash and the next character are one), on the item that a repeat applies to, and on
 * the widths that decide if a look-behind is valid.
 *
 * Each item is written so that it stands alone, with its own flags. So a repeat can follow any of
 * them directly.
 */
#include "pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_NESTING 100
#define MAX_REPEAT 65535	      /* the limit of PCRE2 */
#define PYTHON_MAX_REPEAT 4294967295u /* no upper bound */
#define MAX_WIDTH (1ull << 62)
#define MAX_LOOK_BEHIND 65535
#define END UINT32_MAX /* no character: the end of the pattern */

enum { FLAG_I = 1, FLAG_M = 2, FLAG_S = 4, FLAG_X = 8, FLAG_A = 16, FLAG_U = 32 };

/* The characters of str.isspace, str.isalnum and str.isdecimal, inside [], and the others. */
#define SPACE                                                                                     \
	"\\x09-\\x0d\\x1c-\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}" \
	"\\x{205f}\\x{3000}"
#define NO_SPACE                                                                         \
	"\\x00-\\x08\\x0e-\\x1b\\x21-\\x84\\x86-\\x9f\\xa1-\\x{167f}\\x{1681}-\\x{1fff}" \
	"\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"   \
	"\\x{3001}-\\x{10ffff}"
#define WORD "\\p{L}\\p{N}_"
#define NO_WORD                                                                                \
	"\\p{M}\\p{S}\\p{Z}\\p{C}\\p{Pd}\\p{Ps}\\p{Pe}\\p{Pi}\\p{Pf}\\p{Po}\\x{203f}\\x{2040}" \
	"\\x{2054}\\x{fe33}\\x{fe34}\\x{fe4d}-\\x{fe4f}\\x{ff3f}"
#define DIGIT "\\p{Nd}"
#define NO_DIGIT "\\P{Nd}"

static const struct {
	char letter;
	const char *unicode, *ascii;
} categories[] = {
	{ 'd', DIGIT, "0-9" },
	{ 'D', NO_DIGIT, "\\x00-/:-\\x{10ffff}" },
	{ 's', SPACE, "\\x09-\\x0d\\x20" },
	{ 'S', NO_SPACE, "\\x00-\\x08\\x0e-\\x1f\\x21-\\x{10ffff}" },
	{ 'w', WORD, "0-9A-Z_a-z" },
	{ 'W', NO_WORD, "\\x00-/:-@\\x5b-\\x5e`\\x7b-\\x{10ffff}" },
};

struct width {
	uint64_t least, most;
};

struct group {
	const uint32_t *name; /* a part of the pattern, or NULL */
	size_t n_name;
	struct width width;
	bool open;
};

/* A character of the pattern, or a backslash and the character after it. */
struct token {
	uint32_t c;
	bool escaped;
};

struct parser {
	const uint32_t *pattern;
	size_t n, at; /* `at` is after `next` */
	struct token next;
	FILE *out;
	struct group *group; /* [0] is the whole pattern */
	size_t n_groups, cap_groups;
	size_t behind_from;    /* in a look-behind: the groups before it; else 0 */
	uint64_t highest_test; /* of the numbers in (?(n)...) */
	unsigned nesting;
	enum pattern_status status; /* the first failure; later ones are ignored */
};

static bool fail(struct parser *p, enum pattern_status status)
{
	if (p->status == PATTERN_OK)
		p->status = status;
	p->next = (struct token){ END, false };
	p->at = p->n;
	return false;
}

static bool invalid(struct parser *p)
{
	return fail(p, PATTERN_INVALID);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static void advance(struct parser *p)
{
	p->next = (struct token){ END, false };
	if (p->at == p->n)
		return;
	p->next.c = p->pattern[p->at++];
	if (p->next.c != '\\')
		return;
	if (p->at == p->n) {
		invalid(p); /* re rejects it even in a comment, as it reads one token ahead */
		return;
	}
	p->next = (struct token){ p->pattern[p->at++], true };
}

static struct token get(struct parser *p)
{
	struct token t = p->next;

	advance(p);
	return t;
}

static bool is(struct token t, uint32_t c)
{
	return t.c == c && !t.escaped;
}

static bool match(struct parser *p, uint32_t c)
{
	if (!is(p->next, c))
		return false;
	advance(p);
	return true;
}

static bool at_end(const struct parser *p)
{
	return p->next.c == END && !p->next.escaped;
}

static int digit(uint32_t c)
{
	if (c >= '0' && c <= '9')
		return (int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (int)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (int)(c - 'A') + 10;
	return 99;
}

static bool next_is_digit(const struct parser *p, int base)
{
	return !p->next.escaped && digit(p->next.c) < base;
}

static bool is_letter(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* --- output ----------------------------------------------------------------------------------- */

static uint32_t hidden(uint32_t c)
{
	return c >= 0xd800 && c <= 0xdfff ? c - 0xd800 + 0x10f800 : c;
}

static void put(struct parser *p, const char *text)
{
	fputs(text, p->out);
}

static void put_char(struct parser *p, uint32_t c)
{
	fprintf(p->out, "\\x{%x}", hidden(c));
}

/* Without regard to case, re takes all four as equal, PCRE2 only the ASCII letters. */
static bool is_some_i(uint32_t c)
{
	return c == 'i' || c == 'I' || c == 0x130 || c == 0x131;
}

static void put_literal(struct parser *p, uint32_t c, unsigned flags)
{
	bool caseless = flags & FLAG_I && (is_letter(c) || c > 0x7f);

	if (caseless && !(flags & FLAG_A) && is_some_i(c)) {
		put(p, "[iI\\x{130}\\x{131}]");
	} else if (caseless && flags & FLAG_A) {
		put(p, "[");
		put_char(p, c);
		if (is_letter(c))
			put_char(p, c ^ 0x20);
		put(p, "]");
	} else {
		put(p, caseless ? "(?i:" : "");
		put_char(p, c);
		put(p, caseless ? ")" : "");
	}
}

static const char *category(uint32_t letter, unsigned flags)
{
	for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++)
		if ((uint32_t)categories[i].letter == letter)
			return flags & FLAG_A ? categories[i].ascii : categories[i].unicode;
	return NULL;
}

static void put_boundary(struct parser *p, bool boundary, unsigned flags)
{
	const char *word = category('w', flags);
	const char *form = boundary ? "(?:(?<=[%s])(?![%s])|(?<![%s])(?=[%s]))"
				    : "(?:(?<=[%s])(?=[%s])|(?<![%s])(?![%s]))";

	fprintf(p->out, form, word, word, word, word);
}

/* --- escapes ---------------------------------------------------------------------------------- */

/* Exactly `n` hexadecimal digits. */
static bool get_hex(struct parser *p, int n, uint32_t *c)
{
	uint64_t value = 0;

	for (int i = 0; i < n; i++) {
		if (!next_is_digit(p, 16))
			return invalid(p);
		value = value << 4 | (unsigned)digit(get(p).c);
	}
	*c = (uint32_t)value;
	return value > 0x10ffff ? invalid(p) : true;
}

/* Up to two more octal digits after the first. */
static bool get_octal(struct parser *p, uint32_t first, uint32_t *c)
{
	*c = (uint32_t)digit(first);
	for (int i = 0; i < 2 && next_is_digit(p, 8); i++)
		*c = *c << 3 | (uint32_t)digit(get(p).c);
	return *c > 0377 ? invalid(p) : true;
}

/* Escapes that mean the same character inside and outside of a class. */
static bool get_escaped_char(struct parser *p, uint32_t letter, uint32_t *c)
{
	static const char name[] = "afnrtv", value[] = "\a\f\n\r\t\v";
	const char *at = letter && letter < 0x80 ? strchr(name, (int)letter) : NULL;

	*c = letter;
	if (at) {
		*c = (unsigned char)value[at - name];
		return true;
	}
	switch (letter) {
	case 'x':
		return get_hex(p, 2, c);
	case 'u':
		return get_hex(p, 4, c);
	case 'U':
		return get_hex(p, 8, c);
	case 'N':
		return fail(p, is(p->next, '{') ? PATTERN_UNSUPPORTED : PATTERN_INVALID);
	default:
		return is_letter(letter) || digit(letter) < 10 ? invalid(p) : true;
	}
}

static bool may_refer(struct parser *p, size_t group)
{
	if (group >= p->n_groups || p->group[group].open)
		return invalid(p);
	return p->behind_from && group >= p->behind_from ? invalid(p) : true;
}

static bool put_reference(struct parser *p, size_t group, unsigned flags, struct width *w)
{
	if (!may_refer(p, group))
		return false;
	fprintf(p->out, flags & FLAG_I ? "(?i:\\g{%zu})" : "\\g{%zu}", group);
	*w = p->group[group].width;
	return true;
}

/* After a backslash and a digit from 1 to 9: a group, or three octal digits. */
static bool put_number(struct parser *p, uint32_t first, unsigned flags, struct width *w)
{
	uint32_t c = (uint32_t)digit(first);
	uint32_t second;

	if (next_is_digit(p, 10)) {
		second = get(p).c;
		if (c < 8 && digit(second) < 8 && next_is_digit(p, 8)) {
			c = c << 6 | (uint32_t)digit(second) << 3 | (uint32_t)digit(get(p).c);
			if (c > 0377)
				return invalid(p);
			put_literal(p, c, flags);
			return true;
		}
		c = c * 10 + (uint32_t)digit(second);
	}
	return put_reference(p, c, flags, w);
}

enum item { ITEM_NONE, ITEM_AT, ITEM_REPEAT, ITEM_OTHER };

static bool put_escape(struct parser *p, uint32_t letter, unsigned flags, struct width *w,
		       enum item *item)
{
	const char *class = category(letter, flags);
	uint32_t c;

	*item = ITEM_OTHER;
	*w = (struct width){ 1, 1 };
	if (class) {
		fprintf(p->out, "[%s]", class);
		return true;
	}
	if (letter && letter < 0x80 && strchr("AbBzZ", (int)letter)) {
		*item = ITEM_AT;
		*w = (struct width){ 0, 0 };
		if (letter == 'A')
			put(p, "\\A");
		else if (letter == 'z' || letter == 'Z')
			put(p, "\\z");
		else
			put_boundary(p, letter == 'b', flags);
		return true;
	}
	if (letter >= '1' && letter <= '9')
		return put_number(p, letter, flags, w);
	if (letter == '0' ? !get_octal(p, letter, &c) : !get_escaped_char(p, letter, &c))
		return false;
	put_literal(p, c, flags);
	return true;
}

/* --- classes ---------------------------------------------------------------------------------- */

static void put_range(struct parser *p, uint32_t from, uint32_t to)
{
	put_char(p, from);
	put(p, "-");
	put_char(p, to);
}

/* Surrogates are replaced in the searched text, so they are written as a range apart. */
static void put_characters(struct parser *p, uint32_t from, uint32_t to, unsigned flags)
{
	if (from < 0xd800)
		put_range(p, from, to < 0xd800 ? to : 0xd7ff);
	if (from <= 0xdfff && to >= 0xd800)
		put_range(p, from > 0xd800 ? from : 0xd800, to < 0xdfff ? to : 0xdfff);
	if (to > 0xdfff)
		put_range(p, from > 0xe000 ? from : 0xe000, to);
	if (!(flags & FLAG_I))
		return;
	for (uint32_t c = 'A'; c <= 'z' && flags & FLAG_A; c++)
		if (is_letter(c) && c >= from && c <= to)
			put_char(p, c ^ 0x20);
	for (uint32_t c = 'I'; c <= 0x131 && !(flags & FLAG_A); c++)
		if (is_some_i(c) && c >= from && c <= to)
			put(p, "iI\\x{130}\\x{131}");
}

/* One end of a range, or a category. A category sets `class` and cannot be an end. */
static bool get_member(struct parser *p, struct token t, unsigned flags, uint32_t *c,
		       const char **class)
{
	*class = NULL;
	*c = t.c;
	if (!t.escaped)
		return true;
	*class = category(t.c, flags);
	if (*class)
		return true;
	if (t.c == 'b') {
		*c = '\b';
		return true;
	}
	return t.c >= '0' && t.c <= '7' ? get_octal(p, t.c, c) : get_escaped_char(p, t.c, c);
}

static void put_member(struct parser *p, uint32_t c, const char *class, unsigned flags)
{
	if (class)
		put(p, class);
	else
		put_characters(p, c, c, flags);
}

/* After a member and a dash. Returns true if the class ends there, so that the dash is literal. */
static bool range_end(struct parser *p, uint32_t from, const char *class, unsigned flags)
{
	struct token t = get(p);
	const char *to_class;
	uint32_t to;

	if (is(t, ']')) {
		put_member(p, from, class, flags);
		put_characters(p, '-', '-', flags);
		return true;
	}
	if ((t.c == END && !t.escaped) || !get_member(p, t, flags, &to, &to_class) || class ||
	    to_class || to < from)
		return !invalid(p);
	put_characters(p, from, to, flags);
	return false;
}

/* A class, after its opening bracket. */
static bool put_class(struct parser *p, unsigned flags)
{
	bool caseless = flags & FLAG_I && !(flags & FLAG_A);
	bool ended = false;

	put(p, caseless ? "(?i:[" : "[");
	if (match(p, '^'))
		put(p, "^");
	for (bool any = false; !ended; any = true) {
		struct token t = get(p);
		const char *class;
		uint32_t c;

		if (p->status || (t.c == END && !t.escaped))
			return invalid(p);
		if (any && is(t, ']'))
			break;
		if (!get_member(p, t, flags, &c, &class))
			return false;
		if (match(p, '-'))
			ended = range_end(p, c, class, flags);
		else
			put_member(p, c, class, flags);
	}
	put(p, caseless ? "])" : "]");
	return p->status == PATTERN_OK;
}

/* --- repeats ---------------------------------------------------------------------------------- */

static uint64_t times(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) || product > MAX_WIDTH ? MAX_WIDTH : product;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
	return a + b > MAX_WIDTH ? MAX_WIDTH : a + b;
}

static bool get_number(struct parser *p, uint64_t *value)
{
	if (!next_is_digit(p, 10))
		return false;
	for (*value = 0; next_is_digit(p, 10);) {
		*value = *value * 10 + (unsigned)digit(get(p).c);
		if (*value > PYTHON_MAX_REPEAT)
			*value = PYTHON_MAX_REPEAT;
	}
	return true;
}

/* After a brace. Returns false, and takes nothing, if the brace is a literal character. */
static bool get_bounds(struct parser *p, uint64_t *least, uint64_t *most)
{
	size_t at = p->at;
	struct token next = p->next;
	bool has_least, has_most;

	*least = 0;
	*most = PYTHON_MAX_REPEAT;
	if (is(p->next, '}'))
		return false;
	has_least = get_number(p, least);
	has_most = has_least;
	if (match(p, ','))
		has_most = get_number(p, most);
	else if (has_least)
		*most = *least;
	if (!match(p, '}')) {
		p->at = at;
		p->next = next;
		return false;
	}
	if (has_most && *most < *least)
		invalid(p);
	if ((has_least && *least > MAX_REPEAT) || (has_most && *most > MAX_REPEAT))
		fail(p, PATTERN_UNSUPPORTED);
	return true;
}

/* Repeats the item that was written last; `w` is its width. */
static bool put_repeat(struct parser *p, uint64_t least, uint64_t most, enum item *last,
		       struct width *w)
{
	if (p->status || *last != ITEM_OTHER)
		return invalid(p);
	*last = ITEM_REPEAT;
	w->least = times(w->least, least);
	w->most = most == PYTHON_MAX_REPEAT && w->most ? MAX_WIDTH : times(w->most, most);
	if (most == PYTHON_MAX_REPEAT)
		fprintf(p->out, "{%u,}", (unsigned)least);
	else
		fprintf(p->out, "{%u,%u}", (unsigned)least, (unsigned)most);
	if (match(p, '?'))
		put(p, "?");
	else if (match(p, '+'))
		put(p, "+");
	return true;
}

/* --- groups ----------------------------------------------------------------------------------- */

static bool parse_branches(struct parser *p, unsigned flags, bool top, struct width *w);
static bool parse_items(struct parser *p, unsigned *flags, bool first, struct width *w);

/* A name up to `end`. An empty one is invalid. */
static bool get_name(struct parser *p, uint32_t end, const uint32_t **name, size_t *n)
{
	const uint32_t *from = p->pattern + p->at - 1; /* `next`, if it is not escaped */

	for (*n = 0; !is(p->next, end); ++*n) {
		if (at_end(p) || p->next.escaped)
			return invalid(p);
		advance(p);
	}
	advance(p);
	*name = from;
	return *n ? true : invalid(p);
}

static bool is_identifier(const uint32_t *name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_letter(name[i]) && name[i] != '_' && name[i] < 0x80 &&
		    !(i && digit(name[i]) < 10))
			return false;
	return true;
}

static size_t find_group(const struct parser *p, const uint32_t *name, size_t n)
{
	for (size_t i = 1; i < p->n_groups; i++)
		if (p->group[i].n_name == n && n &&
		    !memcmp(p->group[i].name, name, n * sizeof(*name)))
			return i;
	return 0;
}

static bool open_group(struct parser *p, const uint32_t *name, size_t n_name)
{
	struct group *more;

	if (name && (!is_identifier(name, n_name) || find_group(p, name, n_name)))
		return invalid(p);
	if (p->n_groups == p->cap_groups) {
		size_t cap = p->cap_groups ? 2 * p->cap_groups : 16;

		more = reallocarray(p->group, cap, sizeof(*more));
		if (!more)
			return fail(p, PATTERN_NO_MEMORY);
		p->group = more;
		p->cap_groups = cap;
	}
	p->group[p->n_groups++] = (struct group){ .name = name, .n_name = n_name, .open = true };
	return true;
}

/* The rest of a group, up to its parenthesis. */
static bool parse_body(struct parser *p, const char *opening, unsigned flags, struct width *w)
{
	put(p, opening);
	if (!parse_branches(p, flags, false, w) || !match(p, ')'))
		return invalid(p);
	put(p, ")");
	return true;
}

static bool parse_capture(struct parser *p, const uint32_t *name, size_t n_name, unsigned flags,
			  struct width *w)
{
	size_t group = p->n_groups;

	if (!open_group(p, name, n_name) || !parse_body(p, "(", flags, w))
		return false;
	p->group[group].width = *w;
	p->group[group].open = false;
	return true;
}

/* Inside a group, because PCRE2 limits how often it repeats an assertion itself. */
static bool parse_look(struct parser *p, bool behind, bool negative, unsigned flags,
		       struct width *w)
{
	size_t behind_from = p->behind_from;
	struct width body;

	if (behind && !behind_from)
		p->behind_from = p->n_groups;
	put(p, "(?:");
	put(p, behind ? (negative ? "(?<!" : "(?<=") : negative ? "(?!" : "(?=");
	if (!parse_body(p, "", flags, &body))
		return false;
	put(p, ")");
	p->behind_from = behind_from;
	*w = (struct width){ 0, 0 };
	if (behind && (body.least != body.most || body.least > MAX_LOOK_BEHIND))
		return invalid(p);
	return true;
}

/* (?(1)yes|no), after the second parenthesis. */
static bool parse_condition(struct parser *p, unsigned flags, struct width *w)
{
	struct width no = { 0, 0 };
	const uint32_t *name;
	uint64_t group = 0;
	size_t n, digits = 0;

	if (!get_name(p, ')', &name, &n))
		return false;
	for (; digits < n && digit(name[digits]) < 10 && group < UINT32_MAX; digits++)
		group = group * 10 + (unsigned)digit(name[digits]);
	if (digits < n)
		group = is_identifier(name, n) ? find_group(p, name, n) : 0;
	if (!group || group > MAX_REPEAT)
		return invalid(p);
	if (p->behind_from && !may_refer(p, group))
		return false;
	if (group > p->highest_test)
		p->highest_test = group;
	fprintf(p->out, "(?(%u)", (unsigned)group);
	if (!parse_items(p, &flags, false, w))
		return false;
	if (match(p, '|')) {
		put(p, "|");
		if (!parse_items(p, &flags, false, &no))
			return false;
	}
	if (!match(p, ')'))
		return invalid(p);
	put(p, ")");
	w->least = no.least < w->least ? no.least : w->least;
	w->most = no.most > w->most ? no.most : w->most;
	return true;
}

/* After (?P. */
static bool parse_named(struct parser *p, unsigned flags, struct width *w)
{
	const uint32_t *name;
	size_t n;

	if (match(p, '<'))
		return get_name(p, '>', &name, &n) && parse_capture(p, name, n, flags, w);
	if (!match(p, '=') || !get_name(p, ')', &name, &n))
		return invalid(p);
	return put_reference(p, find_group(p, name, n), flags, w);
}

static unsigned flag_of(struct token t)
{
	static const char letters[] = "imsxau";
	const char *at = !t.escaped && t.c && t.c < 0x80 ? strchr(letters, (int)t.c) : NULL;

	return at ? 1u << (at - letters) : 0;
}

/* At least one flag, and the character after them, which is taken too. Returns 0 on an error. */
static unsigned get_flags(struct parser *p, struct token t, struct token *end)
{
	unsigned flags = 0;

	for (; flag_of(t); t = get(p))
		flags |= flag_of(t);
	*end = t;
	if ((flags & FLAG_A && flags & FLAG_U))
		invalid(p);
	return p->status ? 0 : flags;
}

/* (?flags), which is valid at the start only and applies to all that follows, or (?on-off:...). */
static bool parse_flags(struct parser *p, struct token t, unsigned *flags, bool start, bool *global,
			struct width *w)
{
	unsigned on = 0, off = 0;

	*global = false;
	if (!is(t, '-')) {
		on = get_flags(p, t, &t);
		if (!on)
			return invalid(p);
	}
	if (is(t, ')')) {
		*global = true;
		if (!start || ((*flags | on) & FLAG_A && (*flags | on) & FLAG_U))
			return invalid(p);
		*flags |= on;
		return true;
	}
	if (is(t, '-')) {
		off = get_flags(p, get(p), &t);
		if (!off || off & (FLAG_A | FLAG_U) || off & on)
			return invalid(p);
	}
	if (!is(t, ':'))
		return invalid(p);
	if (on & (FLAG_A | FLAG_U))
		off |= (FLAG_A | FLAG_U) & ~on;
	return parse_body(p, "(?:", (*flags & ~off) | on, w);
}

static bool skip_comment(struct parser *p)
{
	while (!match(p, ')')) {
		if (at_end(p))
			return invalid(p);
		advance(p);
	}
	return true;
}

/* After a parenthesis. `item` is ITEM_NONE for comments and global flags. */
static bool parse_group(struct parser *p, unsigned *flags, bool start, struct width *w,
			enum item *item)
{
	struct token t;
	bool global;

	*item = ITEM_OTHER;
	if (!match(p, '?'))
		return parse_capture(p, NULL, 0, *flags, w);
	t = get(p);
	if (t.escaped)
		return invalid(p);
	switch (t.c) {
	case 'P':
		return parse_named(p, *flags, w);
	case ':':
		return parse_body(p, "(?:", *flags, w);
	case '>':
		return parse_body(p, "(?>", *flags, w);
	case '#':
		*item = ITEM_NONE;
		return skip_comment(p);
	case '=':
	case '!':
		return parse_look(p, false, t.c == '!', *flags, w);
	case '<':
		t = get(p);
		if (!is(t, '=') && !is(t, '!'))
			return invalid(p);
		return parse_look(p, true, t.c == '!', *flags, w);
	case '(':
		return parse_condition(p, *flags, w);
	default:
		if (!parse_flags(p, t, flags, start, &global, w))
			return false;
		if (global)
			*item = ITEM_NONE;
		return true;
	}
}

/* --- the whole -------------------------------------------------------------------------------- */

/* True for blanks, and for comments to the end of the line, if the flag x is set. */
static bool is_skipped(struct parser *p, struct token t, unsigned flags)
{
	if (!(flags & FLAG_X) || t.escaped)
		return false;
	if (t.c == ' ' || (t.c >= '\t' && t.c <= '\r'))
		return true;
	if (t.c != '#')
		return false;
	while (!at_end(p) && !is(get(p), '\n'))
		;
	return true;
}

static bool is_bounded(struct parser *p, struct token t, uint64_t *least, uint64_t *most)
{
	*least = is(t, '+');
	*most = is(t, '?') ? 1 : PYTHON_MAX_REPEAT;
	if (is(t, '*') || is(t, '+') || is(t, '?'))
		return true;
	return is(t, '{') && get_bounds(p, least, most);
}

static void put_anchor(struct parser *p, uint32_t c, unsigned flags)
{
	if (c == '^')
		put(p, flags & FLAG_M ? "(?:\\A|(?<=\\x{a}))" : "\\A");
	else
		put(p, flags & FLAG_M ? "(?=\\x{a}|\\z)" : "(?=\\x{a}?\\z)");
}

/* Everything except a repeat. */
static bool parse_item(struct parser *p, struct token t, unsigned *flags, bool start,
		       struct width *w, enum item *item)
{
	*w = (struct width){ 1, 1 };
	*item = ITEM_OTHER;
	if (t.escaped)
		return put_escape(p, t.c, *flags, w, item);
	switch (t.c) {
	case '(':
		*w = (struct width){ 0, 0 };
		return parse_group(p, flags, start, w, item);
	case '[':
		return put_class(p, *flags);
	case '.':
		put(p, *flags & FLAG_S ? "(?s:.)" : "[^\\x{a}]");
		return true;
	case '^':
	case '$':
		*w = (struct width){ 0, 0 };
		*item = ITEM_AT;
		put_anchor(p, t.c, *flags);
		return true;
	default:
		put_literal(p, t.c, *flags);
		return true;
	}
}

/* Up to a bar, a parenthesis or the end. `first`: global flags may stand at the start. */
static bool parse_items(struct parser *p, unsigned *flags, bool first, struct width *w)
{
	struct width sum = { 0, 0 }, latest = { 0, 0 }, width;
	enum item last = ITEM_NONE, item;
	uint64_t least, most;

	if (++p->nesting > MAX_NESTING)
		return fail(p, PATTERN_UNSUPPORTED);
	while (!at_end(p) && !is(p->next, '|') && !is(p->next, ')')) {
		struct token t = get(p);

		if (is_skipped(p, t, *flags))
			continue;
		if (is_bounded(p, t, &least, &most)) {
			if (!put_repeat(p, least, most, &last, &latest))
				return false;
			continue;
		}
		if (!parse_item(p, t, flags, first && last == ITEM_NONE, &width, &item))
			return false;
		if (item == ITEM_NONE)
			continue;
		sum = (struct width){ plus(sum.least, latest.least), plus(sum.most, latest.most) };
		latest = width;
		last = item;
	}
	*w = (struct width){ plus(sum.least, latest.least), plus(sum.most, latest.most) };
	p->nesting--;
	return p->status == PATTERN_OK;
}

static bool parse_branches(struct parser *p, unsigned flags, bool top, struct width *w)
{
	struct width branch;

	if (!parse_items(p, &flags, top, w))
		return false;
	while (match(p, '|')) {
		put(p, "|");
		if (!parse_items(p, &flags, false, &branch))
			return false;
		w->least = branch.least < w->least ? branch.least : w->least;
		w->most = branch.most > w->most ? branch.most : w->most;
	}
	return true;
}

static void parse(struct parser *p)
{
	struct width w;

	advance(p);
	if (!open_group(p, NULL, 0))
		return;
	if (parse_branches(p, 0, true, &w) && !at_end(p))
		invalid(p);
	if (p->highest_test >= p->n_groups)
		invalid(p);
}

enum pattern_status pattern_translate(struct text pattern, char **result)
{
	struct parser p = { .n = 0 };
	uint32_t *decoded = pattern_decode(pattern, &p.n);
	size_t n;

	*result = NULL;
	p.pattern = decoded;
	p.out = decoded ? open_memstream(result, &n) : NULL;
	if (p.out)
		parse(&p);
	else
		p.status = PATTERN_NO_MEMORY;
	if (p.out && fclose(p.out) && !p.status)
		p.status = PATTERN_NO_MEMORY;
	free(decoded);
	free(p.group);
	if (p.status) {
		free(*result);
		*result = NULL;
	}
	return p.status;
}

/* --- code points ------------------------------------------------------------------------------ */

/* The length in bytes of the character at `s`, or 0 if it is not UTF-8, such as a surrogate. */
static size_t decode(const unsigned char *s, size_t n, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t want = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (!want || want > n || s[0] > 0xf4)
		return 0;
	*c = want == 1 ? s[0] : s[0] & (0x7fu >> want);
	for (size_t i = 1; i < want; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3f);
	}
	return *c < least[want] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff) ? 0 : want;
}

uint32_t *pattern_decode(struct text t, size_t *n)
{
	uint32_t *c = reallocarray(NULL, t.n + 1, sizeof(*c));

	*n = 0;
	for (size_t at = 0, bytes; c && at < t.n; at += bytes ? bytes : 1) {
		bytes = decode((const unsigned char *)t.bytes + at, t.n - at, &c[*n]);
		if (!bytes)
			c[*n] = 0xdc00 | (unsigned char)t.bytes[at];
		++*n;
	}
	return c;
}

int pattern_hide_surrogates(struct text *t, char **owned)
{
	const unsigned char *s = (const unsigned char *)t->bytes;
	unsigned char *to;
	size_t n = 0;

	*owned = NULL;
	if (!t->n || !memchr(s, 0xed, t->n))
		return 0;
	to = reallocarray(NULL, t->n, 2);
	if (!to)
		return -ENOMEM;
	*owned = (char *)to;
	for (size_t at = 0; at < t->n; at++) {
		if (s[at] != 0xed || at + 2 >= t->n || s[at + 1] < 0xa0) {
			to[n++] = s[at];
			continue;
		}
		to[n++] = 0xf4; /* U+10F800 + the surrogate's last 11 bits */
		to[n++] = 0x8f;
		to[n++] = (unsigned char)(0xa0 | (s[at + 1] & 0x1f));
		to[n++] = s[at + 2];
		at += 2;
	}
	*t = (struct text){ *owned, n };
	return 0;
}
