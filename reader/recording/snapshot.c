/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach.h"
#include "base/input.h"
#include "drain.h"
#include "names.h"
#include "pyprof/clock.h"
#include "pyprof/order.h"
#include "pyprof/table.h"
#include "replay.h"
#include "tables.h"
#include "ticks.h"

struct snapshot {
	struct attach a;
	struct drain d;
	struct drain_ring r;
	struct names names;
	int fd;
	uint64_t end; /* bytes that are used; a multiple of PYPROF_EXTENT_ALIGN */
	uint64_t n_blocks;
	struct pyprof_ring *ring; /* the descriptors to write, in the order of drain.offset */
	struct pyprof_header header;
};

/* --- writing ---------------------------------------------------------------------------------- */

static int write_at(const struct snapshot *s, uint64_t at, const void *bytes, size_t n)
{
	const char *from = bytes;

	while (n) {
		ssize_t done = pwrite(s->fd, from, n, (off_t)at);

		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			from += done;
			at += (uint64_t)done;
			n -= (size_t)done;
		}
	}
	return 0;
}

/* Reserves `bytes` at the end of the file and returns the offset. */
static uint64_t take(struct snapshot *s, uint64_t bytes)
{
	uint64_t at = s->end;

	s->end += (bytes + PYPROF_EXTENT_ALIGN - 1) / PYPROF_EXTENT_ALIGN * PYPROF_EXTENT_ALIGN;
	return at;
}

/* --- rings ------------------------------------------------------------------------------------ */

/* Writes a fold table. No before-images are needed, because no fold is in progress. */
static int write_table(struct snapshot *s, const struct pyprof_fold *f, uint64_t folded,
		       uint64_t *offset)
{
	const struct pyprof_table_layout l =
		pyprof_table_layout(NULL, f->cap_fns, f->cap_edges, f->cap_depth);
	struct pyprof_fold_table t = {
		.extent = { .kind = PYPROF_EXTENT_FOLD, .bytes = l.bytes },
		.cap_fns = f->cap_fns,
		.cap_edges = f->cap_edges,
		.cap_depth = f->cap_depth,
		.state = { f->s, f->s },
	};
	uint64_t at = take(s, l.bytes);
	uint64_t stack = at + (uint64_t)(uintptr_t)l.stack[folded & 1];
	int err = write_at(s, at, &t, sizeof(t));

	for (uint32_t i = 0; i <= f->s.n_fns; i++)
		f->fn[i].epoch = (uint32_t)folded;
	for (uint32_t i = 0; i <= f->s.n_edges; i++)
		f->edge[i].epoch = (uint32_t)folded;
	err = err ? err
		  : write_at(s, at + (uint64_t)(uintptr_t)l.fn, f->fn,
			     (f->s.n_fns + 1ull) * sizeof(*f->fn));
	err = err ? err
		  : write_at(s, at + (uint64_t)(uintptr_t)l.edge, f->edge,
			     (f->s.n_edges + 1ull) * sizeof(*f->edge));
	err = err ? err : write_at(s, stack, f->stack, f->s.depth * sizeof(*f->stack));
	*offset = at;
	return err;
}

/* Writes a block as it was, except for its number and the offsets of its neighbours. */
static int write_block(struct snapshot *s, const struct drain_batch *batch, uint64_t at,
		       uint64_t prev)
{
	struct pyprof_block b = { .kind = PYPROF_EXTENT_BLOCK,
				  .thread = batch->thread,
				  .sequence = batch->sequence,
				  .base_ticks = batch->base_ticks,
				  .skipped_ticks = batch->skipped_ticks,
				  .mono_ns = batch->mono_ns,
				  .prev = prev,
				  .number = ++s->n_blocks };
	int err = write_at(s, at, &b, sizeof(b));

	if (!err && prev)
		err = write_at(s, prev + offsetof(struct pyprof_block, next), &at, sizeof(at));
	return err ? err : write_at(s, at + sizeof(b), batch->record, batch->n * sizeof(uint64_t));
}

