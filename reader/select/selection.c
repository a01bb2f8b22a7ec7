/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "selection.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "match.h"

/* Python's repr of a fraction in [0, 1): the fewest digits that read back as the same double. */
static void put_fraction(FILE *to, double fraction)
{
	char digits[40];
	int precision = 1;

	do
		snprintf(digits, sizeof(digits), "%.*g", precision++, fraction);
	while (strtod(digits, NULL) != fraction && precision <= 17);
	fputs(digits, to);
	if (!strpbrk(digits, ".e"))
		fputs(".0", to);
}

/* Sets the length that a count or a fraction reduces a list of `n` to. False: out of range. */
static bool restriction_keeps(const struct restriction *r, size_t n, size_t *keep)
{
	if (r->kind == RESTRICT_FRACTION) {
		if (!(r->fraction >= 0 && r->fraction < 1))
			return false;
		*keep = (size_t)((double)n * r->fraction + .5);
		return true;
	}
	if (r->count < 0)
		return false;
	*keep = (size_t)r->count;
	return true;
}

/* Keeps the functions whose labels the pattern is found in. 0 or -errno. */
static int search(struct selected *l, struct match *m, struct error *e)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		int found = match_search(m, l->label[l->fn[i]], e);

		if (found < 0)
			return found;
		if (found)
			l->fn[n++] = l->fn[i];
	}
	l->n = n;
	return 0;
}

static int restrict_by_pattern(struct selected *l, struct text pattern, FILE *heading,
			       struct error *e)
{
	struct match m;
	int err = match_init(&m, pattern, e);

	if (!err) {
		err = search(l, &m, e);
		match_fini(&m);
	} else if (err == -EINVAL) {
		fputs("   <Invalid regular expression ", heading);
		err = match_put_repr(heading, pattern);
		fputs(">\n", heading);
	}
	return err;
}

static int put_restriction(FILE *heading, const struct restriction *r)
{
	switch (r->kind) {
	case RESTRICT_FRACTION:
		put_fraction(heading, r->fraction);
		return 0;
	case RESTRICT_COUNT:
		fprintf(heading, "%" PRId64, r->count);
		return 0;
	case RESTRICT_PATTERN:
		break;
	}
	return match_put_repr(heading, r->pattern);
}

static int restrict_by(struct selected *l, const struct restriction *r, FILE *heading,
		       struct error *e)
{
	size_t before = l->n, keep;
	int err = 0;

	if (r->kind == RESTRICT_PATTERN)
		err = restrict_by_pattern(l, r->pattern, heading, e);
	else if (restriction_keeps(r, before, &keep) && keep < before)
		l->n = keep;
	if (err || l->n == before)
		return err;
	fprintf(heading, "   List reduced from %zu to %zu due to restriction <", before, l->n);
	err = put_restriction(heading, r);
	fputs(">\n", heading);
	return err;
}

static void put_order(FILE *heading, const struct sort_keys *keys)
{
	if (!keys->n_keys)
		fputs("   Random listing order was used\n", heading);
	for (size_t i = 0; i < keys->n_keys; i++)
		fprintf(heading, "%s%s", i ? ", " : "   Ordered by: ", sort_key_title(keys, i));
	if (keys->n_keys)
		fputc('\n', heading);
}

static int reduce(struct selected *l, const struct selection *s, struct error *e)
{
	FILE *heading = open_memstream(&l->heading, &l->n_heading);
	int err = 0;

	if (!heading)
		return -ENOMEM;
	put_order(heading, &s->sort);
	for (size_t i = 0; i < s->n_restrictions && !err; i++)
		err = restrict_by(l, &s->restriction[i], heading, e);
	fputc('\n', heading);
	if (fclose(heading) && !err)
		err = -ENOMEM;
	return err;
}

void selected_fini(struct selected *l)
{
	free(l->fn);
	free(l->label);
	shown_close(&l->shown);
	free(l->heading);
}

/* Changes labels from those of pstats to those that are printed; patterns have seen the former. */
static int show(struct selected *l, const struct profile *p, const struct selection *s)
{
	int err = 0;

	if (!s->qualnames)
		err = shown_tell_apart(&l->shown, p, l->fn, l->n, l->label);
	if (!err && s->escape)
		err = shown_escape(&l->shown, l->label, p->n_fns);
	return err;
}

int selection_apply(const struct selection *s, const struct profile *p, struct selected *l,
		    struct error *e)
{
	int err = -ENOMEM;

	memset(l, 0, sizeof(*l));
	l->fn = reallocarray(NULL, p->n_listed + 1, sizeof(*l->fn));
	l->label = s->qualnames ? profile_qualified_labels(p) : profile_labels(p);
	if (!l->fn || !l->label)
		goto out;
	l->n = p->n_listed;
	err = sort_keys_apply(p, &s->sort, s->reverse, l->fn);
	if (err)
		goto out;
	err = reduce(l, s, e);
	if (!err)
		err = show(l, p, s);
out:
	if (err)
		selected_fini(l);
	return err;
}

int restriction_check(const struct restriction *r, struct error *e)
{
	struct match m;
	int err = r->kind == RESTRICT_PATTERN ? match_init(&m, r->pattern, e) : 0;

	if (!err && r->kind == RESTRICT_PATTERN)
		match_fini(&m);
	return err;
}

/* True for numbers of strtod that Python's float rejects: hexadecimal, and nan(...). */
static bool is_c_number_only(const char *text)
{
	return strpbrk(text, "xX(");
}

void restriction_parse(const char *text, struct restriction *out)
{
	char *end;

	*out = (struct restriction){ .kind = RESTRICT_PATTERN, .pattern = { text, strlen(text) } };
	if (!*text || is_c_number_only(text))
		return;
	out->count = strtoll(text, &end, 10);
	if (!*end) { /* strtoll's limit for one out of range has the same effect: no restriction */
		out->kind = RESTRICT_COUNT;
		return;
	}
	out->fraction = strtod(text, &end);
	if (!*end)
		out->kind = RESTRICT_FRACTION;
}
