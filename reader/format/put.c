/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "put.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"

void put_raw(struct put *j, const char *text)
{
	fputs_unlocked(text, j->to);
}

void put_separator(struct put *j)
{
	if (j->any)
		put_raw(j, ", ");
	j->any = true;
}

void put_begin(struct put *j, const char *bracket)
{
	put_separator(j);
	put_raw(j, bracket);
	j->any = false;
}

void put_end(struct put *j, const char *bracket)
{
	put_raw(j, bracket);
	j->any = true;
}

void put_begin_line(struct put *j, const char *bracket)
{
	put_raw(j, j->any ? ",\n" : "\n");
	j->any = false;
	put_begin(j, bracket);
}

void put_key(struct put *j, const char *name)
{
	put_separator(j);
	fprintf(j->to, "\"%s\": ", name);
	j->any = false;
}

void put_null(struct put *j)
{
	put_separator(j);
	put_raw(j, "null");
}

void put_bool(struct put *j, bool value)
{
	put_separator(j);
	put_raw(j, value ? "true" : "false");
}

void put_int(struct put *j, int64_t value)
{
	put_separator(j);
	fprintf(j->to, "%" PRId64, value);
}

void put_count(struct put *j, uint64_t value)
{
	put_separator(j);
	fprintf(j->to, "%" PRIu64, value);
}

void put_seconds(struct put *j, double value)
{
	char digits[40];
	int precision = 15;

	if (!isfinite(value)) { /* from a pstats file, or an unknown value */
		put_null(j);
		return;
	}
	do
		snprintf(digits, sizeof(digits), "%.*g", precision++, value);
	while (precision <= 17 && strtod(digits, NULL) != value);
	put_separator(j);
	put_raw(j, digits);
	if (!strpbrk(digits, ".e"))
		put_raw(j, ".0");
}

void put_text(struct put *j, struct text t)
{
	put_separator(j);
	if (j->in_script)
		json_text_put_in_script(j->to, t);
	else
		json_text_put(j->to, t);
}

void put_string(struct put *j, const char *s)
{
	put_text(j, (struct text){ s, strlen(s) });
}

void put_bounded_string(struct put *j, const char *s, size_t cap)
{
	put_text(j, (struct text){ s, strnlen(s, cap) });
}

void put_key_string(struct put *j, const char *key, const char *value)
{
	put_key(j, key);
	put_string(j, value);
}

void put_key_bool(struct put *j, const char *key, bool value)
{
	put_key(j, key);
	put_bool(j, value);
}

void put_key_count(struct put *j, const char *key, uint64_t value)
{
	put_key(j, key);
	put_count(j, value);
}

void put_key_seconds(struct put *j, const char *key, double value)
{
	put_key(j, key);
	put_seconds(j, value);
}
