/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sort.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum column { END, PRIMITIVE, CALLS, SELF, TOTAL, FILE_NAME, LINE, NAME, LABEL };

/* The order of the rows decides which word an abbreviation means. */
static const struct {
	const char *word;
	const char *title;
	unsigned char column[4];
} word_table[] = {
	{ "calls", "call count", { CALLS } },
	{ "ncalls", "call count", { CALLS } },
	{ "cumtime", "cumulative time", { TOTAL } },
	{ "cumulative", "cumulative time", { TOTAL } },
	{ "filename", "file name", { FILE_NAME } },
	{ "line", "line number", { LINE } },
	{ "module", "file name", { FILE_NAME } },
	{ "name", "function name", { NAME } },
	{ "nfl", "name/file/line", { NAME, FILE_NAME, LINE } },
	{ "pcalls", "primitive call count", { PRIMITIVE } },
	{ "stdname", "standard name", { LABEL } },
	{ "time", "internal time", { SELF } },
	{ "tottime", "internal time", { SELF } },
};

#define N_WORDS (sizeof(word_table) / sizeof(word_table[0]))

/* Python 3.15's words for sampled profiles, which have no abbreviations. */
static const struct {
	const char *word;
	const char *title;
	unsigned char column;
} sample_table[] = {
	{ "samples", "sample count", CALLS },
	{ "nsamples", "sample count", CALLS },
	{ "psamples", "primitive call count", PRIMITIVE },
};

#define N_SAMPLE_WORDS (sizeof(sample_table) / sizeof(sample_table[0]))

static const struct {
	const char *number;
	const char *word;
} number_table[] = {
	{ "-1", "stdname" },
	{ "0", "calls" },
	{ "1", "time" },
	{ "2", "cumulative" },
};

#define N_NUMBERS (sizeof(number_table) / sizeof(number_table[0]))

enum { UNKNOWN = -1, AMBIGUOUS = -2 };

static size_t common_bytes(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	return n;
}

/*
 * Returns the length of the prefix of a word that pstats refuses, or 0. pstats enters the prefixes
 * of each word in a dict, the longest first, until one is there already. It removes that one in the
 * end. So only the longest common prefix of two words is refused: "cum" is, "cu" means cumtime.
 */
static size_t refused_bytes(size_t word)
{
	size_t longest = 0;

	for (size_t i = 0; i < word; i++) {
		size_t n = common_bytes(word_table[i].word, word_table[word].word);

		longest = n > longest ? n : longest;
	}
	return longest;
}

static int find_word(const char *key)
{
	size_t n = strlen(key);
	int found = UNKNOWN;

	for (size_t i = 0; n && i < N_WORDS; i++) {
		if (strncmp(word_table[i].word, key, n))
			continue;
		if (refused_bytes(i) == n)
			return AMBIGUOUS;
		if (found == UNKNOWN)
			found = (int)i;
	}
	return found;
}

static int find_number(const char *key)
{
	for (size_t i = 0; i < N_NUMBERS; i++)
		if (!strcmp(number_table[i].number, key))
			return find_word(number_table[i].word);
	return UNKNOWN;
}

static void add_column(struct sort_keys *keys, unsigned char column)
{
	if (!memchr(keys->column, column, keys->n_columns))
		keys->column[keys->n_columns++] = column;
}

static void add_word(struct sort_keys *keys, int word)
{
	keys->key[keys->n_keys++] = (unsigned char)word;
	for (const unsigned char *column = word_table[word].column; *column != END; column++)
		add_column(keys, *column);
}

static bool add_sample_word(struct sort_keys *keys, const char *key)
{
	for (size_t i = 0; i < N_SAMPLE_WORDS; i++) {
		if (strcmp(sample_table[i].word, key))
			continue;
		keys->key[keys->n_keys++] = (unsigned char)(N_WORDS + i);
		add_column(keys, sample_table[i].column);
		keys->of_samples = true;
		return true;
	}
	return false;
}

/* Makes the text of an error, with the words that start with `start`; "": all words. */
__attribute__((format(printf, 3, 4))) static const char *refuse(struct sort_keys *keys,
								const char *start,
								const char *format, ...)
{
	size_t cap = sizeof(keys->error);
	const char *between = ", expected one of ";
	va_list args;
	size_t n;

	va_start(args, format);
	n = (size_t)vsnprintf(keys->error, cap, format, args);
	va_end(args);
	for (size_t i = 0; i < N_WORDS && n < cap; i++) {
		const char *word = word_table[i].word;

		if (strncmp(word, start, strlen(start)))
			continue;
		n += (size_t)snprintf(keys->error + n, cap - n, "%s%s", between, word);
		between = ", ";
	}
	if (!*start && n < cap)
		snprintf(keys->error + n, cap - n, "; or one of -1, 0, 1, 2 alone");
	return keys->error;
}

