/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "list.h"
#include "pstats_read.h"

enum { ERROR_BYTES = 512 };

const char *sources_dir(void)
{
	const char *dir = getenv("PYSHIM_DIR");

	return dir && *dir ? dir : "/dev/shm";
}

static int cannot_read(char *error, const char *name, const char *why)
{
	snprintf(error, ERROR_BYTES, "read %.300s: %s", name, why);
	return -EINVAL;
}

int sources_total(struct sum *sum, const struct profile_counts *more)
{
	struct profile_counts *total = &sum->total;

	if (__builtin_add_overflow(total->n_calls, more->n_calls, &total->n_calls) ||
	    __builtin_add_overflow(total->n_primitive, more->n_primitive, &total->n_primitive))
		return -EOVERFLOW;
	total->self_s += more->self_s;
	sum->n_sources++;
	return 0;
}

static int add_total(struct sum *sum, const char *name, const struct profile_counts *more,
		     char *error)
{
	if (sources_total(sum, more))
		return cannot_read(error, name,
				   "found more than 2^64 calls in all, expected fewer");
	return 0;
}

static int add_recording(struct source *s, const char *name, struct sum *sum, char *error)
{
	struct profile one;
	struct profile_counts total;
	int err;

	profile_init(&one);
	err = recording_read(s, name, sum->wish, &one, error);
	total = profile_total(&one);
	err = err ? err : add_total(sum, s->name, &total, error);
	if (!err && !sum->profile.n_fns) { /* nothing to add it to: it is the sum */
		sum->profile = one;
		return 0;
	}
	if (!err && profile_merge(&sum->profile, &one))
		err = cannot_read(error, s->name, strerror(ENOMEM));
	profile_fini(&one);
	return err;
}

static int add_pstats(struct source *s, const void *bytes, size_t n_bytes, struct sum *sum,
		      char *error)
{
	struct pstats_file f;

	if (pstats_read(&f, &sum->profile, bytes, n_bytes))
		return cannot_read(error, s->name, f.error);
	s->is_pstats = true;
	s->n_functions = f.n_functions;
	sum->sampled |= f.sampled && !sum->n_sources;
	return add_total(sum, s->name, &f.total, error);
}

int sources_read(struct source *s, const char *name, struct sum *sum, char *error)
{
	size_t n_bytes;
	void *bytes;
	int err;

	s->name = strdup(name);
	if (!s->name)
		return cannot_read(error, "sources", "out of memory");
	attach_make_printable(s->name);
	err = pstats_load(name, &bytes, &n_bytes);
	if (err == -ENOMEM || err == -EIO)
		return cannot_read(error, s->name, strerror(-err));
	if (!bytes)
		return add_recording(s, name, sum, error);
	err = add_pstats(s, bytes, n_bytes, sum, error);
	free(bytes);
	return err;
}

static int add_name(struct names_list *l, char *name)
{
	char **more = name ? realloc(l->name, (l->n + 1) * sizeof(*more)) : NULL;

	if (!more) {
		free(name);
		return -ENOMEM;
	}
	l->name = more;
	l->name[l->n++] = name;
	return 0;
}

int sources_find(struct names_list *l, const char *source)
{
	char **path, *plain;
	size_t n;
	int err;

	if (strspn(source, "0123456789") != strlen(source) || access(source, F_OK) == 0)
		return add_name(l, strdup(source));
	err = list_of_pid(sources_dir(), source, &path, &n);
	if (err == -ENOENT) /* opening it will say what is wrong */
		return asprintf(&plain, "%s/pyprof.%s", sources_dir(), source) < 0
			       ? -ENOMEM
			       : add_name(l, plain);
	for (size_t i = 0; i < n && !err; i++)
		err = add_name(l, path[i]);
	free(path);
	return err;
}

void sources_free(struct names_list *l)
{
	while (l->n)
		free(l->name[--l->n]);
	free(l->name);
	l->name = NULL;
}
