/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pyprof/process.h"
#include "sources.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/input.h"
#include "base/progress.h"
#include "profile/contexts_sum.h"
#include "profile/group.h"
#include "profile/shape.h"
#include "pstats/pstats_read.h"
#include "recording/attach.h"
#include "recording/list.h"

const char *sources_dir(void)
{
	const char *dir = getenv("PYSHIM_DIR");

	return dir && *dir ? dir : "/dev/shm";
}

static int cannot_read(struct error *error, const char *name, const char *why)
{
	return error_set(error, -EINVAL, "read %.300s: %s", name, why);
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
		     struct error *error)
{
	if (sources_total(sum, more))
		return cannot_read(error, name,
				   "found more than 2^64 calls in all, expected fewer");
	return 0;
}

/* Adds a profile and empties it. */
static int add_profile(struct sum *sum, const char *name, struct profile *one, struct error *error)
{
	struct profile_counts total = profile_total(one);
	int err = add_total(sum, name, &total, error);

	if (!err && !sum->profile.n_fns) { /* the sum is empty: take the profile over */
		sum->profile = *one;
		profile_init(one);
	}
	if (!err && profile_merge(&sum->profile, one))
		err = cannot_read(error, name, strerror(ENOMEM));
	profile_fini(one);
	return err;
}

/* Adds contexts and empties them. */
static int add_contexts(struct sum *sum, const char *name, struct contexts *one,
			struct error *error)
{
	int err = 0;

	if (!sum->contexts.node) {
		sum->contexts = *one;
		*one = (struct contexts){ .n_nodes = 0 };
	} else if (contexts_merge(&sum->contexts, one)) {
		err = cannot_read(error, name, strerror(ENOMEM));
	}
	contexts_fini(one);
	return err;
}

static int add_recording(struct source *s, const char *name, struct sum *sum, struct error *error)
{
	bool wanted = sum->request->contexts || request_groups(sum->request);
	struct contexts contexts = { .n_nodes = 0 };
	struct profile one;
	int err = 0;

	profile_init(&one);
	if (wanted && contexts_init(&contexts))
		err = cannot_read(error, s->name, strerror(ENOMEM));
	if (!err)
		err = recording_read(s, name, sum->request, &one, wanted ? &contexts : NULL, error);
	s->self_s = profile_total(&one).self_s;
	if (!err)
		err = add_profile(sum, s->name, &one, error);
	if (!err)
		err = add_contexts(sum, s->name, &contexts, error);
	profile_fini(&one);
	contexts_fini(&contexts);
	return err;
}

static int add_pstats(struct source *s, const void *bytes, size_t n_bytes, struct sum *sum,
		      struct error *error)
{
	struct pstats_file f;

	if (pstats_read(&f, &sum->profile, bytes, n_bytes))
		return cannot_read(error, s->name, f.error.text);
	s->is_pstats = true;
	s->n_functions = f.n_functions;
	sum->sampled |= f.sampled && !sum->n_sources;
	sum->has_pstats = true;
	return add_total(sum, s->name, &f.total, error);
}

/* Recognises the output of -f json, which starts with { like a pstats file. */
static bool is_json_report(const char *bytes, size_t n)
{
	static const char head[] = "{\"format\": \"pyshim-profile\"";

	return n >= sizeof(head) - 1 && !memcmp(bytes, head, sizeof(head) - 1);
}

static int add_whole(struct source *s, const char *name, struct sum *sum, struct error *error)
{
	size_t n_bytes;
	void *bytes;
	int err = pstats_load(name, &bytes, &n_bytes);

	if (err == -ENOMEM || err == -EIO)
		return cannot_read(error, s->name, strerror(-err));
	if (!bytes)
		return add_recording(s, name, sum, error);
	if (is_json_report(bytes, n_bytes))
		err = cannot_read(error, s->name,
				  "found a report in JSON, expected a recording or a pstats file "
				  "(-f pstats writes one)");
	else if (sum->request->contexts)
		err = cannot_read(error, s->name,
				  "found a pstats file, expected a recording: only recordings have "
				  "calling contexts");
	else
		err = add_pstats(s, bytes, n_bytes, sum, error);
	free(bytes);
	return err;
}

/* --- threads ---------------------------------------------------------------------------------- */

int sources_add_thread(struct sum *sum, struct rebuild_thread *t, const char *name,
		       struct error *error)
{
	return add_profile(sum, name, &t->profile, error);
}

bool sources_is_chosen(const struct request *q, const struct rebuild_thread *t)
{
	return q->thread && rebuild_is_thread(t, q->thread);
}

