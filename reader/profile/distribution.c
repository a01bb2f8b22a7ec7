/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "distribution.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEVERAL SIZE_MAX
#define MAX_FILE_BYTES (16u << 20)
#define MAX_BYTES (128u << 20) /* of all files: more than 100,000 installed modules */
#define MAX_PATH_BYTES 4000
#define MAX_SITES 64 /* folders that are read: one may have many names */

/* Kinds of keys: the line of the key's function. */
enum {
	KEY_FILE,   /* a path in a folder */
	KEY_TOP,    /* a top-level module in a folder */
	KEY_MODULE, /* a top-level module in any folder */
};

#define TEXT(s) ((struct text){ s, sizeof(s) - 1 })

void distributions_init(struct distributions *d)
{
	memset(d, 0, sizeof(*d));
	profile_init(&d->sites);
	profile_init(&d->files);
	d->left_bytes = MAX_BYTES;
}

void distributions_fini(struct distributions *d)
{
	profile_fini(&d->sites);
	profile_fini(&d->files);
	texts_fini(&d->texts);
	free(d->of);
	free(d->name);
	distributions_init(d);
}

static bool ends(struct text t, struct text with)
{
	return t.n > with.n && !memcmp(t.bytes + t.n - with.n, with.bytes, with.n);
}

static struct text before(struct text t, char c)
{
	const char *at = t.n ? memchr(t.bytes, c, t.n) : NULL;

	return (struct text){ t.bytes, at ? (size_t)(at - t.bytes) : t.n };
}

/* --- the index -------------------------------------------------------------------------------- */

/* Adds a distribution, unless the last one has this name. Its number, or SIZE_MAX. */
static size_t add_name(struct distributions *d, struct text name)
{
	struct text *more;

	if (d->n_names == d->cap_names) {
		more = reallocarray(d->name, 2 * d->cap_names + 16, sizeof(*more));
		if (!more)
			return SIZE_MAX;
		d->name = more;
		d->cap_names = 2 * d->cap_names + 16;
	}
	if (texts_keep(&d->texts, &name))
		return SIZE_MAX;
	d->name[d->n_names] = name;
	return d->n_names++;
}

static bool same_name(const struct distributions *d, size_t a, size_t b)
{
	return d->name[a].n == d->name[b].n && !text_cmp(d->name[a], d->name[b]);
}

/* Notes that a key belongs to the distribution. 0 or -ENOMEM. */
static int note(struct distributions *d, struct text site, int kind, struct text key, size_t of)
{
	size_t n = d->files.n_fns, at = profile_caller_add(&d->files, site, kind, key), *more;

	if (at == SIZE_MAX)
		return -ENOMEM;
	if (at < n) {
		if (d->of[at] != SEVERAL && !same_name(d, d->of[at], of))
			d->of[at] = SEVERAL;
		return 0;
	}
	if (at == d->cap_of) {
		more = reallocarray(d->of, 2 * at + 64, sizeof(*more));
		if (!more)
			return -ENOMEM;
		d->of = more;
		d->cap_of = 2 * at + 64;
	}
	d->of[at] = of;
	return 0;
}

static int note_top(struct distributions *d, struct text site, struct text top, size_t of)
{
	int err = top.n ? note(d, site, KEY_TOP, top, of) : 0;

	return err || !top.n ? err : note(d, TEXT(""), KEY_MODULE, top, of);
}

static bool find(const struct distributions *d, struct text site, int kind, struct text key,
		 struct text *name)
{
	size_t at = profile_find(&d->files, site, kind, key);

	if (at == SIZE_MAX || d->of[at] == SEVERAL)
		return false;
	*name = d->name[d->of[at]];
	return true;
}

bool distributions_find(const struct distributions *d, struct text site, struct text rest,
			struct text *name)
{
	struct text top = before(rest, '/');

	return find(d, site, KEY_FILE, rest, name) ||
	       find(d, site, KEY_TOP, top.n == rest.n ? before(top, '.') : top, name);
}

bool distributions_find_module(const struct distributions *d, struct text module, struct text *name)
{
	return find(d, TEXT(""), KEY_MODULE, before(module, '.'), name);
}

/* --- files ------------------------------------------------------------------------------------ */

/* Reads a regular file for free(); empty if that is not possible. */
static struct text read_all(struct distributions *d, int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct text all = { NULL, 0 };
	struct stat st;
	size_t want;
	char *bytes;
	ssize_t n;

	if (fd < 0)
		return all;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    st.st_size <= MAX_FILE_BYTES && (size_t)st.st_size <= d->left_bytes) {
		want = (size_t)st.st_size;
		bytes = malloc(want);
		while (bytes && all.n < want && (n = read(fd, bytes + all.n, want - all.n)) > 0)
			all.n += (size_t)n;
		all.bytes = bytes;
		d->left_bytes -= want;
	}
	close(fd);
	return all;
}

/* Takes the next line off `rest`, without its end. */
static struct text next_line(struct text *rest)
{
	struct text line = before(*rest, '\n');
	size_t used = line.n + (line.n < rest->n);