static int write_blocks(struct snapshot *s, struct pyprof_ring *ring)
{
	struct drain_batch batch;
	enum drain_result result;
	uint64_t prev = 0;

	while ((result = drain_next(&s->r, &batch)) == DRAIN_BATCH) {
		uint64_t at = take(s, s->a.header.block_bytes);
		int err = write_block(s, &batch, at, prev);

		if (err)
			return err;
		if (!prev)
			ring->first_block = at;
		prev = at;
	}
	return result == DRAIN_OVERTAKEN ? -EAGAIN : 0;
}

static int write_ring(struct snapshot *s, struct pyprof_ring *ring, uint64_t table)
{
	struct replay tables = { .thread = REPLAY_MIXED_THREADS };
	int err = 0;

	pyprof_copy(ring, s->r.ring, sizeof(*ring)); /* counts, and fields of a later minor */
	ring->first_block = ring->folded = ring->fold = 0;
	ring->consumer = ring->wants_table = 0;
	if (s->r.folded_at_start) {
		err = replay_table(&tables, &s->r, table);
		ring->folded = s->r.folded;
		if (!err)
			err = write_table(s, &tables.f, ring->folded, &ring->fold);
		replay_fini(&tables);
	}
	return err ? err : write_blocks(s, ring);
}

/* Removes what was written of a ring that was overtaken; the bytes read as zeroes again. */
static int rewind_to(struct snapshot *s, uint64_t end)
{
	s->end = end;
	return ftruncate(s->fd, (off_t)end) < 0 ? -errno : 0;
}

static int copy_ring(struct snapshot *s, size_t i)
{
	uint64_t end = s->end, n_blocks = s->n_blocks, table;
	int err = drain_ring_start(&s->r, i, &table);

	while (!err) {
		err = write_ring(s, &s->ring[i], table);
		if (err != -EAGAIN)
			break;
		s->n_blocks = n_blocks;
		err = rewind_to(s, end);
		if (!err)
			err = drain_ring_restart(&s->r, &table);
	}
	for (int k = 0; k < PYPROF_LOST_CAUSES && !err; k++)
		s->ring[i].n_lost[k] = pyprof_get(&s->r.ring->n_lost[k]);
	if (!err)
		drain_count_losses(&s->d, &s->r);
	return err;
}

/* Writes one extent for all rings. The target's have a page each; readers accept both. */
static int copy_rings(struct snapshot *s)
{
	const struct pyprof_extent x = {
		.kind = PYPROF_EXTENT_RINGS,
		.bytes = sizeof(x) + s->d.n_rings * sizeof(*s->ring),
		.used = x.bytes,
	};
	int err = 0;

	s->ring = calloc(s->d.n_rings + 1, sizeof(*s->ring));
	if (!s->ring)
		return -ENOMEM;
	s->header.rings = take(s, x.bytes);
	for (size_t i = 0; i < s->d.n_rings && !err; i++)
		err = copy_ring(s, i);
	err = err ? err : write_at(s, s->header.rings, &x, sizeof(x));
	return err ? err
		   : write_at(s, s->header.rings + sizeof(x), s->ring,
			      s->d.n_rings * sizeof(*s->ring));
}

/* --- names ------------------------------------------------------------------------------------ */

static size_t entry_bytes(const struct name *n)
{
	size_t file = n->kind == PYPROF_NAME_C ? 0 : n->file.n;

	return (sizeof(struct pyprof_name) + file + n->name.n + n->qualname.n + 7) & ~(size_t)7;
}

static char *put_text(char *to, struct text t)
{
	return t.n ? mempcpy(to, t.bytes, t.n) : to;
}