static int add_threads(struct source *s, const char *name, struct sum *sum, struct error *error)
{
	struct sum whole = { .request = sum->request }; /* only `s` is used */
	int err;

	profile_init(&whole.profile);
	err = add_whole(s, name, &whole, error);
	if (!err)
		err = add_contexts(sum, s->name, &whole.contexts, error);
	sum->has_pstats |= whole.has_pstats;
	sources_sum_fini(&whole);
	for (size_t i = 0; i < s->summary.n_listed && !err; i++) {
		if (!rebuild_is_thread(&s->summary.thread[i], sum->request->thread))
			continue;
		err = sources_add_thread(sum, &s->summary.thread[i], s->name, error);
		sum->n_threads++;
	}
	return err;
}

int sources_no_thread(const struct request *q, struct error *error)
{
	return error_set(error, -ENOENT,
			 "read --thread: found no thread '%.200s', expected the native id, the "
			 "#number or the name of one (see --threads)",
			 q->thread);
}

/* --- sources ---------------------------------------------------------------------------------- */

static const char *shown_name(const char *name, const char *folder)
{
	size_t n = folder ? strlen(folder) : 0;

	return n && !strncmp(name, folder, n) && name[n] == '/' && name[n + 1] ? name + n + 1
									       : name;
}

int sources_read(struct source *s, const char *name, struct sum *sum, struct error *error)
{
	s->name = strdup(shown_name(name, sum->request->relative_to));
	if (!s->name)
		return cannot_read(error, "sources", "out of memory");
	error_make_printable(s->name);
	progress_next(name);
	name = input_path(name, error);
	if (!name)
		return -EINVAL;
	return sum->request->thread ? add_threads(s, name, sum, error)
				    : add_whole(s, name, sum, error);
}

void sources_fini(struct source *s)
{
	free(s->name);
	rebuild_summary_fini(&s->summary);
	*s = (struct source){ .name = NULL };
}

void sources_sum_fini(struct sum *sum)
{
	profile_fini(&sum->profile);
	contexts_fini(&sum->contexts);
}

static int shape_functions(struct sum *sum)
{
	int err = contexts_no_builtins(&sum->contexts);

	if (!err)
		err = shape_no_builtins(&sum->profile);
	sum->total = profile_total(&sum->profile);
	return err;
}

static int shape_groups(struct sum *sum)
{
	const struct request *q = sum->request;
	const struct grouping how = {
		.by = q->by_module    ? GROUP_MODULE
		      : q->by_package ? GROUP_PACKAGE
		      : q->by_file    ? GROUP_FILE
				      : GROUP_FUNCTION,
		.imports = q->imports_as_one,
		.strip_dirs = q->strip_dirs,
	};
	bool is_whole = !sum->has_pstats && !contexts_any_folded(&sum->contexts);
	int err = group_apply(&sum->profile, &sum->contexts, is_whole, &how);

	sum->total = profile_total(&sum->profile);
	if (!q->contexts)
		contexts_fini(&sum->contexts);
	return err;
}

static int strip_dirs(struct sum *sum)
{
	int err = contexts_strip_dirs(&sum->contexts);

	return err ? err : profile_strip_dirs(&sum->profile);
}

int sources_shape(struct sum *sum, struct error *error)
{
	const struct request *q = sum->request;
	int err = 0;

	if (q->no_builtins)
		err = shape_functions(sum);
	if (request_groups(q) && !err)
		err = shape_groups(sum);
	if (q->no_subcalls && !err)
		err = shape_no_subcalls(&sum->profile);
	if (q->strip_dirs && !err)
		err = strip_dirs(sum);
	contexts_finish(&sum->contexts);
	if (err)
		error_set(error, err, "choose functions: out of memory");
	else if ((err = profile_check_size(&sum->profile)))
		error_set(error, err,
			  "report functions: found names that make gigabytes of text, expected at "
			  "most 4 GiB");
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
	if (err == -ENOENT) /* opening this file will report the error */
		return asprintf(&plain, "%s/" PYPROF_FILE_PREFIX "%s", sources_dir(), source) < 0
			       ? -ENOMEM
			       : add_name(l, plain);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (err)
			free(path[i]);
		else
			err = add_name(l, path[i]);
	}
	free(path);
	return err;
}

int sources_add_name(struct names_list *l, const char *name)
{
	return add_name(l, strdup(name));
}

int sources_list(struct names_list *l, const char *file)
{
	FILE *f = strcmp(file, "-") != 0 ? fopen(file, "re") : stdin;
	char *name = NULL;
	size_t cap = 0;
	int err = f ? 0 : -errno;

	while (!err && getdelim(&name, &cap, '\0', f) > 0)
		err = *name ? sources_add_name(l, name) : 0;
	if (!err && ferror(f))
		err = -EIO;
	if (f && f != stdin)
		fclose(f);
	free(name);
	return err;
}

void sources_free(struct names_list *l)
{
	while (l->n)
		free(l->name[--l->n]);
	free(l->name);
	l->name = NULL;
}