static const char *parse_word(struct sort_keys *keys, const char *key)
{
	int word = find_word(key);

	if (word >= 0)
		add_word(keys, word);
	else if (add_sample_word(keys, key))
		return NULL;
	else if (word == AMBIGUOUS)
		return refuse(keys, key, "sort key: '%.40s' is ambiguous", key);
	else if (find_number(key) >= 0)
		return refuse(keys, "", "sort key: '%s' among other keys", key);
	else
		return refuse(keys, "", "sort key: '%.40s' is unknown", key);
	return NULL;
}

const char *sort_keys_parse(const char *const *keys, size_t n, struct sort_keys *out)
{
	const char *error = NULL;
	int number;

	memset(out, 0, sizeof(*out));
	if (n > SORT_MAX_KEYS) {
		snprintf(out->error, sizeof(out->error), "sort key: %zu keys, expected at most %d",
			 n, SORT_MAX_KEYS);
		return out->error;
	}
	number = n == 1 ? find_number(keys[0]) : UNKNOWN;
	if (number >= 0) {
		add_word(out, number);
		return NULL;
	}
	for (size_t i = 0; i < n && !error; i++)
		error = parse_word(out, keys[i]);
	return error;
}

const char *sort_word(size_t i, const char **title)
{
	if (i >= N_WORDS)
		return NULL;
	*title = word_table[i].title;
	return word_table[i].word;
}

const char *sort_key_title(const struct sort_keys *keys, size_t i)
{
	size_t word = keys->key[i];

	return word < N_WORDS ? word_table[word].title : sample_table[word - N_WORDS].title;
}

struct sorting {
	const struct profile *profile;
	const struct sort_keys *keys;
	const struct text *label; /* NULL if no key needs it */
};

static int compare_calls(uint64_t a, uint64_t b)
{
	return (a < b) - (a > b);
}

/* A NaN equals everything, so this is not an order. merge_sort must cope with that. */
static int compare_seconds(double a, double b)
{
	return (a < b) - (a > b);
}

static int compare_column(const struct sorting *s, size_t l, size_t r, unsigned char column)
{
	const struct profile_fn *a = &s->profile->fn[l];
	const struct profile_fn *b = &s->profile->fn[r];

	switch (column) {
	case PRIMITIVE:
		return compare_calls(a->counts.n_primitive, b->counts.n_primitive);
	case CALLS:
		return compare_calls(a->counts.n_calls, b->counts.n_calls);
	case SELF:
		return compare_seconds(a->counts.self_s, b->counts.self_s);
	case TOTAL:
		return compare_seconds(a->counts.total_s, b->counts.total_s);
	case FILE_NAME:
		return text_cmp(a->file, b->file);
	case LINE:
		return (a->line > b->line) - (a->line < b->line);
	case NAME:
		return text_cmp(a->name, b->name);
	default:
		return text_cmp(s->label[l], s->label[r]);
	}
}

static int compare(const struct sorting *s, size_t a, size_t b)
{
	int order = 0;

	for (size_t i = 0; i < s->keys->n_columns && !order; i++)
		order = compare_column(s, a, b, s->keys->column[i]);
	return order;
}

/* Stable, and stays within bounds for any comparison. qsort guarantees neither. */
static void merge_sort(const struct sorting *s, size_t *order, size_t *spare, size_t n)
{
	size_t half = n / 2, left = 0, right = half;

	if (n < 2)
		return;
	merge_sort(s, order, spare, half);
	merge_sort(s, order + half, spare, n - half);
	memcpy(spare, order, half * sizeof(*order));
	for (size_t to = 0; left < half; to++) {
		if (right < n && compare(s, order[right], spare[left]) < 0)
			order[to] = order[right++];
		else
			order[to] = spare[left++];
	}
}

static void reverse_order(size_t *order, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		size_t other = order[n - 1 - i];

		order[n - 1 - i] = order[i];
		order[i] = other;
	}
}

int sort_keys_apply(const struct profile *p, const struct sort_keys *keys, bool reverse,
		    size_t *order)
{
	struct sorting s = { p, keys, NULL };
	struct text *label = NULL;
	size_t *spare = NULL;
	int err = -ENOMEM;

	if (p->n_listed)
		memcpy(order, p->listed, p->n_listed * sizeof(*order));
	if (!keys->n_keys)
		return 0;
	spare = reallocarray(NULL, p->n_listed / 2 + 1, sizeof(*spare));
	if (!spare)
		goto out;
	if (memchr(keys->column, LABEL, keys->n_columns)) {
		label = profile_labels(p);
		if (!label)
			goto out;
		s.label = label;
	}
	merge_sort(&s, order, spare, p->n_listed);
	if (reverse)
		reverse_order(order, p->n_listed);
	err = 0;
out:
	free(label);
	free(spare);
	return err;
}
