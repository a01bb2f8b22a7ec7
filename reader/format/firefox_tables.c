/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "firefox_tables.h"

#include <errno.h>
#include <stdlib.h>

#define NONE FIREFOX_NONE

void firefox_tables_fini(struct firefox_tables *f)
{
	frames_functions_fini(&f->functions);
	free(f->string);
	free(f->source);
	free(f->frame);
	free(f->frame_of);
	free(f->stack);
}

static bool has_file(const struct firefox_tables *f, uint32_t i)
{
	return frames_has_file(f->frames, f->functions.fn[i]);
}

static const struct profile_fn *function(const struct firefox_tables *f, uint32_t i)
{
	return &f->c->names.fn[f->functions.fn[i]];
}

/* --- columns ---------------------------------------------------------------------------------- */

typedef void put_value(struct firefox_tables *f, uint32_t row);

static void put_column(struct firefox_tables *f, const char *key, uint32_t n, put_value *put)
{
	put_key(f->j, key);
	put_begin(f->j, "[");
	for (uint32_t i = 0; i < n; i++)
		put(f, i);
	put_end(f->j, "]");
}

static void put_value_null(struct firefox_tables *f, uint32_t row)
{
	(void)row;
	put_null(f->j);
}

static void put_value_zero(struct firefox_tables *f, uint32_t row)
{
	(void)row;
	put_count(f->j, 0);
}

static void put_value_minus_one(struct firefox_tables *f, uint32_t row)
{
	(void)row;
	put_int(f->j, -1);
}

static void put_value_false(struct firefox_tables *f, uint32_t row)
{
	(void)row;
	put_bool(f->j, false);
}

static void put_index(struct firefox_tables *f, uint32_t index)
{
	if (index == NONE)
		put_null(f->j);
	else
		put_count(f->j, index);
}

/* --- strings and source files ----------------------------------------------------------------- */

struct string {
	struct text text;
	uint32_t at; /* in struct firefox.string */
};

static int cmp_string(const void *a, const void *b)
{
	return text_cmp(((const struct string *)a)->text, ((const struct string *)b)->text);
}

/* Puts each string once, and sets which functions use them. 0 or -ENOMEM. */
static int put_strings(struct firefox_tables *f)
{
	uint32_t n = 2 * f->functions.n;
	struct string *s = calloc(n + 1ull, sizeof(*s));

	f->string = calloc(n + 1ull, sizeof(*f->string));
	if (!s || !f->string) {
		free(s);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < f->functions.n; i++) {
		s[2 * i] = (struct string){ frames_name(f->frames, f->functions.fn[i]), 2 * i };
		s[2 * i + 1] = (struct string){ function(f, i)->file, 2 * i + 1 };
	}
	qsort(s, n, sizeof(*s), cmp_string);
	put_key(f->j, "stringArray");
	put_begin(f->j, "[");
	for (uint32_t i = 0; i < n; i++) {
		if (!i || cmp_string(&s[i - 1], &s[i])) {
			put_text(f->j, s[i].text);
			f->n_strings++;
		}
		f->string[s[i].at] = f->n_strings - 1;
	}
	put_end(f->j, "]");
	free(s);
	return 0;
}

static int number_sources(struct firefox_tables *f)
{
	f->source = calloc(f->n_strings + 1ull, sizeof(*f->source));
	if (!f->source)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->n_strings; i++)
		f->source[i] = NONE;
	for (uint32_t i = 0; i < f->functions.n; i++) {
		uint32_t *source = &f->source[f->string[2 * i + 1]];

		if (*source == NONE && has_file(f, i))
			*source = f->n_sources++;
	}
	return 0;
}

static void put_file_names(struct firefox_tables *f, const char *key)
{
	uint32_t next = 0;

	put_key(f->j, key);
	put_begin(f->j, "[");
	/* In the order of their numbers, which is that of the functions. */
	for (uint32_t i = 0; i < f->functions.n; i++) {
		uint32_t string = f->string[2 * i + 1];

		if (f->source[string] == next) {
			put_count(f->j, string);
			next++;
		}
	}
	put_end(f->j, "]");
}

/* A source and a resource for each file. */
static void put_sources(struct firefox_tables *f)
{
	put_key(f->j, "sources");
	put_begin_line(f->j, "{");
	put_key_count(f->j, "length", f->n_sources);
	put_column(f, "uuid", f->n_sources, put_value_null);
	put_file_names(f, "filename");
	put_end(f->j, "}");
	put_key(f->j, "resourceTable");
	put_begin_line(f->j, "{");
	put_key_count(f->j, "length", f->n_sources);
	put_column(f, "lib", f->n_sources, put_value_null);
	put_file_names(f, "name");
	put_column(f, "host", f->n_sources, put_value_null);
	put_column(f, "type", f->n_sources, put_value_zero);
	put_end(f->j, "}");
}

/* --- functions -------------------------------------------------------------------------------- */

static void put_value_name(struct firefox_tables *f, uint32_t i)
{
	put_count(f->j, f->string[2 * i]);
}

static uint32_t source_of(const struct firefox_tables *f, uint32_t i)
{
	return has_file(f, i) ? f->source[f->string[2 * i + 1]] : NONE;
}

static void put_value_source(struct firefox_tables *f, uint32_t i)
{
	put_index(f, source_of(f, i));
}