	rest->bytes += used;
	rest->n -= used;
	if (line.n && line.bytes[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* Sets the name to that in METADATA or PKG-INFO, unless it is missing. */
static void find_name(struct text metadata, struct text *name)
{
	const struct text key = TEXT("Name: ");

	while (metadata.n) {
		struct text line = next_line(&metadata);

		if (!line.n) /* the headers end */
			return;
		if (line.n > key.n && !memcmp(line.bytes, key.bytes, key.n)) {
			*name = (struct text){ line.bytes + key.n, line.n - key.n };
			return;
		}
	}
}

/* The path in a line of RECORD, which is CSV. */
static struct text record_path(struct text line)
{
	if (line.n && *line.bytes == '"') {
		line.bytes++;
		line.n--;
		return before(line, '"');
	}
	return before(line, ',');
}

/* Notes the files of RECORD, and the folders and modules at the top. */
static int note_record(struct distributions *d, struct text site, struct text record, size_t of)
{
	int err = 0;

	while (record.n && !err) {
		struct text path = record_path(next_line(&record));
		struct text top = before(path, '/');
		bool python = ends(path, TEXT(".py"));

		if (!path.n || *path.bytes == '/' || *path.bytes == '.' ||
		    ends(top, TEXT(".dist-info")) || (top.n == path.n && ends(path, TEXT(".pth"))))
			continue;
		if (python)
			err = note(d, site, KEY_FILE, path, of);
		if (!err && (python || ends(path, TEXT(".so"))))
			err = note_top(d, site, top.n == path.n ? before(top, '.') : top, of);
	}
	return err;
}

static int note_tops(struct distributions *d, struct text site, struct text list, size_t of)
{
	int err = 0;

	while (list.n && !err) {
		struct text top = next_line(&list);

		err = note_top(d, site, before(top, '/'), of);
	}
	return err;
}

/* --- folders ---------------------------------------------------------------------------------- */

/* Reads one *.dist-info or *.egg-info. `fd`: the folder; -1: it is a file. */
static int read_one(struct distributions *d, struct text site, const char *entry, int fd,
		    struct text metadata)
{
	struct text name = before((struct text){ entry, strlen(entry) }, '-'), list;
	size_t of;
	int err;

	find_name(metadata, &name);
	of = add_name(d, name);
	if (of == SIZE_MAX)
		return -ENOMEM;
	if (fd < 0)
		return 0;
	list = read_all(d, fd, "top_level.txt");
	err = note_tops(d, site, list, of);
	free((char *)list.bytes);
	list = read_all(d, fd, "RECORD");
	if (!err)
		err = note_record(d, site, list, of);
	free((char *)list.bytes);
	return err;
}

static int read_entry(struct distributions *d, struct text site, int folder, const char *entry)
{
	int fd = openat(folder, entry, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;
	struct text metadata;

	if (fd < 0) {
		metadata = read_all(d, folder, entry); /* an egg-info may be its own PKG-INFO */
	} else {
		metadata = read_all(d, fd, "METADATA");
		if (!metadata.n) {
			free((char *)metadata.bytes);
			metadata = read_all(d, fd, "PKG-INFO");
		}
	}
	err = read_one(d, site, entry, fd, metadata);
	free((char *)metadata.bytes);
	if (fd >= 0)
		close(fd);
	return err;
}

static int read_folder(struct distributions *d, struct text site, DIR *dir)
{
	const struct dirent *e;
	int err = 0;

	while (!err && (e = readdir(dir))) {
		struct text name = { e->d_name, strlen(e->d_name) };

		if (ends(name, TEXT(".dist-info")) || ends(name, TEXT(".egg-info")))
			err = read_entry(d, site, dirfd(dir), e->d_name);
	}
	return err;
}

int distributions_read(struct distributions *d, struct text site)
{
	size_t n = d->sites.n_fns, at = profile_caller_add(&d->sites, site, 0, TEXT(""));
	char path[MAX_PATH_BYTES + 1];
	DIR *dir;
	int err;

	if (at == SIZE_MAX)
		return -ENOMEM;
	if (at < n || at >= MAX_SITES || !site.n || site.n > MAX_PATH_BYTES || *site.bytes != '/' ||
	    memchr(site.bytes, '\0', site.n))
		return 0;
	memcpy(path, site.bytes, site.n);
	path[site.n] = '\0';
	dir = opendir(path);
	if (!dir)
		return 0;
	err = read_folder(d, site, dir);
	closedir(dir);
	return err;
}

/* --- the standard library --------------------------------------------------------------------- */

static const char *const stdlib[] = {
#define STDLIB(name) #name,
#include "stdlib.def"
#undef STDLIB
};

static int compare(const void *key, const void *row)
{
	const char *name = *(const char *const *)row;

	return text_cmp(*(const struct text *)key, (struct text){ name, strlen(name) });
}

bool distribution_is_python(struct text top)
{
	return bsearch(&top, stdlib, sizeof(stdlib) / sizeof(stdlib[0]), sizeof(stdlib[0]),
		       compare);
}