static void put_entry(const struct name *n, char *to)
{
	struct text file = n->kind == PYPROF_NAME_C ? (struct text){ "", 0 } : n->file;
	struct pyprof_name p = { .bytes = (uint32_t)entry_bytes(n),
				 .number = n->number,
				 .kind = n->kind,
				 .flags = n->flags,
				 .line = n->line,
				 .file_bytes = (uint32_t)file.n,
				 .name_bytes = (uint32_t)n->name.n,
				 .qual_bytes = (uint32_t)n->qualname.n,
				 .code_bytes = n->code_bytes };

	memcpy(to, &p, sizeof(p));
	put_text(put_text(put_text(to + sizeof(p), file), n->name), n->qualname);
}

/* Writes one extent with all names. They were read after the records that use them. */
static int copy_names(struct snapshot *s)
{
	const struct name_list *list[] = { &s->names.fn, &s->names.thread };
	struct pyprof_extent x = { .kind = PYPROF_EXTENT_NAMES, .bytes = sizeof(x) };
	char *bytes, *at;
	int err;

	for (int k = 0; k < 2; k++)
		for (size_t i = 0; i < list[k]->n; i++)
			x.bytes += entry_bytes(&list[k]->name[i]);
	x.used = x.bytes;
	bytes = calloc(1, x.bytes);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, &x, sizeof(x));
	at = bytes + sizeof(x);
	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < list[k]->n; i++) {
			put_entry(&list[k]->name[i], at);
			at += entry_bytes(&list[k]->name[i]);
		}
	}
	s->header.names = take(s, x.bytes);
	err = write_at(s, s->header.names, bytes, x.bytes);
	free(bytes);
	return err;
}

/* --- the whole -------------------------------------------------------------------------------- */

/*
 * Sets the last pair of clocks and the end of the calls that still run. For a live recording both
 * are the present time, after all rings were copied; its clocks are those of this machine.
 */
static void set_clocks(struct snapshot *s)
{
	const struct pyprof_header *now = (const void *)s->a.base;
	struct pyprof_header *h = &s->header;

	h->end_ticks = pyprof_get(&now->end_ticks);
	if (h->clock == PYPROF_CLOCK_TSC && s->a.live)
		pyprof_clock_pair(&h->sync_ticks, &h->sync_mono_ns);
	else if (h->clock == PYPROF_CLOCK_TSC)
		ticks_last_pair(&s->d, &h->sync_ticks, &h->sync_mono_ns);
	if (h->clock == PYPROF_CLOCK_TSC && s->a.live)
		h->end_ticks = h->sync_ticks;
	else if (h->clock == PYPROF_CLOCK_WALL && s->a.live)
		h->end_ticks = pyprof_clock_ns(CLOCK_MONOTONIC);
}

/* Stores the source's device and inode if its header has none, so that the copy is recognised. */
static int write_header(struct snapshot *s)
{
	const struct pyprof_header *now = (const void *)s->a.base;
	struct pyprof_header *h = &s->header;
	struct stat st;

	h->magic = PYPROF_MAGIC;
	h->minor = PYPROF_MINOR;
	h->file_bytes = s->end;
	h->n_blocks = s->n_blocks;
	h->n_unnamed = pyprof_get(&now->n_unnamed);
	h->n_subinterpreters = pyprof_get(&now->n_subinterpreters);
	for (int i = 0; i < PYPROF_LOST_CAUSES; i++)
		h->n_lost[i] = pyprof_get(&now->n_lost[i]);
	set_clocks(s);
	if (!h->file_inode && fstat(s->a.fd, &st) == 0) {
		h->file_device = st.st_dev;
		h->file_inode = st.st_ino;
	}
	if (ftruncate(s->fd, (off_t)s->end) < 0)
		return -errno;
	return write_at(s, 0, h, sizeof(*h));
}

static void copy_header(struct snapshot *s)
{
	const struct pyprof_header *now = (const void *)s->a.base;

	pyprof_copy(&s->header, now, sizeof(s->header));
	memcpy(&s->header, &s->a.header, offsetof(struct pyprof_header, file_bytes));
	if (s->header.minor < 1)
		memset(&s->header.pid_namespace, 0,
		       sizeof(s->header) - offsetof(struct pyprof_header, pid_namespace));
	s->end = PYPROF_HEADER_BYTES;
}

