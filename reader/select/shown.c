/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shown.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ESCAPE_BYTES 4 /* \x1b */

/* --- equal labels ----------------------------------------------------------------------------- */

static int cmp_label(const void *a, const void *b, void *arg)
{
	const struct text *label = arg;

	return text_cmp(label[*(const size_t *)a], label[*(const size_t *)b]);
}

static int use_qualified(struct shown *s, const struct profile *p, size_t fn, struct text *label)
{
	if (!s->qualified)
		s->qualified = profile_qualified_labels(p);
	if (!s->qualified)
		return -ENOMEM;
	label[fn] = s->qualified[fn];
	return 0;
}

int shown_tell_apart(struct shown *s, const struct profile *p, const size_t *fn, size_t n,
		     struct text *label)
{
	size_t *order = malloc((n + 1) * sizeof(*order));
	int err = order ? 0 : -ENOMEM;

	if (n && order) {
		memcpy(order, fn, n * sizeof(*order));
		qsort_r(order, n, sizeof(*order), cmp_label, label);
	}
	for (size_t i = 0, end; i < n && !err; i = end) {
		for (end = i + 1; end < n && !text_cmp(label[order[i]], label[order[end]]);)
			end++;
		for (size_t k = i; end - i > 1 && k < end && !err; k++)
			err = use_qualified(s, p, order[k], label);
	}
	free(order);
	return err;
}

/* --- control characters ----------------------------------------------------------------------- */

/* The control character that starts here, or -1; `n` > 0. */
static int control_at(const unsigned char *c, size_t n, size_t *bytes)
{
	*bytes = 1;
	if (*c < 0x20 || *c == 0x7f)
		return *c;
	if (n < 2 || *c != 0xc2 || c[1] < 0x80 || c[1] > 0x9f)
		return -1;
	*bytes = 2;
	return c[1];
}

static bool has_control(struct text t)
{
	size_t bytes;

	for (size_t i = 0; i < t.n; i++) {
		if (control_at((const unsigned char *)t.bytes + i, t.n - i, &bytes) >= 0)
			return true;
	}
	return false;
}

static char *put_escape(char *to, int control)
{
	switch (control) {
	case '\n':
		return stpcpy(to, "\\n");
	case '\r':
		return stpcpy(to, "\\r");
	case '\t':
		return stpcpy(to, "\\t");
	default:
		return to + sprintf(to, "\\x%02x", (unsigned)control);
	}
}

/* The text with escapes, or NULL without memory. */
static char *escape(struct text t, size_t *n)
{
	char *text = malloc(t.n * ESCAPE_BYTES + 1), *to = text;

	for (size_t i = 0, bytes; text && i < t.n; i += bytes) {
		int control = control_at((const unsigned char *)t.bytes + i, t.n - i, &bytes);

		if (control >= 0)
			to = put_escape(to, control);
		else
			*to++ = t.bytes[i];
	}
	*n = text ? (size_t)(to - text) : 0;
	return text;
}

int shown_escape(struct shown *s, struct text *label, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char **more;

		if (!has_control(label[i]))
			continue;
		more = reallocarray(s->escaped, s->n_escaped + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->escaped = more;
		more += s->n_escaped;
		*more = escape(label[i], &label[i].n);
		if (!*more)
			return -ENOMEM;
		label[i].bytes = *more;
		s->n_escaped++;
	}
	return 0;
}

void shown_close(struct shown *s)
{
	while (s->n_escaped)
		free(s->escaped[--s->n_escaped]);
	free(s->escaped);
	free(s->qualified);
}