static void put_value_resource(struct firefox_tables *f, uint32_t i)
{
	uint32_t source = source_of(f, i);

	put_int(f->j, source == NONE ? -1 : (int64_t)source);
}

static void put_value_line(struct firefox_tables *f, uint32_t i)
{
	if (source_of(f, i) == NONE)
		put_null(f->j);
	else
		put_int(f->j, function(f, i)->line);
}

static void put_functions(struct firefox_tables *f)
{
	uint32_t n = f->functions.n;

	put_key(f->j, "funcTable");
	put_begin_line(f->j, "{");
	put_key_count(f->j, "length", n);
	put_column(f, "name", n, put_value_name);
	put_column(f, "isJS", n, put_value_false);
	put_column(f, "relevantForJS", n, put_value_false);
	put_column(f, "resource", n, put_value_resource);
	put_column(f, "source", n, put_value_source);
	put_column(f, "lineNumber", n, put_value_line);
	put_column(f, "columnNumber", n, put_value_null);
	put_end(f->j, "}");
}

/* --- frames: functions, apart if a call was running at the end -------------------------------- */

static uint32_t frame_key(const struct firefox_tables *f, uint32_t node)
{
	const struct context *x = &f->c->node[node];

	return 2 * f->functions.number[x->fn] +
	       (x->flags & CONTEXT_OPEN ? FIREFOX_RUNNING : FIREFOX_ENDED);
}

static int number_frames(struct firefox_tables *f)
{
	uint32_t n = 2 * f->functions.n;

	f->frame = calloc(n + 1ull, sizeof(*f->frame));
	f->frame_of = calloc(n + 1ull, sizeof(*f->frame_of));
	f->stack = calloc(f->c->n_nodes + 1ull, sizeof(*f->stack));
	if (!f->frame || !f->frame_of || !f->stack)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		f->frame_of[i] = NONE;
	for (uint32_t i = 0; i < f->c->n_nodes; i++) {
		bool is_level = frames_is_track_level(f->c, i);
		uint32_t key = is_level ? NONE : frame_key(f, i);

		f->stack[i] = is_level ? NONE : f->n_stacks++;
		if (is_level || f->frame_of[key] != NONE)
			continue;
		f->frame[f->n_frames] = key;
		f->frame_of[key] = f->n_frames++;
	}
	return 0;
}

static void put_value_category(struct firefox_tables *f, uint32_t i)
{
	uint32_t function_of = f->frame[i] / 2;
	bool is_c = profile_fn_is_c(function(f, function_of)) && !f->groups;

	put_count(f->j, has_file(f, function_of) ? FIREFOX_PYTHON
			: is_c			 ? FIREFOX_C
						 : FIREFOX_OTHER);
}

static void put_value_subcategory(struct firefox_tables *f, uint32_t i)
{
	put_count(f->j, f->frame[i] % 2);
}

static void put_value_func(struct firefox_tables *f, uint32_t i)
{
	put_count(f->j, f->frame[i] / 2);
}

static void put_value_frame_line(struct firefox_tables *f, uint32_t i)
{
	put_value_line(f, f->frame[i] / 2);
}

static void put_frames(struct firefox_tables *f)
{
	uint32_t n = f->n_frames;

	put_key(f->j, "frameTable");
	put_begin_line(f->j, "{");
	put_key_count(f->j, "length", n);
	put_column(f, "address", n, put_value_minus_one);
	put_column(f, "inlineDepth", n, put_value_zero);
	put_column(f, "category", n, put_value_category);
	put_column(f, "subcategory", n, put_value_subcategory);
	put_column(f, "func", n, put_value_func);
	put_column(f, "nativeSymbol", n, put_value_null);
	put_column(f, "innerWindowID", n, put_value_null);
	put_column(f, "line", n, put_value_frame_line);
	put_column(f, "column", n, put_value_null);
	put_end(f->j, "}");
}

/* --- stacks: calling contexts ----------------------------------------------------------------- */

static void put_stacks(struct firefox_tables *f)
{
	put_key(f->j, "stackTable");
	put_begin_line(f->j, "{");
	put_key_count(f->j, "length", f->n_stacks);
	put_key(f->j, "frame");
	put_begin(f->j, "[");
	for (uint32_t n = 1; n < f->c->n_nodes; n++) {
		if (f->stack[n] != NONE)
			put_count(f->j, f->frame_of[frame_key(f, n)]);
	}
	put_end(f->j, "]");
	put_key(f->j, "prefix");
	put_begin_line(f->j, "[");
	for (uint32_t n = 1; n < f->c->n_nodes; n++) {
		if (f->stack[n] != NONE)
			put_index(f, f->stack[f->c->node[n].parent]);
	}
	put_end(f->j, "]");
	put_end(f->j, "}");
}

int firefox_tables_put(struct firefox_tables *f)
{
	int err = frames_functions_init(&f->functions, f->c);

	put_key(f->j, "shared");
	put_begin_line(f->j, "{");
	if (!err)
		err = put_strings(f);
	if (!err)
		err = number_sources(f);
	if (!err)
		err = number_frames(f);
	if (err)
		return err;
	put_sources(f);
	put_functions(f);
	put_frames(f);
	put_stacks(f);
	put_key(f->j, "nativeSymbols");
	put_raw(f->j, "{\"length\": 0, \"libIndex\": [], \"address\": [], \"name\": [], "
		      "\"functionSize\": []}");
	f->j->any = true;
	put_end(f->j, "}");
	return 0;
}
