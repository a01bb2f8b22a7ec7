/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The format of flamegraph.pl and inferno: a line for each calling context, with its functions from
 * the outermost call, separated by semicolons, and its own time in nanoseconds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "frames.h"
#include "writers.h"

#define MAX_BYTES (4ull << 30) /* of text, as of a report: profile_check_size() */

/* The path of one node: labels from the outermost to the node's. */
struct path {
	uint32_t *node;
	size_t n, cap;
};

static int find_path(struct path *p, const struct contexts *c, uint32_t n)
{
	p->n = 0;
	for (; n; n = c->node[n].parent) {
		if (!contexts_shows(c, n))
			continue;
		if (p->n == p->cap) {
			size_t cap = p->cap ? p->cap * 2 : 64;
			uint32_t *more = reallocarray(p->node, cap, sizeof(*more));

			if (!more)
				return -ENOMEM;
			p->node = more;
			p->cap = cap;
		}
		p->node[p->n++] = n;
	}
	return 0;
}

/* A semicolon or a line's end in a label would be read as the end of a function or a line. */
static void put_label(FILE *to, struct text label)
{
	for (size_t i = 0; i < label.n; i++) {
		unsigned char byte = (unsigned char)label.bytes[i];

		fputc(byte == ';' ? ':' : byte < ' ' || byte == 127 ? ' ' : byte, to);
	}
}

static void put_path(FILE *to, const struct frames *f, const struct path *p, uint64_t ns)
{
	for (size_t i = p->n; i--;) {
		put_label(to, frames_label(f, p->node[i]));
		fputc(i ? ';' : ' ', to);
	}
	fprintf(to, "%" PRIu64 "\n", ns);
}

/*
 * A line repeats the whole path, so the text of a deep recursion grows with the square of its
 * depth. Returns the bytes of all lines, without their numbers. Stops beyond MAX_BYTES. -ENOMEM
 * without memory.
 */
static int64_t count_bytes(const struct frames *f, const uint64_t *ns)
{
	const struct contexts *c = f->contexts;
	uint64_t *bytes = calloc(c->n_nodes + 1ull, sizeof(*bytes)), sum = 0;

	if (!bytes)
		return -ENOMEM;
	for (uint32_t n = 1; n < c->n_nodes && sum <= MAX_BYTES; n++) {
		bytes[n] = bytes[c->node[n].parent];
		if (contexts_shows(c, n))
			bytes[n] += frames_label(f, n).n + 1;
		sum += ns[n] ? bytes[n] : 0;
	}
	free(bytes);
	return (int64_t)sum;
}

static int check_size(const struct frames *f, const uint64_t *ns, struct error *e)
{
	int64_t bytes = count_bytes(f, ns);

	if (bytes < 0)
		return (int)bytes;
	if (bytes <= (int64_t)MAX_BYTES)
		return 0;
	return error_set(e, -E2BIG,
			 "write collapsed stacks: found paths that make more than 4 GiB of text, "
			 "expected less (a deep recursion; -f html shows it)");
}

int collapsed_write(FILE *to, const struct reading *r, const struct show *o, struct error *e)
{
	const struct contexts *c = &r->report[0].sum.contexts;
	uint64_t *ns = frames_own_ns(c);
	struct path path = { .n = 0 };
	struct frames f;
	int err = frames_open(&f, c, o->report.select.qualnames);

	err = ns ? err : -ENOMEM;
	if (!err)
		err = check_size(&f, ns, e);
	for (uint32_t n = 1; n < c->n_nodes && !err; n++) {
		if (!ns[n])
			continue;
		err = find_path(&path, c, n);
		if (!err)
			put_path(to, &f, &path, ns[n]);
	}
	free(path.node);
	free(ns);
	frames_close(&f);
	return err;
}
