/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "browse_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "format/preamble.h"
#include "pstats/refusal.h"
#include "pyprof/format.h"
#include "select/match.h"

/* The bytes of a file in which its error is looked for. Longer files are taken to have it there. */
#define MAX_LOOK_BYTES (64ul << 20)

static int say(struct load_error *e, const char *words)
{
	snprintf(e->words, sizeof(e->words), "%s", words);
	return -1;
}

static int add_files_text(struct loaded *l, const char *bytes, size_t n)
{
	char *more = realloc(l->files, l->n_files_bytes + n + 1);

	if (!more)
		return -ENOMEM;
	memcpy(more + l->n_files_bytes, bytes, n);
	l->files = more;
	l->n_files_bytes += n;
	return 0;
}

/* The line of pstats for a file: "Fri Nov 21 09:30:00 2026    a.prof". For free(), or NULL. */
static char *name_file(const char *name, const struct stat *st)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char *line;
	struct tm tm;

	if (!localtime_r(&st->st_mtime, &tm))
		return strdup(name);
	if (asprintf(&line, "%.3s %.3s%3d %.2d:%.2d:%.2d %d    %s", days + 3 * tm.tm_wday,
		     months + 3 * tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		     tm.tm_year + 1900, name) < 0)
		return NULL;
	return line;
}

/* The file's first bytes, `max` at most, for free(). Returns -errno if it cannot be opened. */
static int look_into(const char *name, size_t max, struct stat *st, char **bytes, size_t *n_bytes)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int err = fd < 0 || fstat(fd, st) < 0 ? -errno : 0;
	ssize_t got = 1;

	*bytes = NULL;
	*n_bytes = 0;
	if (!err && S_ISDIR(st->st_mode))
		err = -EISDIR;
	if (!err && S_ISREG(st->st_mode) && (size_t)st->st_size < max)
		max = (size_t)st->st_size;
	if (!err && !(*bytes = malloc(max + 1)))
		err = -ENOMEM;
	for (; !err && *n_bytes < max && got > 0; *n_bytes += got > 0 ? (size_t)got : 0)
		got = read(fd, *bytes + *n_bytes, max - *n_bytes);
	if (fd >= 0)
		close(fd);
	return err;
}

/* Python's repr, for free(), or NULL. */
static char *repr_of(const char *text)
{
	char *repr = NULL;
	size_t n_repr;
	FILE *to = open_memstream(&repr, &n_repr);

	if (!to)
		return NULL;
	match_put_repr(to, (struct text){ text, strlen(text) });
	fclose(to);
	return repr;
}

/* The exception that pstats.Stats(FILE) raises, if it is known. Else `e` stays as it is. */
static int say_as_python(struct load_error *e, const char *name, const char *line)
{
	struct refusal r = { .kind = REFUSAL_UNKNOWN };
	struct stat st;
	size_t n_bytes;
	char *bytes, *repr;

	if (!look_into(name, MAX_LOOK_BYTES, &st, &bytes, &n_bytes))
		refusal_find(&r, bytes, n_bytes);
	free(bytes);
	switch (r.kind) {
	case REFUSAL_UNKNOWN:
		return -1;
	case REFUSAL_BYTES:
		return say(e, r.words);
	case REFUSAL_VALUE:
		printf("Invalid timing data %s\n", line);
		return say(e, r.words);
	case REFUSAL_EMPTY:
		break;
	}
	repr = repr_of(line);
	snprintf(e->words, sizeof(e->words),
		 "TypeError: Cannot create or construct a <class '__main__.Stats'> object from %s",
		 repr ? repr : line);
	free(repr);
	return -1;
}

static void print_source(const struct source *s, const struct browse_options *options)
{
	if (!options->quiet) {
		preamble_print(stdout, s, options->verbose, true);
		putchar('\n');
	} else {
		preamble_warn(stderr, s);
	}
}

static bool is_recording(const char *bytes, size_t n_bytes)
{
	uint64_t magic;

	if (n_bytes < sizeof(magic))
		return false;
	memcpy(&magic, bytes, sizeof(magic));
	return magic == PYPROF_MAGIC;
}

/* `head`: the first bytes, which show whether it is a recording. */
static int read_known(struct loaded *l, const char *name, const char *line, const char *head,
		      size_t n_head, const struct browse_options *options, struct load_error *e)
{
	struct source s = { 0 };
	bool recording = is_recording(head, n_head);
	struct error error;
	int err;

	if (recording || (n_head && (*head & 0x7f) == '{'))
		err = sources_read(&s, name, &l->sum, &error);
	else
		err = error_set(
			&error, -EINVAL,
			"read %.300s: found another file, expected a recording or a pstats file",
			name);
	if (err)
		say(e, error.text);
	if (!recording && (err || !s.n_functions))
		err = say_as_python(e, name, line);
	if (!err && recording)
		print_source(&s, options);
	sources_fini(&s);
	return err;
}

static int add_file(struct loaded *l, const char *name, const struct browse_options *options,
		    struct load_error *e)
{
	char *head, *line = NULL;
	size_t n_head;
	struct stat st;
	int err = look_into(name, sizeof(uint64_t), &st, &head, &n_head);

	if (err) {
		e->os_error = -err;
		free(head);
		return -1;
	}
	line = name_file(name, &st);
	err = line ? read_known(l, name, line, head, n_head, options, e) : say(e, strerror(ENOMEM));
	if (!err && (add_files_text(l, line, strlen(line)) || add_files_text(l, "\n", 1)))
		err = say(e, strerror(ENOMEM));
	free(line);
	free(head);
	return err;
}

/* Applies the options about threads and shape to what was read. */
static int choose(struct loaded *l, const struct browse_options *options, struct load_error *e)
{
	struct error error;
	int err;

	if (options->request.thread && !l->sum.n_threads)
		err = sources_no_thread(&options->request, &error);
	else
		err = sources_shape(&l->sum, &error);
	if (err)
		say(e, error.text);
	return err;
}

int loaded_open(struct loaded *l, struct text name, const struct browse_options *options,
		struct load_error *e)
{
	char *typed = strndup(name.bytes, name.n);
	struct names_list names = { 0 };
	int err;

	*l = (struct loaded){ .sum = { .request = &options->request } };
	e->os_error = 0;
	profile_init(&l->sum.profile);
	if (!typed)
		err = say(e, strerror(ENOMEM));
	else if (strlen(typed) != name.n)
		err = say(e, "ValueError: embedded null byte");
	else if (!*typed)
		err = -(e->os_error = ENOENT);
	else if (sources_find(&names, typed))
		err = say(e, strerror(ENOMEM));
	else
		err = 0;
	for (size_t i = 0; i < names.n && !err; i++)
		err = add_file(l, names.name[i], options, e);
	err = err ? err : choose(l, options, e);
	sources_free(&names);
	free(typed);
	if (err)
		loaded_close(l);
	return err ? -1 : 0;
}

int loaded_add(struct loaded *l, const struct loaded *more)
{
	int err = sources_total(&l->sum, &more->sum.total);

	err = err ? err : add_files_text(l, more->files, more->n_files_bytes);
	return err ? err : profile_merge(&l->sum.profile, &more->sum.profile);
}

void loaded_put_files(const struct loaded *l, FILE *to)
{
	fwrite(l->files, 1, l->n_files_bytes, to);
	fputc('\n', to);
}

void loaded_close(struct loaded *l)
{
	profile_fini(&l->sum.profile);
	free(l->files);
	l->files = NULL;
}