static int copy_all(struct snapshot *s, struct error *error)
{
	int err = drain_init(&s->d, &s->a);

	if (err)
		return err;
	copy_header(s);
	err = drain_ring_init(&s->r, &s->d);
	err = err ? err : copy_rings(s);
	err = err ? err : names_read(&s->names, &s->a);
	if (!err && (s->d.n_bad || s->d.torn || s->names.n_bad))
		return error_set(error, -EINVAL,
				 "copy %.300s: found invalid blocks, rings or names, expected a "
				 "whole recording",
				 s->a.path);
	err = err ? err : copy_names(s);
	return err ? err : write_header(s);
}

static int copy_source(struct snapshot *s, const char *source, struct error *error)
{
	const char *path = input_path(source, error);
	int err = path ? attach_open(&s->a, path) : -EINVAL;

	if (!path)
		return err;
	if (err) {
		*error = s->a.error;
		return err;
	}
	err = copy_all(s, error);
	names_fini(&s->names);
	drain_ring_fini(&s->r);
	drain_fini(&s->d);
	attach_close(&s->a);
	free(s->ring);
	return err;
}

/* --- destination ------------------------------------------------------------------------------ */

static int write_out(int from, int to)
{
	static char bytes[1 << 16];
	ssize_t n, done;

	if (lseek(from, 0, SEEK_SET) < 0)
		return -errno;
	while ((n = read(from, bytes, sizeof(bytes))) > 0) {
		for (ssize_t at = 0; at < n; at += done) {
			done = write(to, bytes + at, (size_t)(n - at));
			if (done < 0)
				return -errno;
		}
	}
	return n < 0 ? -errno : 0;
}

/* Writes to pipes, devices and the like, which cannot be replaced. */
static int copy_into(struct snapshot *s, int to, const char *source, struct error *error)
{
	int err;

	if (to < 0)
		return -errno;

	s->fd = memfd_create("pyshim-snapshot", MFD_CLOEXEC);
	if (s->fd < 0)
		return -errno;
	err = copy_source(s, source, error);
	if (!err)
		err = write_out(s->fd, to);
	close(s->fd);
	return err == -EPIPE ? 0 : err; /* the reader of the pipe may close it early */
}

/* Writes a file of mode 0600 in the same folder, and renames it to `path` when it is whole. */
static int copy_to_file(struct snapshot *s, const char *path, const char *source,
			struct error *error)
{
	char *beside;
	int err;

	if (asprintf(&beside, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	s->fd = mkostemp(beside, O_CLOEXEC);
	err = s->fd < 0 ? -errno : 0;
	if (err)
		goto out;
	err = copy_source(s, source, error);
	if (close(s->fd) < 0 && !err)
		err = -errno;
	if (!err && rename(beside, path) < 0)
		err = -errno;
	if (err)
		unlink(beside);
out:
	free(beside);
	return err;
}

static bool is_replaceable(const char *path)
{
	struct stat st;

	return strcmp(path, "-") && (lstat(path, &st) < 0 || S_ISREG(st.st_mode));
}

int snapshot_write(const char *path, const char *source, struct error *error)
{
	struct snapshot s = { .fd = -1 };
	int to = STDOUT_FILENO, err;

	*error->text = '\0';
	signal(SIGXFSZ, SIG_IGN); /* beyond a limit of file size, write shall fail with EFBIG */
	if (is_replaceable(path)) {
		err = copy_to_file(&s, path, source, error);
	} else {
		if (strcmp(path, "-"))
			to = open(path, O_WRONLY | O_CLOEXEC);
		err = copy_into(&s, to, source, error);
		if (to > STDOUT_FILENO)
			close(to);
	}
	if (err && !*error->text)
		error_set(error, err, "write %.300s: %s, expected that the copy fits", path,
			  strerror(-err));
	return err;
}
